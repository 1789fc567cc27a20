//! Spans: which rows of which timestamp column a chunk has.

use std::sync::Arc;

use super::ROWS_MAX;
use crate::types::varint::{get_i64, get_u64, put_i64, put_u64};
use crate::types::{DecodeError, Timestamp};

/// The rows of a timestamp column that a chunk has. Chunks of one scrape target share a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// The number of the timestamp column.
    pub(super) column: u32,
    /// Rows of the chunk, 1 to [`ROWS_MAX`].
    pub(super) rows: u16,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) selection: RowSelection,
}

/// How a span selects rows of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowSelection {
    /// All of them.
    Whole,
    /// Neighbouring rows, from `start`.
    Range { start: u16 },
    /// Rows from `start`, interrupted by gaps.
    Gaps { start: u16, gaps: Arc<[Gap]> },
    /// Of no column: the timestamps are lost. `column` is 0, and `rows` is the most that there were.
    Unknown,
}

/// Rows taken, then rows left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) taken: u16,
    pub(super) skipped: u16,
}

/// The most gaps of a span, so that 64 spans fit in a chunk block whatever they are.
const GAPS_MAX: usize = 128;

/// What the next span is coded against.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpanContext {
    next_column: u32,
    last: Timestamp,
}

impl Span {
    /// Appends the span; `context` goes from one span of a group to the next.
    pub(super) fn encode(&self, context: &mut SpanContext, out: &mut Vec<u8>) {
        let is_known = self.times_are_known();
        let column = if is_known { self.column } else { context.next_column };
        put_i64(out, i64::from(column) - i64::from(context.next_column));
        out.push(match self.selection {
            RowSelection::Whole => 0,
            RowSelection::Range { .. } => 1,
            RowSelection::Gaps { .. } => 2,
            RowSelection::Unknown => 3,
        });
        put_u64(out, u64::from(self.rows - 1));
        put_i64(out, self.first.wrapping_sub(context.last));
        put_u64(out, self.last.wrapping_sub(self.first) as u64);
        match &self.selection {
            RowSelection::Whole | RowSelection::Unknown => {}
            RowSelection::Range { start } => put_u64(out, u64::from(*start)),
            RowSelection::Gaps { start, gaps } => {
                put_u64(out, u64::from(*start));
                put_u64(out, gaps.len() as u64);
                for gap in gaps.iter() {
                    put_u64(out, u64::from(gap.taken));
                    put_u64(out, u64::from(gap.skipped));
                }
            }
        }
        context.last = self.last;
        if is_known {
            context.next_column = self.column.wrapping_add(1);
        }
    }

    /// Whether its timestamps are those of a column.
    pub(super) fn times_are_known(&self) -> bool {
        self.selection != RowSelection::Unknown
    }

    /// Takes a span from the front of `input`.
    pub(super) fn decode(
        context: &mut SpanContext,
        input: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let column = get_i64(input)?
            .checked_add(i64::from(context.next_column))
            .and_then(|column| u32::try_from(column).ok())
            .ok_or(DecodeError::Invalid("timestamp column of a span"))?;
        let (&kind, rest) = input.split_first().ok_or(DecodeError::Truncated("span"))?;
        *input = rest;
        let rows = small(input, "rows of a span")?
            .checked_add(1)
            .filter(|&rows| usize::from(rows) <= ROWS_MAX)
            .ok_or(DecodeError::Invalid("rows of a span"))?;
        let first = context.last.wrapping_add(get_i64(input)?);
        let length = get_u64(input)?;
        let last = first
            .checked_add_unsigned(length)
            .filter(|_| length >= u64::from(rows - 1))
            .ok_or(DecodeError::Invalid("time range of a span"))?;
        let selection = match kind {
            0 => RowSelection::Whole,
            1 => RowSelection::Range { start: small(input, "start of a span")? },
            2 => decode_gaps(rows, input)?,
            3 if column == context.next_column => {
                context.last = last;
                return Ok(Self { column: 0, rows, first, last, selection: RowSelection::Unknown });
            }
            _ => return Err(DecodeError::Invalid("kind of a span")),
        };
        *context = SpanContext { next_column: column.wrapping_add(1), last };
        Ok(Self { column, rows, first, last, selection })
    }

