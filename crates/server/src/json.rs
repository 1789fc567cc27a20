//! JSON objects and arrays as they are written, for answers of a few members.

use std::fmt::Write;

use crate::protocol::json_lines::string;

/// A JSON object as it is written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(mut self, name: &'static str, value: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // A String takes everything.
        let _ = write!(self.0, "\"{name}\":{value}");
        self
    }

    /// A number.
    pub(crate) fn number(self, name: &'static str, value: u64) -> Self {
        self.raw(name, &value.to_string())
    }

    pub(crate) fn flag(self, name: &'static str, value: bool) -> Self {
        self.raw(name, if value { "true" } else { "false" })
    }

    pub(crate) fn text(self, name: &'static str, value: &str) -> Self {
        let value = string(value);
        self.raw(name, &value)
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON array of items that are JSON.
pub(crate) fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}
