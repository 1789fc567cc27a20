//! Unicode's simple case folding: which characters `(?i)` takes for the same.
//!
//! The table is made from that of `regex_syntax` when a pattern first folds. A class is then folded
//! in time that depends on the table, not on the number of characters in the class.

use std::sync::OnceLock;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// All characters that fold lie in this range.
const FOLDING: std::ops::RangeInclusive<char> = 'A'..='\u{1ffff}';

/// Adds to `class` what its characters fold to; returns how many characters were added or were there.
pub(super) fn fold(class: &mut ClassUnicode) -> usize {
    let mut partners = Vec::new();
    for range in class.ranges() {
        partners.extend(partners_of(range.start(), range.end()).map(single));
    }
    let count = partners.len();
    class.union(&ClassUnicode::new(partners));
    count
}

/// `c` and what it folds to, if it folds at all.
pub(super) fn folded(c: char) -> Option<ClassUnicode> {
    let mut all: Vec<_> = partners_of(c, c).map(single).collect();
    (!all.is_empty()).then(|| {
        all.push(single(c));
        ClassUnicode::new(all)
    })
}

fn single(c: char) -> ClassUnicodeRange {
    ClassUnicodeRange::new(c, c)
}

/// What the characters from `start` to `end` fold to.
fn partners_of(start: char, end: char) -> impl Iterator<Item = char> {
    let table = table();
    let from = table.partition_point(|&(c, _)| c < start);
    table[from..].iter().take_while(move |&&(c, _)| c <= end).map(|&(_, partner)| partner)
}

/// Pairs of a character and another one that it folds to, sorted.
fn table() -> &'static [(char, char)] {
    static TABLE: OnceLock<Vec<(char, char)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut pairs = Vec::new();
        for c in FOLDING {
            let mut class = ClassUnicode::new([single(c)]);
            class.try_case_fold_simple().expect("regex_syntax is built with its Unicode tables");
            let others = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            pairs.extend(others.filter(|&other| other != c).map(|other| (c, other)));
        }
        pairs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_fold_as_the_tables_say() {
        for (start, end) in [('\0', '@'), ('\0', char::MAX), ('a', 'k'), ('\u{20000}', char::MAX)] {
            let class = || ClassUnicode::new([ClassUnicodeRange::new(start, end)]);
            let (mut ours, mut theirs) = (class(), class());
            fold(&mut ours);
            theirs.try_case_fold_simple().unwrap();
            assert_eq!(ours, theirs, "{start:?} {end:?}");
        }
        let orbit = |c| folded(c).map(|class| class.ranges().to_vec());
        assert_eq!(orbit('k').unwrap(), [single('K'), single('k'), single('\u{212a}')]);
        assert_eq!(orbit('ع'), None);
    }
}
