//! The syntax of replacement templates, that of Go's `Regexp.Expand`.
//!
//! Used by [`AnchoredRegex`](super::AnchoredRegex).

use super::re2::is_letter_or_digit;

/// The group that a template refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference<'t> {
    Index(usize),
    Name(&'t str),
}

/// Group numbers with more digits are names, as in Go, whose limit is that of a number below this one
/// before its last digit.
const INDEX_MAX: usize = 100_000_000;

/// The parts of a template: literal text, and the reference that follows it.
pub(super) fn parts(template: &str) -> impl Iterator<Item = (&str, Option<Reference<'_>>)> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(at) = rest.find('$') else {
            return Some((std::mem::take(&mut rest), None));
        };
        let after = &rest[at + 1..];
        let text = &rest[..at];
        if let Some((reference, after)) = reference(after) {
            rest = after;
            return Some((text, Some(reference)));
        }
        // `$$`, or a dollar that begins nothing.
        let text = &rest[..=at];
        rest = after.strip_prefix('$').unwrap_or(after);
        Some((text, None))
    })
}

/// Reads what follows a dollar: the reference and the rest of the template.
fn reference(after: &str) -> Option<(Reference<'_>, &str)> {
    let braced = after.strip_prefix('{');
    let text = braced.unwrap_or(after);
    let end = text.find(|c| c != '_' && !is_letter_or_digit(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced.is_some() {
        rest = rest.strip_prefix('}')?;
    }
    let index = index(name).map_or(Reference::Name(name), Reference::Index);
    Some((index, rest))
}

fn index(name: &str) -> Option<usize> {
    if name.len() > 1 && name.starts_with('0') {
        return None;
    }
    name.bytes().try_fold(0, |index, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        (index < INDEX_MAX).then_some(index * 10 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(template: &str) -> String {
        let show = |(text, reference): (&str, Option<Reference<'_>>)| match reference {
            None => text.to_owned(),
            Some(Reference::Index(index)) => format!("{text}<{index}>"),
            Some(Reference::Name(name)) => format!("{text}<'{name}'>"),
        };
        parts(template).map(show).collect()
    }

    #[test]
    fn references_are_read_as_in_go() {
        for (template, expected) in [
            ("", ""),
            ("plain متن", "plain متن"),
            ("$1-${2}$0", "<1>-<2><0>"),
            ("$name${name}x", "<'name'><'name'>x"),
            ("$1x ${1}x", "<'1x'> <1>x"),
            ("$نام ${۷}", "<'نام'> <'۷'>"),
            ("$$1 $$$1 $", "$1 $<1> $"),
            ("${1 ${} ${a-b} $-", "${1 ${} ${a-b} $-"),
            ("$01 $0_ $999999999 $1000000000", "<'01'> <'0_'> <999999999> <'1000000000'>"),
        ] {
            assert_eq!(shown(template), expected, "{template}");
        }
    }
}
