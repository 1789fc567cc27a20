//! Lines that describe a series: its labels and its values, every repeat expanded.

use crate::histogram::{self, WrittenHistogram};
use crate::model::{Labels, STALE_BITS};
use crate::scan::{Scanner, whole_duration};

/// Most slots that one item may stand for: a slip of the pen must not fill the memory.
const REPEATS_MAX: usize = 1_000_000;

/// What a line gives for one of its times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Slot {
    /// Nothing.
    Omitted,
    Float(f64),
    Histogram(Box<WrittenHistogram>),
}

/// A series with its slots.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeriesLine {
    pub(crate) labels: Labels,
    pub(crate) slots: Vec<Slot>,
}

/// Start timestamps for the series of the next line: offsets from each slot's own time in
/// milliseconds, where they are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StartLine {
    pub(crate) labels: Labels,
    pub(crate) offsets: Vec<Option<i64>>,
}

/// Reads `name{label="value"} values...`.
pub(crate) fn read_series(line: &str) -> Result<SeriesLine, String> {
    let mut scanner = Scanner::new(line);
    let labels = read_labels(&mut scanner)?;
    let mut slots = Vec::new();
    while scanner.blanks() && !scanner.is_at_end() {
        read_item(&mut scanner, &mut slots)?;
    }
    if scanner.is_at_end() {
        Ok(SeriesLine { labels, slots })
    } else {
        Err(format!("cannot read {:?}", scanner.rest()))
    }
}

/// Reads a line of start timestamps, `name{label="value"}@st offsets...`; `None` if it is not one.
pub(crate) fn read_starts(line: &str) -> Option<Result<StartLine, String>> {
    let (series, offsets) = line.split_once([' ', '\t'])?;
    let series = series.strip_suffix("@st")?;
    Some(read_series(series).and_then(|described| {
        let mut all = Vec::new();
        for item in offsets.split_ascii_whitespace() {
            read_start_item(item, &mut all).map_err(|e| format!("{item:?}: {e}"))?;
        }
        Ok(StartLine { labels: described.labels, offsets: all })
    }))
}

fn read_labels(scanner: &mut Scanner<'_>) -> Result<Labels, String> {
    let mut labels = Labels::new();
    let name = scanner.identifier(true);
    if !name.is_empty() {
        labels.insert("__name__".to_owned(), name.to_owned());
    }
    let braces = scanner.rest().trim_start_matches([' ', '\t']);
    if braces.starts_with('{') && !braces.starts_with("{{") {
        scanner.blanks();
        scanner.expect("{")?;
        read_pairs(scanner, &mut labels)?;
    } else if name.is_empty() {
        return Err(format!("expected a series before {:?}", scanner.rest()));
    }
    labels.retain(|_, value| !value.is_empty());
    Ok(labels)
}

/// Reads what stands between braces, and the closing one.
fn read_pairs(scanner: &mut Scanner<'_>, labels: &mut Labels) -> Result<(), String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|e| e.to_string());
    loop {
        scanner.blanks();
        if scanner.eat("}") {
            return Ok(());
        }
        let name = match scanner.identifier(true) {
            "" => text(scanner.quoted()?)?,
            name => name.to_owned(),
        };
        scanner.blanks();
        if scanner.eat("=") {
            scanner.blanks();
            let value = text(scanner.quoted()?)?;
            labels.insert(name, value);
        } else {
            labels.insert("__name__".to_owned(), name);
        }
        scanner.blanks();
        if !scanner.eat(",") && scanner.peek() != Some('}') {
            return Err(format!("expected a comma or a brace before {:?}", scanner.rest()));
        }
    }
}

/// Reads one item of values and appends the slots that it stands for.
fn read_item(scanner: &mut Scanner<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    if scanner.eat("stale") {
        slots.push(Slot::Float(f64::from_bits(STALE_BITS)));
    } else if scanner.rest().starts_with("{{") {
        read_histograms(scanner, slots)?;
    } else if scanner.eat("_") {
        let count = if scanner.eat("x") { repeats(scanner)? } else { 1 };
        slots.extend(std::iter::repeat_n(Slot::Omitted, count));
    } else {
        read_floats(scanner, slots)?;
    }
    end_of_item(scanner)
}

