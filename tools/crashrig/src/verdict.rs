//! What a rig has to say in the end: good, or a list of what was not.

/// What was found wrong; nothing is good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    faults: Vec<String>,
}

impl Verdict {
    /// Notes `fault` unless `holds`.
    pub(crate) fn require(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.faults.push(fault.into());
        }
    }

    /// Whether nothing was found wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// The last lines of a report.
    pub(crate) fn print(&self) {
        for fault in &self.faults {
            println!("FAULT             {fault}");
        }
        println!("verdict           {}", if self.is_good() { "good" } else { "FAILED" });
    }
}
