//! The finite set of values that a pattern denotes, where it is small enough to be listed.
//!
//! Used by [`Pattern`](super::pattern::Pattern). A pattern that spells its values out, thousands of
//! them, is listed; one that multiplies (`[a-z]{3}`) only as far as [`LITERALS_MAX`].

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Most literals that a short pattern is expanded to. A long one may have as many as it has bytes.
const LITERALS_MAX: usize = 64;
/// Most bytes of those literals together, or four times the bytes of a long pattern.
const LITERALS_BYTES_MAX: usize = 64 << 10;
/// Most literals and bytes that are copied on the way.
const WORK_MAX: usize = 4 << 20;

/// All strings that the sequence `parts` matches, sorted, or `None` if they are too many to be listed
/// for a pattern of this length or are not known.
pub(super) fn expand(parts: &[Hir], pattern_bytes: usize) -> Option<Vec<String>> {
    let mut expander = Expander {
        count_max: pattern_bytes.max(LITERALS_MAX),
        bytes_max: (4 * pattern_bytes).max(LITERALS_BYTES_MAX),
        work: WORK_MAX,
    };
    let literals = expander.sequence(parts)?;
    let strings: Result<Vec<_>, _> = literals.into_iter().map(String::from_utf8).collect();
    let mut strings = strings.ok()?;
    strings.sort_unstable();
    strings.dedup();
    Some(strings)
}

struct Expander {
    count_max: usize,
    bytes_max: usize,
    /// How much more may be copied.
    work: usize,
}

impl Expander {
    fn sequence(&mut self, parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
        let mut done = vec![Vec::new()];
        for part in parts {
            let next = self.one(part)?;
            done = self.cross(&done, &next)?;
        }
        Some(done)
    }

    fn one(&mut self, hir: &Hir) -> Option<Vec<Vec<u8>>> {
        match hir.kind() {
            HirKind::Empty => Some(vec![Vec::new()]),
            HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
            HirKind::Class(Class::Unicode(class)) => {
                let count: usize = class.iter().map(|range| range.len()).sum();
                let chars = class.iter().flat_map(|range| range.start()..=range.end());
                (count <= LITERALS_MAX).then(|| chars.map(|c| c.to_string().into_bytes()).collect())
            }
            HirKind::Class(Class::Bytes(class)) => {
                // The class that matches nothing; every other class here is of characters.
                class.ranges().is_empty().then(Vec::new)
            }
            HirKind::Look(_) => None,
            HirKind::Repetition(repetition) => self.repetition(repetition),
            HirKind::Capture(capture) => self.one(&capture.sub),
            HirKind::Concat(parts) => self.sequence(parts),
            HirKind::Alternation(branches) => {
                let mut all = Vec::new();
                for branch in branches {
                    all.extend(self.one(branch)?);
                    self.check(&all)?;
                }
                Some(all)
            }
        }
    }

    fn repetition(&mut self, repetition: &Repetition) -> Option<Vec<Vec<u8>>> {
        let max = repetition.max.filter(|&max| max as usize <= LITERALS_MAX)?;
        let once = self.one(&repetition.sub)?;
        let mut done = vec![Vec::new()];
        let mut all = if repetition.min == 0 { done.clone() } else { Vec::new() };
        for times in 1..=max {
            done = self.cross(&done, &once)?;
            if times >= repetition.min {
                all.extend_from_slice(&done);
            }
            self.check(&all)?;
        }
        Some(all)
    }

    /// Each of `left` followed by each of `right`.
    fn cross(&mut self, left: &[Vec<u8>], right: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let count = left.len().checked_mul(right.len()).filter(|&count| count <= self.count_max)?;
        let bytes = |set: &[Vec<u8>]| set.iter().map(Vec::len).sum::<usize>();
        let total = bytes(left) * right.len() + bytes(right) * left.len();
        self.work = self.work.checked_sub(count + total).filter(|_| total <= self.bytes_max)?;
        let pairs = left.iter().flat_map(|l| right.iter().map(move |r| [&l[..], &r[..]].concat()));
        Some(pairs.collect())
    }

    fn check(&mut self, all: &[Vec<u8>]) -> Option<()> {
        self.work = self.work.checked_sub(1)?;
        (all.len() <= self.count_max).then_some(())
    }
}
