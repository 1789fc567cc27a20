//! The table: what each store needed for each row, beside each other.
//!
//! It is written as text (`Display`) and serialised as JSON with the same figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use siltstone_rig::report::{grouped, median, megabytes};

use crate::queries::Load;
use crate::queries::ask::Asked;
use crate::queries::compare::Differences;
use crate::queries::plan::Row;
use crate::queries::span::Span;

const SILTSTONE: &str = "siltstone";
const VICTORIA_METRICS: &str = "victoria-metrics";
const PROMETHEUS: &str = "prometheus";

/// Width of the rows' names.
const NAME_WIDTH: usize = 69;

/// The whole table.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Hosts, each with ten series.
    pub hosts: u64,
    /// Hours of samples.
    pub hours: u64,
    /// Samples of each store.
    pub samples: u64,
    /// Times that each row asked.
    pub times: u64,
    /// Seed of values and requests.
    pub seed: u64,
    /// Time of the last samples, seconds since the epoch.
    pub last_s: i64,
    /// In the order of the columns.
    pub stores: Vec<StoreReport>,
    /// In the order of the table.
    pub rows: Vec<RowReport>,
}

/// What is said about a store as a whole.
#[derive(Debug, Serialize)]
pub struct StoreReport {
    /// Its short name.
    pub name: &'static str,
    /// What it says about its version.
    pub version: String,
    /// In which state it was asked.
    pub state: String,
    /// RssAnon after the last row.
    pub rss_anon_bytes: u64,
}

/// A row of the table.
#[derive(Debug, Serialize)]
pub struct RowReport {
    /// What it asks, in words.
    pub name: String,
    /// The first request's expression, selector or label.
    pub query: String,
    /// Requests of one asking.
    pub requests: usize,
    /// What each store needed.
    pub stores: BTreeMap<&'static str, Figures>,
    /// Times faster than VictoriaMetrics that are wanted.
    pub goal: Option<f64>,
    /// VictoriaMetrics's p50 of wall time by Siltstone's, if both answered everything.
    pub victoria_metrics_ratio: Option<f64>,
    /// Prometheus's p50 of wall time by Siltstone's, if both answered everything.
    pub prometheus_ratio: Option<f64>,
    /// Differences between the answers of Prometheus and Siltstone, if both were asked.
    pub differences: Option<u64>,
    /// One of them in words.
    pub first_difference: Option<String>,
    /// Why a store did not answer, where it did not.
    pub refusals: BTreeMap<&'static str, String>,
}

/// What a store needed for a row; all of an asking's requests together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Wall time of the first asking, milliseconds.
    pub first_ms: f64,
    /// Median of the wall times of the others, milliseconds.
    pub p50_ms: f64,
    /// CPU time of the server for the first asking, milliseconds.
    pub first_cpu_ms: f64,
    /// Mean of its CPU time for one of the others, milliseconds.
    pub cpu_ms: f64,
    /// Series of all answers.
    pub series: u64,
    /// Requests that were not answered, whose times say nothing.
    pub refused: u64,
}

/// What came of comparing the answers to a row.
#[derive(Debug, Default)]
pub struct Judged {
    /// What each store answered.
    pub answered: BTreeMap<&'static str, Answered>,
    /// Whether both Siltstone and Prometheus were asked.
    pub compared: bool,
    /// In what they differ.
    pub differences: Differences,
}

/// What one store answered to a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// Series of all answers.
    pub series: u64,
    /// Requests that were not answered.
    pub refused: u64,
    /// Why the first of them was not.
    pub first_refusal: Option<String>,
}

impl Figures {
    /// # Panics
    /// If nothing was asked.
    fn new(asked: &Asked, answered: &Answered) -> Self {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        let wall: Vec<f64> = asked.wall.iter().map(ms).collect();
        let repeated = &wall[1..];
        Self {
            first_ms: wall[0],
            p50_ms: median(repeated),
            first_cpu_ms: ms(&asked.first_cpu),
            cpu_ms: ms(&asked.repeated_cpu) / repeated.len().max(1) as f64,
            series: answered.series,
            refused: answered.refused,
        }
    }
}

