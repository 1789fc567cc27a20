//! What a rig has to say in the end: good, or a list of what was not.

/// What was found wrong; nothing is good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    faults: Vec<String>,
}

impl Verdict {
    /// Notes `fault` unless `holds`.
    pub fn require(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.faults.push(fault.into());
        }
    }

    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// The last lines of a report.
    #[expect(clippy::print_stdout, reason = "the report is the product")]
    pub fn print(&self) {
        for fault in &self.faults {
            println!("FAULT             {fault}");
        }
        println!("verdict           {}", self.word());
    }

    /// The verdict in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if self.is_good() { "good" } else { "FAILED" }
    }

    /// What was found wrong.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Adds what another found wrong, each with `place` before it.
    pub fn add(&mut self, place: &str, other: &Self) {
        self.faults.extend(other.faults.iter().map(|fault| format!("{place}: {fault}")));
    }
}
