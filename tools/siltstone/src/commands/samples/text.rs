//! What both kinds of rows need on their way to stdout: a buffer, pages of a table, columns of labels.

use std::collections::BTreeSet;
use std::io::{self, Write};

use siltstone::{Error, Labels, Snapshot};
use siltstone_server::protocol::number;
use siltstone_server::selection::{Selection, unlimited};

use crate::csv;
use crate::failure::{Failure, Result};
use crate::table::{Align, Table};

/// Bytes collected before they are written.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// Most rows of a page of a table, which is aligned as a whole.
const PAGE_ROWS: usize = 1000;
/// Most bytes of the cells of a page, unless one row has more.
const PAGE_BYTES: usize = 1 << 20;

/// Where the text goes.
pub(super) struct Output {
    out: io::StdoutLock<'static>,
    /// What is not written yet.
    pub(super) text: Vec<u8>,
    /// Whether anything has been written.
    begun: bool,
    result: io::Result<()>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { out: io::stdout().lock(), text: Vec::new(), begun: false, result: Ok(()) }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Writes the text if it is at least so many bytes; false when nobody reads it.
    pub(super) fn pass_on(&mut self, bytes: usize) -> bool {
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
    pub(super) fn end(&mut self, read: siltstone::Result<()>) -> siltstone::Result<()> {
        if matches!(read, Err(Error::SnapshotGone { .. })) && !self.begun {
            self.text.clear();
        } else if self.pass_on(0) {
            self.result = self.out.flush();
        }
        read
    }

    /// Whether all of it was written.
    pub(super) fn close(self) -> Result<()> {
        self.result.map_err(|error| Failure::output(&error))
    }
}

/// A table that becomes text page by page.
pub(super) struct Pages {
    table: Table,
    /// Of the cells since the last page.
    bytes: usize,
}

impl Pages {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { table: Table::new(columns), bytes: 0 }
    }

    /// Adds a row, and its page to `text` when that is full.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N], text: &mut Vec<u8>) {
        self.bytes += cells.iter().map(String::len).sum::<usize>();
        self.table.row(cells);
        if self.table.rows() >= PAGE_ROWS || self.bytes >= PAGE_BYTES {
            self.end(text);
        }
    }

    /// Adds the rows since the last page to `text`, and the headings if there was none.
    pub(super) fn end(&mut self, text: &mut Vec<u8>) {
        self.bytes = 0;
        text.extend_from_slice(self.table.page().as_bytes());
    }
}

/// The label names that have columns in CSV.
pub(super) struct LabelColumns(Vec<String>);

impl LabelColumns {
    /// Writes the headings: `fixed` ones, then the label names of the selected series.
    pub(super) fn begin(
        fixed: &str,
        snapshot: &Snapshot,
        selection: &Selection,
        text: &mut Vec<u8>,
    ) -> siltstone::Result<Self> {
        let names: BTreeSet<String> = selection.label_names(snapshot, &unlimited())?;
        text.extend_from_slice(fixed.as_bytes());
        for name in &names {
            text.push(b',');
            csv::field(name, text);
        }
        csv::end(text);
        Ok(Self(names.into_iter().collect()))
    }

    /// What ends each record of a series.
    pub(super) fn of(&self, labels: &Labels) -> Vec<u8> {
        let mut ending = Vec::new();
        for name in &self.0 {
            ending.push(b',');
            csv::field(labels.get(name).unwrap_or(""), &mut ending);
        }
        csv::end(&mut ending);
        ending
    }
}

/// A value as a cell of a table.
pub(super) fn value_cell(value: f64) -> String {
    let mut text = Vec::with_capacity(24);
    number::write(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