impl RowReport {
    /// The figures of a row.
    ///
    /// # Panics
    /// If a store was asked nothing.
    #[must_use]
    pub fn new(row: &Row, asked: &[(&'static str, Asked)], judged: Judged) -> Self {
        let nothing = Answered::default();
        let answered = |name| judged.answered.get(name).unwrap_or(&nothing);
        let stores: BTreeMap<_, _> = asked
            .iter()
            .map(|(name, asked)| (*name, Figures::new(asked, answered(*name))))
            .collect();
        let refusals = judged.answered.iter();
        let refusals = refusals.filter_map(|(name, a)| Some((*name, a.first_refusal.clone()?)));
        let refusals = refusals.collect();
        let p50 = |name| {
            let figures: &Figures = stores.get(name)?;
            (figures.refused == 0).then_some(figures.p50_ms)
        };
        let ratio = |peer| Some(p50(peer)? / p50(SILTSTONE)?);
        Self {
            name: row.name.clone(),
            query: row.askings[0][0].query.clone(),
            requests: row.askings[0].len(),
            goal: row.goal,
            victoria_metrics_ratio: ratio(VICTORIA_METRICS),
            prometheus_ratio: ratio(PROMETHEUS),
            differences: judged.compared.then_some(judged.differences.count),
            first_difference: judged.differences.first,
            refusals,
            stores,
        }
    }

    /// Whether the goal was reached; `None` without one or without both stores.
    fn reached(&self) -> Option<bool> {
        Some(self.victoria_metrics_ratio? >= self.goal?)
    }

    /// Prometheus's and VictoriaMetrics's series where both answered everything and have not as many.
    fn other_series(&self) -> Option<(u64, u64)> {
        let series = |name| self.stores.get(name).filter(|figures| figures.refused == 0);
        let (theirs, others) = (series(PROMETHEUS)?.series, series(VICTORIA_METRICS)?.series);
        (theirs != others).then_some((theirs, others))
    }
}

impl Report {
    /// A table of these rows.
    #[must_use]
    pub fn new(load: &Load, span: &Span, stores: Vec<StoreReport>, rows: Vec<RowReport>) -> Self {
        Self {
            hosts: load.hosts,
            hours: load.hours,
            samples: load.samples(),
            times: load.times,
            seed: load.seed,
            last_s: span.last_s,
            stores,
            rows,
        }
    }

    /// Differences between Siltstone and Prometheus in all rows.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.rows.iter().filter_map(|row| row.differences).sum()
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:NAME_WIDTH$}", "")?;
        for store in &self.stores {
            write!(f, "  {:^29}", store.name)?;
        }
        writeln!(f, "  times faster than")?;
        write!(f, "{:NAME_WIDTH$}", "milliseconds")?;
        for _ in &self.stores {
            write!(f, "  {:>9}{:>10}{:>10}", "first", "p50", "CPU")?;
        }
        writeln!(f, "  VictoriaMetrics (goal)  Prometheus  differences")
    }

