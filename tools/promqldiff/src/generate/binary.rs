//! Operators between vectors, and between vectors and scalars.

use super::aggregate::quoted;
use super::{Generator, Vector};

const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const SETS: &[&str] = &["and", "or", "unless"];

impl Generator<'_> {
    pub(super) fn binary(&mut self) -> Vector {
        match self.random.weighted(&[30, 10, 60]) {
            0 => {
                let (left, op, right) = (self.vector(), self.operator(), self.scalar());
                let left = self.operand(left);
                let right = self.maybe_parens(right);
                Vector { text: format!("{} {op} {right}", left.text), labels: left.labels }
            }
            1 => {
                let (left, op, right) = (self.scalar(), self.operator(), self.vector());
                let right = self.operand(right);
                let left = self.maybe_parens(left);
                Vector { text: format!("{left} {op} {}", right.text), labels: right.labels }
            }
            _ => self.between_vectors(),
        }
    }

    /// An operator that takes a scalar.
    fn operator(&mut self) -> String {
        if self.random.chance(60) {
            return self.pick(ARITHMETIC);
        }
        let op = self.pick(COMPARISONS);
        if self.random.chance(40) { format!("{op} bool") } else { op }
    }

    /// In parentheses mostly; without them the precedence of operators is tested.
    fn maybe_parens(&mut self, text: String) -> String {
        if self.random.chance(75) { format!("({text})") } else { text }
    }

    fn operand(&mut self, vector: Vector) -> Vector {
        Vector { text: self.maybe_parens(vector.text), labels: vector.labels }
    }

    fn between_vectors(&mut self) -> Vector {
        let left = self.vector();
        // The same expression again has the same series; another may share labels.
        let right = if self.random.chance(25) { left.clone() } else { self.vector() };
        let shared: Vec<String> =
            left.labels.iter().filter(|l| right.labels.contains(l)).cloned().collect();
        let set = self.random.chance(25);
        let op = if set { self.pick(SETS) } else { self.operator() };
        let (left, right) = (self.operand(left), self.operand(right));
        let mut on: Vec<String> = shared.clone();
        on.retain(|_| self.random.chance(70));
        let list: Vec<String> = on.iter().map(|label| quoted(label)).collect();
        let list = list.join(", ");
        // Many to one: the one side has a series for each match group.
        let group = !set && self.random.chance(30);
        let one = |vector: &Vector, g: &mut Self| {
            let op = g.pick(&["max", "sum", "count", "min"]);
            format!("{op} by ({list}) ({})", vector.text)
        };
        let included = match self.random.below(4) {
            0 => "job",
            1 => "version",
            2 => "team, none",
            _ => "",
        };
        let text = match self.random.weighted(&[30, 25, 25, 20]) {
            0 => format!("{} {op} {}", left.text, right.text),
            1 if group => {
                let right = if self.random.chance(80) { one(&right, self) } else { right.text };
                format!("{} {op} on ({list}) group_left ({included}) {right}", left.text)
            }
            2 if group => {
                let left = if self.random.chance(80) { one(&left, self) } else { left.text };
                format!("{left} {op} on ({list}) group_right ({included}) {}", right.text)
            }
            1 | 2 => {
                let right = if self.random.chance(70) { one(&right, self) } else { right.text };
                let left = if self.random.chance(60) { one(&left, self) } else { left.text };
                format!("{left} {op} on ({list}) {right}")
            }
            _ => {
                let ignored = self.ignored(&left.labels, &right.labels);
                let side =
                    if group { self.pick(&["", " group_left", " group_right"]) } else { "".into() };
                format!("{} {op} ignoring ({ignored}){side} {}", left.text, right.text)
            }
        };
        Vector { text, labels: shared }
    }

    /// Labels that only one side has, and some of those that both have.
    fn ignored(&mut self, left: &[String], right: &[String]) -> String {
        let mut ignored: Vec<String> = Vec::new();
        for label in left.iter().chain(right) {
            let both = left.contains(label) && right.contains(label);
            if !ignored.contains(label) && (!both || self.random.chance(20)) {
                ignored.push(label.clone());
            }
        }
        ignored.iter().map(|label| quoted(label)).collect::<Vec<_>>().join(", ")
    }
}