/// Reads `a`, `axN`, `a+bxN` or `a-bxN`; the steps are added one after the other.
fn read_floats(scanner: &mut Scanner<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    let mut value = scanner.number()?;
    slots.push(Slot::Float(value));
    let step = match scanner.peek() {
        Some('+' | '-') => Some(scanner.number()?),
        _ => None,
    };
    if step.is_none() && scanner.peek() != Some('x') {
        return Ok(());
    }
    scanner.expect("x")?;
    for _ in 0..repeats(scanner)? {
        // A copy is not the sum with nothing: a NaN keeps its bits, and -0 its sign.
        value = step.map_or(value, |step| value + step);
        slots.push(Slot::Float(value));
    }
    Ok(())
}

fn read_histograms(scanner: &mut Scanner<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    let mut current = histogram::read(scanner)?;
    let sign = match scanner.peek() {
        Some('+') => 1.0,
        Some('-') => -1.0,
        Some('x') => {
            scanner.expect("x")?;
            let count = repeats(scanner)? + 1;
            slots.extend(std::iter::repeat_n(Slot::Histogram(Box::new(current)), count));
            return Ok(());
        }
        _ => {
            slots.push(Slot::Histogram(Box::new(current)));
            return Ok(());
        }
    };
    scanner.take_while(|c| c == '+' || c == '-');
    let step = histogram::read(scanner)?;
    scanner.expect("x")?;
    current.hint_written = step.hint_written;
    slots.push(Slot::Histogram(Box::new(current.clone())));
    for _ in 0..repeats(scanner)? {
        current.histogram = current.histogram.plus(sign, &step.histogram)?;
        slots.push(Slot::Histogram(Box::new(current.clone())));
    }
    Ok(())
}

fn repeats(scanner: &mut Scanner<'_>) -> Result<usize, String> {
    match scanner.unsigned()? {
        count if count <= REPEATS_MAX => Ok(count),
        count => Err(format!("{count} repeats are more than {REPEATS_MAX}")),
    }
}

fn end_of_item(scanner: &Scanner<'_>) -> Result<(), String> {
    match scanner.peek() {
        None | Some(' ' | '\t') => Ok(()),
        _ => Err(format!("expected a blank before {:?}", scanner.rest())),
    }
}

/// Reads one item of start timestamps and appends the offsets that it stands for.
fn read_start_item(item: &str, offsets: &mut Vec<Option<i64>>) -> Result<(), String> {
    let mut scanner = Scanner::new(item);
    if scanner.eat("_") {
        let count = if scanner.eat("x") { repeats(&mut scanner)? } else { 1 };
        offsets.extend(std::iter::repeat_n(None, count));
        return end_of_item(&scanner);
    }
    let mut offset = signed_duration(&mut scanner)?;
    let step = match scanner.peek() {
        Some('+' | '-') => signed_duration(&mut scanner)?,
        _ => 0,
    };
    offsets.push(Some(offset));
    if step != 0 || !scanner.is_at_end() {
        scanner.expect("x")?;
        for _ in 0..repeats(&mut scanner)? {
            offset += step;
            offsets.push(Some(offset));
        }
    }
    end_of_item(&scanner)
}

/// Reads a sign and one amount with its unit.
fn signed_duration(scanner: &mut Scanner<'_>) -> Result<i64, String> {
    let sign = if scanner.eat("-") { -1 } else { 1 };
    if sign > 0 {
        scanner.eat("+");
    }
    let rest = scanner.rest();
    let digits = scanner.take_while(|c| c.is_ascii_digit()).len();
    let unit = scanner.take_while(|c| c.is_ascii_alphabetic() && c != 'x').len();
    whole_duration(&rest[..digits + unit]).map(|milliseconds| sign * milliseconds)
}