    /// Appends the timestamps of the span to `out`, chosen from those of its column.
    pub(super) fn append_rows(
        &self,
        column: &[Timestamp],
        out: &mut Vec<Timestamp>,
    ) -> Result<(), DecodeError> {
        let damaged = DecodeError::Invalid("rows of a span");
        let rows = usize::from(self.rows);
        let base = out.len();
        match &self.selection {
            RowSelection::Whole if column.len() == rows => out.extend_from_slice(column),
            RowSelection::Whole => return Err(damaged),
            RowSelection::Unknown => {
                return Err(DecodeError::Invalid("timestamps of a lost chunk"));
            }
            RowSelection::Range { start } => {
                let start = usize::from(*start);
                out.extend_from_slice(column.get(start..start + rows).ok_or(damaged)?);
            }
            RowSelection::Gaps { start, gaps } => {
                let mut at = usize::from(*start);
                for gap in gaps.iter() {
                    let end = at + usize::from(gap.taken);
                    out.extend_from_slice(column.get(at..end).ok_or(damaged)?);
                    at = end + usize::from(gap.skipped);
                }
                let left = rows.checked_sub(out.len() - base).ok_or(damaged)?;
                out.extend_from_slice(column.get(at..at + left).ok_or(damaged)?);
            }
        }
        if out.get(base) != Some(&self.first) || out.last() != Some(&self.last) {
            return Err(DecodeError::Invalid("timestamps of a span"));
        }
        Ok(())
    }
}

impl RowSelection {
    /// How `wanted` can be selected from `column`, if at a price of at most one gap for every 16
    /// rows and 128 in all. Both are strictly increasing.
    pub(super) fn find(wanted: &[Timestamp], column: &[Timestamp]) -> Option<Self> {
        if wanted == column {
            return Some(Self::Whole);
        }
        let start = column.binary_search(wanted.first()?).ok()?;
        let gaps_max = (wanted.len() / 16).min(GAPS_MAX);
        let mut gaps = Vec::new();
        let (mut at, mut taken) = (start, 0u16);
        for &timestamp in wanted {
            let next = at + column.get(at..)?.iter().position(|&t| t >= timestamp)?;
            if column[next] != timestamp {
                return None;
            }
            if next > at {
                if gaps.len() == gaps_max {
                    return None;
                }
                gaps.push(Gap { taken, skipped: (next - at) as u16 });
                taken = 0;
            }
            taken += 1;
            at = next + 1;
        }
        let start = start as u16;
        if gaps.is_empty() {
            return Some(Self::Range { start });
        }
        Some(Self::Gaps { start, gaps: gaps.into() })
    }
}

fn decode_gaps(rows: u16, input: &mut &[u8]) -> Result<RowSelection, DecodeError> {
    let start = small(input, "start of a span")?;
    let count = small(input, "gaps of a span")?;
    if count == 0 || count >= rows || usize::from(count) > GAPS_MAX {
        return Err(DecodeError::Invalid("gaps of a span"));
    }
    let mut left = rows;
    let mut gaps = Vec::new();
    for _ in 0..count {
        let taken = small(input, "gaps of a span")?;
        let skipped = small(input, "gaps of a span")?;
        if taken == 0 || skipped == 0 || taken >= left {
            return Err(DecodeError::Invalid("gaps of a span"));
        }
        left -= taken;
        gaps.push(Gap { taken, skipped });
    }
    Ok(RowSelection::Gaps { start, gaps: gaps.into() })
}

