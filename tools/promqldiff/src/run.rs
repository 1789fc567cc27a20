//! The loop: queries are drawn, judged, and findings shrunk and printed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use siltstone_promql::functions::Function;
use siltstone_rig::seeded::mix;
use siltstone_rig::{Interrupt, RigError};

use crate::Cli;
use crate::answer::Times;
use crate::compare::{Aspect, Difference};
use crate::dataset::Dataset;
use crate::generate::{self, Vocabulary};
use crate::grammar;
use crate::judge::{Judge, Verdict};
use crate::ours::{self, Way};
use crate::prometheus::Prometheus;
use crate::random::Random;
use crate::report::Counts;
use crate::shrink::{Case, shrink};

/// Compares until queries, minutes or findings are used up.
pub(crate) fn run(cli: &Cli, work: &Path, interrupt: &Interrupt) -> Result<Counts, RigError> {
    let data = Dataset::read(&cli.data)?;
    let delayed = cli.delayed_name_removal;
    let mut prometheus = Prometheus::start(&cli.prometheus, work, delayed, interrupt)?;
    println!(
        "prometheus {}; {} series with {} samples; seed {}",
        prometheus.version()?,
        data.series.len(),
        data.samples(),
        cli.seed
    );
    prometheus.fill(&data)?;
    let known = known_functions(&mut prometheus)?;
    let vocabulary = Vocabulary::new(&data, |function| known.contains(function.name()));
    let mut runner = Runner {
        judge: Judge::new(prometheus, &data, ours::features(delayed)),
        counts: Counts::default(),
        seen: BTreeSet::new(),
    };
    let until = cli.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let count = if cli.query.is_empty() { cli.queries } else { cli.query.len() as u64 };
    for number in 0..count {
        interrupt.check()?;
        if until.is_some_and(|until| Instant::now() > until)
            || runner.counts.findings() >= cli.findings
        {
            break;
        }
        let mut random = Random::new(mix(cli.seed ^ mix(number)));
        let drawn = generate::query(&vocabulary, &mut random);
        let query = cli.query.get(number as usize).cloned().unwrap_or(drawn);
        let drawn = generate::times(&query, &vocabulary, &mut random);
        let times = if cli.at.is_empty() { drawn } else { cli.at.clone() };
        runner.query(number, &query, &times, &mut random)?;
        let text = if number % 2 == 0 { query } else { grammar::text(&mut random) };
        if grammar::is_old(&text) {
            runner.format(number, text)?;
        }
    }
    runner.judge.stop()?;
    Ok(runner.counts)
}

/// The functions that the server has.
fn known_functions(prometheus: &mut Prometheus) -> Result<BTreeSet<&'static str>, RigError> {
    let mut known = BTreeSet::new();
    for function in Function::ALL {
        let name = function.name();
        let refused = prometheus.format(&format!("{name}()"))?.err().unwrap_or_default();
        // A name that is no function at all is read as a metric, behind which "(" is unexpected.
        if !refused.contains("unknown function") && !refused.contains("unexpected") {
            known.insert(name);
        }
    }
    Ok(known)
}

struct Runner {
    judge: Judge,
    counts: Counts,
    /// Findings that were printed.
    seen: BTreeSet<(Aspect, String)>,
}

impl Runner {
    /// Evaluates `query` at all `times`; reports the first difference only.
    fn query(
        &mut self,
        number: u64,
        query: &str,
        times: &[Times],
        random: &mut Random,
    ) -> Result<(), RigError> {
        self.counts.queries += 1;
        for times in times {
            let case = Case { query: query.to_owned(), times: *times };
            let way = Way { parallel: random.chance(20), optimise: random.chance(70) };
            self.counts.evaluation(*times);
            match self.judge.judge(&case, way)? {
                Verdict::Same(outcome) => self.counts.same(&outcome),
                Verdict::Known(reason) => *self.counts.known.entry(reason).or_default() += 1,
                Verdict::Rounding => self.counts.rounding += 1,
                Verdict::Different(difference) => {
                    return self.finding(number, case, way, &difference);
                }
            }
        }
        Ok(())
    }

    /// Compares how both sides format a query, or refuse it.
    fn format(&mut self, number: u64, text: String) -> Result<(), RigError> {
        let Some(difference) = self.judge.judge_format(&text)? else {
            self.counts.formatted += 1;
            return Ok(());
        };
        let judge = &mut self.judge;
        let mut shown = difference.clone();
        let mut holds = |case: &Case| match judge.judge_format(&case.query)? {
            Some(found) if found.aspect == difference.aspect => {
                shown = found;
                Ok(true)
            }
            _ => Ok(false),
        };
        let case = Case { query: text.clone(), times: Times::Instant(0) };
        let small = shrink::<RigError>(case, ours::features(false), &mut holds)?;
        if self.seen.insert((difference.aspect, small.query.clone())) {
            *self.counts.found.entry(difference.aspect).or_default() += 1;
            println!("\n#{number} {:?} of {:?}", shown.aspect, small.query);
            println!("  {}", shown.text);
        }
        Ok(())
    }

    fn finding(
        &mut self,
        number: u64,
        case: Case,
        way: Way,
        difference: &Difference,
    ) -> Result<(), RigError> {
        let original = case.query.clone();
        let aspect = difference.aspect;
        let mut shown = difference.clone();
        let judge = &mut self.judge;
        let mut holds = |case: &Case| match judge.judge(case, way)? {
            Verdict::Different(difference) if difference.aspect == aspect => {
                shown = difference;
                Ok(true)
            }
            _ => Ok(false),
        };
        let features = ours::features(false);
        let small = shrink::<RigError>(case, features, &mut holds)?;
        if !self.seen.insert((aspect, small.query.clone())) {
            return Ok(());
        }
        *self.counts.found.entry(aspect).or_default() += 1;
        println!("\n#{number} {aspect:?} {way:?}\n  {}", small.query);
        println!("  at {}", small.times);
        println!("  {}", shown.text.chars().take(1500).collect::<String>());
        if original != small.query {
            println!("  from {original}");
        }
        Ok(())
    }
}