    fn row(&self, row: &RowReport, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:NAME_WIDTH$}", row.name)?;
        for store in &self.stores {
            match row.stores.get(store.name) {
                Some(Figures { first_ms, p50_ms, cpu_ms, .. }) => {
                    write!(f, "  {first_ms:>9.2}{p50_ms:>10.2}{cpu_ms:>10.2}")?;
                }
                None => write!(f, "  {:>29}", "-")?,
            }
        }
        let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |x| format!("{x:.2}"));
        let goal = row.goal.map_or(String::new(), |goal| format!("({goal})"));
        let verdict = match row.reached() {
            Some(false) => "missed",
            Some(true) | None => "",
        };
        let differences = row.differences.map_or("-".to_owned(), grouped);
        writeln!(
            f,
            "  {:>7} {goal:>6} {verdict:>8}  {:>10}  {differences:>11}",
            ratio(row.victoria_metrics_ratio),
            ratio(row.prometheus_ratio),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        for row in &self.rows {
            self.row(row, f)?;
        }
        writeln!(f, "\nRssAnon after the last row")?;
        for store in &self.stores {
            writeln!(f, "  {:<17} {:>10}", store.name, megabytes(store.rss_anon_bytes))?;
        }
        writeln!(f, "\nwhat was asked (the first of each row)")?;
        for row in &self.rows {
            let requests = if row.requests == 1 { "" } else { " and so on" };
            writeln!(f, "  {}: {}{requests}", row.name, row.query)?;
        }
        for row in &self.rows {
            if let Some(difference) = &row.first_difference {
                writeln!(f, "difference in {:?}: {difference}", row.name)?;
            }
            for (name, refusal) in &row.refusals {
                let refused = row.stores.get(name).map_or(0, |figures| figures.refused);
                let refused = grouped(refused);
                writeln!(f, "{name} refused {refused} requests of {:?}: {refusal}", row.name)?;
            }
            if let Some((theirs, others)) = row.other_series() {
                let (theirs, others) = (grouped(theirs), grouped(others));
                writeln!(
                    f,
                    "series in {:?}: Prometheus {theirs}, VictoriaMetrics {others}",
                    row.name
                )?;
            }
        }
        if self.rows.iter().any(|row| row.differences.is_some()) {
            let differences = grouped(self.differences());
            writeln!(f, "differences between Prometheus and Siltstone: {differences}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::plan;

    const LOAD: Load = Load { hosts: 1_000, hours: 6, times: 3, seed: 1 };

    fn asked(ms: [u64; 3]) -> Asked {
        Asked {
            wall: ms.map(Duration::from_millis).into(),
            first_cpu: Duration::from_millis(1),
            repeated_cpu: Duration::from_millis(5),
            answers: Vec::new(),
        }
    }

    fn report(differences: Differences, refusal: Option<&str>) -> Report {
        let span = Span::of(&LOAD, 1_795_000_000_000);
        let row = &plan::rows(&LOAD, &span)[0];
        let all = [
            (SILTSTONE, asked([9, 2, 4])),
            (VICTORIA_METRICS, asked([9, 6, 3])),
            (PROMETHEUS, asked([9, 12, 12])),
        ];
        let answered = [(SILTSTONE, 3), (VICTORIA_METRICS, 2), (PROMETHEUS, 3)]
            .map(|(name, series)| (name, Answered { series, ..Answered::default() }));
        let mut judged = Judged { answered: answered.into(), compared: true, differences };
        if let Some(why) = refusal {
            let refused = Answered { refused: 1, first_refusal: Some(why.into()), series: 0 };
            judged.answered.insert(VICTORIA_METRICS, refused);
        }
        let stores = all.iter().map(|(name, _)| StoreReport {
            name,
            version: "1".into(),
            state: "at rest".into(),
            rss_anon_bytes: 1_500_000,
        });
        let stores = stores.collect();
        Report::new(&LOAD, &span, stores, vec![RowReport::new(row, &all, judged)])
    }

    #[test]
    fn ratios_are_of_the_repeated_ones() {
        let report = report(Differences::default(), None);
        let row = &report.rows[0];
        let ours = row.stores[SILTSTONE];
        assert_eq!((ours.first_ms, ours.p50_ms, ours.cpu_ms, ours.series), (9.0, 3.0, 2.5, 3));
        assert_eq!((row.victoria_metrics_ratio, row.prometheus_ratio), (Some(1.5), Some(4.0)));
        assert_eq!(row.reached(), Some(false), "2 is the goal");
        assert_eq!(report.differences(), 0);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rows"][0]["stores"]["prometheus"]["p50_ms"], 12.0);
        assert_eq!(json["samples"], 21_600_000);
    }

    #[test]
    fn the_text_says_what_is_missed_and_differs() {
        let first = Some("only theirs: x".into());
        let text = report(Differences { count: 7, first }, None).to_string();
        let row = text.lines().nth(2).unwrap();
        for part in
            ["max_over_time 1m of one series", " 3.00 ", " 1.50 ", "(2)", "missed", " 4.00 "]
        {
            assert!(row.contains(part), "{part:?} is not in {row:?}");
        }
        assert!(row.ends_with(" 7"), "{row:?}");
        for part in ["only theirs: x", "Prometheus 3, VictoriaMetrics 2", "1.5 MB"] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
    #[test]
    fn times_of_refusals_are_not_compared() {
        let report = report(Differences::default(), Some("status 422"));
        let row = &report.rows[0];
        assert_eq!((row.victoria_metrics_ratio, row.prometheus_ratio), (None, Some(4.0)));
        assert_eq!((row.reached(), row.stores[VICTORIA_METRICS].refused), (None, 1));
        let text = report.to_string();
        assert!(text.contains("victoria-metrics refused 1 requests of"), "{text}");
        assert!(text.contains("status 422"), "{text}");
    }
}
