//! Aggregations.

use super::{Generator, Vector};

const SIMPLE: &[&str] = &["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"];
const SELECTING: &[&str] = &["topk", "bottomk", "limitk"];

impl Generator<'_> {
    pub(super) fn aggregate(&mut self) -> Vector {
        let operand = self.vector();
        let (op, parameter) = match self.random.weighted(&[65, 16, 8, 5, 6]) {
            0 => (self.pick(SIMPLE), None),
            1 => {
                let count = match self.random.weighted(&[85, 10, 5]) {
                    0 => self.pick(&["1", "2", "3", "5"]),
                    1 => self.pick(&["0", "-1", "1.9", "1e9", "scalar(level)", "NaN", "Inf"]),
                    _ => self.scalar(),
                };
                (self.pick(SELECTING), Some(count))
            }
            2 => ("quantile".into(), Some(self.quantile())),
            3 => ("count_values".into(), Some(self.pick(&["\"val\"", "\"job\"", "\"\"", "\"ä\""]))),
            _ => {
                let ratio = self.pick(&["0.5", "-0.5", "0.1", "1", "0", "-1", "2", "NaN", "-3"]);
                ("limit_ratio".into(), Some(ratio))
            }
        };
        let parameter = parameter.map_or(String::new(), |parameter| format!("{parameter}, "));
        let keeps = SELECTING.contains(&op.as_str()) || op == "limit_ratio";
        let (grouping, labels) = self.grouping(&operand.labels);
        let labels = if keeps { operand.labels.clone() } else { labels };
        let text = if self.random.chance(70) {
            format!("{op}{grouping} ({parameter}{})", operand.text)
        } else {
            format!("{op}({parameter}{}){grouping}", operand.text)
        };
        Vector { text, labels }
    }

    /// `by (..)` or `without (..)`, and the labels that are left.
    fn grouping(&mut self, labels: &[String]) -> (String, Vec<String>) {
        if self.random.chance(25) {
            return (String::new(), Vec::new());
        }
        let mut listed: Vec<String> = labels.to_vec();
        listed.retain(|_| self.random.chance(45));
        if self.random.chance(6) {
            listed.push(self.pick(&["none", "__name__", "le", "job"]));
        }
        let quoted: Vec<String> = listed.iter().map(|label| quoted(label)).collect();
        let text = quoted.join(", ");
        if self.random.chance(65) {
            (format!(" by ({text})"), listed)
        } else {
            let left = labels.iter().filter(|l| !listed.contains(l)).cloned().collect();
            (format!(" without ({text})"), left)
        }
    }
}

/// A label name as it is written.
pub(super) fn quoted(label: &str) -> String {
    if label.contains('.') { format!("\"{label}\"") } else { label.to_owned() }
}