/// A number below [`ROWS_MAX`], or equal.
fn small(input: &mut &[u8], what: &'static str) -> Result<u16, DecodeError> {
    match get_u64(input)? {
        number if number <= ROWS_MAX as u64 => Ok(number as u16),
        _ => Err(DecodeError::Invalid(what)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(column: u32, wanted: &[Timestamp], selection: RowSelection) -> Span {
        let (first, last) = (wanted[0], wanted[wanted.len() - 1]);
        Span { column, rows: wanted.len() as u16, first, last, selection }
    }

    fn round_trip(spans: &[Span]) {
        let mut bytes = Vec::new();
        let mut context = SpanContext::default();
        spans.iter().for_each(|span| span.encode(&mut context, &mut bytes));
        let (mut input, mut context) = (&bytes[..], SpanContext::default());
        for span in spans {
            assert_eq!(Span::decode(&mut context, &mut input).as_ref(), Ok(span));
        }
        assert!(input.is_empty());
        for cut in 0..bytes.len() {
            let (mut input, mut context) = (&bytes[..cut], SpanContext::default());
            let decoded = spans.iter().map(|_| Span::decode(&mut context, &mut input));
            assert!(decoded.collect::<Result<Vec<_>, _>>().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn ends_of_time_and_of_columns() {
        let ends = [i64::MIN, i64::MAX];
        round_trip(&[
            span(0, &ends, RowSelection::Whole),
            span(u32::MAX, &ends, RowSelection::Range { start: 8190 }),
            span(0, &[i64::MIN], RowSelection::Whole),
            span(
                7,
                &[5, 6, 9],
                RowSelection::Gaps { start: 3, gaps: [Gap { taken: 2, skipped: 2 }].into() },
            ),
            Span { column: 0, rows: 9, first: -5, last: 90, selection: RowSelection::Unknown },
            span(8, &[100, 101], RowSelection::Whole),
        ]);
    }

    #[test]
    fn equal_columns_cost_five_bytes() {
        let mut context = SpanContext { next_column: 9, last: 1_000_000 };
        let mut bytes = Vec::new();
        let wanted: Vec<i64> = (1..=1000).map(|i| 1_000_000 + i).collect();
        span(9, &wanted, RowSelection::Whole).encode(&mut context, &mut bytes);
        assert_eq!(bytes.len(), 7);
    }

    #[test]
    fn a_span_that_does_not_fit_its_column_is_refused() {
        let column: Vec<i64> = (0..10).collect();
        let mut out = Vec::new();
        let fails = |span: &Span, out: &mut Vec<i64>| span.append_rows(&column, out).is_err();
        assert!(fails(&span(0, &column[..9], RowSelection::Whole), &mut out));
        assert!(fails(&span(0, &column[5..], RowSelection::Range { start: 6 }), &mut out));
        assert!(fails(&span(0, &column[5..], RowSelection::Range { start: 60 }), &mut out));
        assert!(
            fails(&span(0, &column[5..7], RowSelection::Range { start: 6 }), &mut out),
            "shifted"
        );
        let gaps = [Gap { taken: 1, skipped: 9 }].into();
        assert!(fails(&span(0, &[0, 9], RowSelection::Gaps { start: 0, gaps }), &mut out));
    }

    proptest! {
        #[test]
        fn what_is_found_selects_the_same_rows(
            keep in prop::collection::vec(prop::bool::weighted(0.97), 1..300),
            from in 0usize..300, to in 0usize..300,
        ) {
            let column: Vec<i64> = (0..keep.len() as i64).map(|i| i * 15_000 + i % 3).collect();
            let range = from.min(column.len())..to.min(column.len());
            let wanted: Vec<i64> = if range.start < range.end {
                range.filter(|&i| keep[i]).map(|i| column[i]).collect()
            } else {
                column.clone()
            };
            prop_assume!(!wanted.is_empty());
            let Some(selection) = RowSelection::find(&wanted, &column) else {
                prop_assert!(wanted != column);
                return Ok(());
            };
            let span = span(3, &wanted, selection);
            round_trip(std::slice::from_ref(&span));
            let mut out = vec![77];
            prop_assert_eq!(span.append_rows(&column, &mut out), Ok(()));
            prop_assert_eq!(out[0], 77);
            prop_assert_eq!(&out[1..], &wanted[..]);
        }

        #[test]
        fn what_is_not_in_the_column_is_not_found(extra in 0i64..100) {
            let column: Vec<i64> = (0..100).map(|i| i * 2).collect();
            let mut wanted = column.clone();
            wanted.push(extra * 2 + 1);
            wanted.sort_unstable();
            prop_assert_eq!(RowSelection::find(&wanted, &column), None);
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let (mut input, mut context) = (&bytes[..], SpanContext::default());
            let column: Vec<i64> = (0..50).collect();
            while let Ok(span) = Span::decode(&mut context, &mut input) {
                let _ = span.append_rows(&column, &mut Vec::new());
            }
        }
    }
}
