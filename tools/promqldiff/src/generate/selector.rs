//! Selectors, ranges and subqueries.

use super::vocabulary::{Kind, Metric};
use super::{Generator, Vector};

/// Metrics with more series are chosen with a matcher mostly.
const MANY_SERIES: usize = 12;

impl Generator<'_> {
    /// A metric, if possible of one of these kinds.
    pub(super) fn metric(&mut self, kinds: &[Kind]) -> Metric {
        let synthetic = self.random.chance(75);
        let all = &self.vocabulary.metrics;
        let fitting: Vec<&Metric> = all
            .iter()
            .filter(|m| kinds.contains(&m.kind) && (m.is_synthetic || !synthetic))
            .collect();
        match &fitting[..] {
            [] => (*self.random.pick(&all.iter().collect::<Vec<_>>())).clone(),
            some => (*self.random.pick(some)).clone(),
        }
    }

    /// The kinds that an instant vector is made of, by their shares.
    pub(super) fn any_kind(&mut self) -> &'static [Kind] {
        match self.random.weighted(&[50, 20, 8, 22]) {
            0 => &[Kind::Gauge],
            1 => &[Kind::Counter],
            2 => &[Kind::Bucket],
            _ => &[Kind::Native],
        }
    }

    /// A selector without offset: its text and labels.
    pub(super) fn series(&mut self, kinds: &[Kind]) -> Vector {
        let metric = self.metric(kinds);
        let labels: Vec<String> = metric.labels.keys().cloned().collect();
        let mut matchers = Vec::new();
        let many = metric.series > MANY_SERIES;
        let wanted = if many { 60 } else { 30 };
        while self.random.chance(wanted) && matchers.len() < 3 {
            matchers.extend(self.matcher(&metric));
        }
        let name = &metric.name;
        let text = match self.random.below(20) {
            0 => format!("{{__name__=\"{name}\"{}}}", join(&matchers)),
            1 => format!("{{\"{name}\"{}}}", join(&matchers)),
            2 if self.random.chance(20) => {
                // Several metrics at once.
                let other = self.metric(kinds).name;
                format!("{{__name__=~\"{name}|{other}\"{}}}", join(&matchers))
            }
            _ if matchers.is_empty() => name.clone(),
            _ => format!("{name}{{{}}}", matchers.join(",")),
        };
        Vector { text, labels }
    }

    fn matcher(&mut self, metric: &Metric) -> Option<String> {
        let labels: Vec<&String> = metric.labels.keys().collect();
        if labels.is_empty() {
            return None;
        }
        let label = (*self.random.pick(&labels)).clone();
        let value = self.random.pick(&metric.labels[&label]).clone();
        let other = self.random.pick(&metric.labels[&label]).clone();
        let name = if label.contains('.') { format!("\"{label}\"") } else { label };
        let escape = |text: &str| text.replace('.', "\\\\.").replace('+', "\\\\+");
        Some(match self.random.weighted(&[40, 15, 15, 8, 6, 4, 2, 2]) {
            0 => format!("{name}=\"{value}\""),
            1 => format!("{name}!=\"{value}\""),
            2 => format!("{name}=~\"{}|{}\"", escape(&value), escape(&other)),
            3 => format!("{name}!~\"{}.*\"", escape(value.get(..1).unwrap_or(""))),
            4 => format!("{name}=~\"{}.*\"", escape(value.get(..1).unwrap_or(""))),
            5 => format!("{name}=~\".+\""),
            6 => "absent_label=\"\"".into(),
            _ => format!("{name}=\"none\""),
        })
    }

    /// Offset and `@` behind a selector or subquery; mostly nothing.
    pub(super) fn shift(&mut self) -> String {
        let mut parts = Vec::new();
        if self.random.chance(10) {
            let length = self.length();
            let sign = if self.random.chance(30) { "-" } else { "" };
            parts.push(if self.random.chance(15) {
                format!(" offset ({length} * 2 - 30s)")
            } else {
                format!(" offset {sign}{length}")
            });
        }
        if self.random.chance(8) {
            let (start, end) = (self.vocabulary.start_ms / 1000, self.vocabulary.end_ms / 1000);
            parts.push(match self.random.below(4) {
                0 => " @ start()".into(),
                1 => " @ end()".into(),
                2 => format!(" @ {}", self.random.between(start, end)),
                _ => format!(" @ {}.{}", self.random.between(start, end), self.random.below(1000)),
            });
        }
        if self.random.chance(50) {
            parts.reverse();
        }
        parts.concat()
    }

    pub(super) fn selector(&mut self, kinds: &[Kind]) -> Vector {
        let selected = self.series(kinds);
        let shift = self.shift();
        selected.wrapped("", &shift)
    }

    /// A length of a range, in words.
    pub(super) fn length(&mut self) -> String {
        let number = self.random.between(1, 900);
        match self.random.weighted(&[60, 12, 8, 6]) {
            0 => self.pick(&["15s", "30s", "1m", "1m30s", "2m", "5m", "5m", "10m", "30m"]),
            1 => format!("{number}s"),
            2 => format!("{}ms", number * 97),
            _ => self.pick(&["1ms", "1s", "4s", "14999ms", "15001ms", "1h", "1d", "300", "0x3c"]),
        }
    }

    /// A range vector and its labels, of floats and counters mostly.
    pub(super) fn matrix(&mut self) -> (String, Vec<String>) {
        let kinds = match self.random.weighted(&[38, 38, 4, 20]) {
            0 => &[Kind::Gauge],
            1 => &[Kind::Counter],
            2 => &[Kind::Bucket],
            _ => &[Kind::Native],
        };
        self.matrix_of(kinds)
    }

    pub(super) fn matrix_of(&mut self, kinds: &[Kind]) -> (String, Vec<String>) {
        if self.errs() {
            let vector = self.selector(kinds);
            return (vector.text, vector.labels);
        }
        let shift = self.shift();
        let mut length = self.length();
        if self.random.chance(5) {
            let op = self.pick(&["+", "-", "*", "/", "%", "^"]);
            length = format!("{length} {op} {}", self.pick(&["1", "2", "(1 + 1)", "30s", "-1"]));
        }
        if self.is_deep() || self.random.chance(75) {
            let series = self.series(kinds);
            let range = format!("{}[{length}]{shift}", series.text);
            let range = if self.random.chance(4) { format!("({range})") } else { range };
            return (range, series.labels);
        }
        let inner = self.deeper(Self::vector);
        let step = match self.random.below(4) {
            0 => String::new(),
            _ => self.pick(&["15s", "1m", "7s", "100s", "13s", "5m", "30s"]),
        };
        (format!("({})[{length}:{step}]{shift}", inner.text), inner.labels)
    }
}

fn join(matchers: &[String]) -> String {
    matchers.iter().map(|matcher| format!(", {matcher}")).collect()
}
