//! What rows need on their way to stdout: a buffer, pages of a table, columns of labels.

use std::collections::BTreeSet;
use std::io::{self, Write};

use siltstone::Error;

use crate::csv;
use crate::failure::{Failure, Result};
use crate::table::{Align, Table};

/// Bytes collected before they are written.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// Most rows of a page of a table, which is aligned as a whole.
const PAGE_ROWS: usize = 1000;
/// Most bytes of the cells of a page, unless one row has more.
const PAGE_BYTES: usize = 1 << 20;

/// Where the text goes.
pub(crate) struct Output {
    out: io::StdoutLock<'static>,
    /// What is not written yet.
    pub(crate) text: Vec<u8>,
    /// Whether anything has been written.
    begun: bool,
    result: io::Result<()>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { out: io::stdout().lock(), text: Vec::new(), begun: false, result: Ok(()) }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Writes the text if it is at least so many bytes; false when nobody reads it.
    pub(crate) fn pass_on(&mut self, bytes: usize) -> bool {
        if self.text.len() >= bytes && !self.text.is_empty() {
            if self.result.is_ok() {
                self.begun = true;
                self.result = self.out.write_all(&self.text);
            }
            self.text.clear();
        }
        self.result.is_ok()
    }

    /// Ends a reading of the store, which may have failed: writes the rest of the text, or forgets it
    /// if the reading can start over.
    pub(crate) fn end(&mut self, read: siltstone::Result<()>) -> siltstone::Result<()> {
        if matches!(read, Err(Error::SnapshotGone { .. })) && !self.begun {
            self.text.clear();
        } else {
            self.flush();
        }
        read
    }

    /// Writes the rest of the text; whether all of it was written.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush();
        self.close()
    }

    fn flush(&mut self) {
        if self.pass_on(0) {
            self.result = self.out.flush();
        }
    }

    /// Whether all of it was written.
    pub(crate) fn close(self) -> Result<()> {
        self.result.map_err(|error| Failure::output(&error))
    }
}

/// A table that becomes text page by page.
pub(crate) struct Pages {
    table: Table,
    /// Of the cells since the last page.
    bytes: usize,
}

impl Pages {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { table: Table::new(columns), bytes: 0 }
    }

    /// Adds a row, and its page to `text` when that is full.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N], text: &mut Vec<u8>) {
        self.bytes += cells.iter().map(String::len).sum::<usize>();
        self.table.row(cells);
        if self.table.rows() >= PAGE_ROWS || self.bytes >= PAGE_BYTES {
            self.end(text);
        }
    }

    /// Adds the rows since the last page to `text`, and the headings if there was none.
    pub(crate) fn end(&mut self, text: &mut Vec<u8>) {
        self.bytes = 0;
        text.extend_from_slice(self.table.page().as_bytes());
    }
}

/// The label names that have columns in CSV.
pub(crate) struct LabelColumns(Vec<String>);

impl LabelColumns {
    /// Writes the headings: `fixed` ones, then the label names.
    pub(crate) fn begin(fixed: &str, names: BTreeSet<String>, text: &mut Vec<u8>) -> Self {
        text.extend_from_slice(fixed.as_bytes());
        for name in &names {
            text.push(b',');
            csv::field(name, text);
        }
        csv::end(text);
        Self(names.into_iter().collect())
    }

    /// What ends each record of a series, of which `value` tells the labels; empty without one.
    pub(crate) fn of<'a>(&self, value: impl Fn(&str) -> &'a str) -> Vec<u8> {
        let mut ending = Vec::new();
        for name in &self.0 {
            ending.push(b',');
            csv::field(value(name), &mut ending);
        }
        csv::end(&mut ending);
        ending
    }
}
