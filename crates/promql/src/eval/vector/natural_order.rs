//! The natural order of texts, in which runs of digits count as numbers: `a2` is before `a10`.
//!
//! `sort_by_label` orders values of labels by it. It is the order of the package
//! `facette/natsort`, which Prometheus uses, with its peculiarity: see [`number`].

use std::cmp::Ordering;

/// Compares `a` and `b` from left to right. Where both have a digit, the numbers that begin there
/// are compared, else the bytes; a text that ends first is before.
///
/// A total order of classes: texts that differ in leading zeros only (`a7`, `a07`) are equal.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(left), Some(right)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        let order = if left.is_ascii_digit() && right.is_ascii_digit() {
            let (left, right) = (number(&mut a), number(&mut b));
            // Of two numbers without leading zeros the longer one is larger.
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        } else {
            let order = left.cmp(right);
            (a, b) = (&a[1..], &b[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the number at the start of `rest`, which begins with a digit, without leading zeros.
///
/// The byte behind zeros is the first of the number also if it is no digit, and digits behind it are
/// part of it: the number of `0.5` is `.5`, two bytes long and so above the `1` of `1.5`.
fn number<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let zeros = rest.iter().take_while(|byte| **byte == b'0').count();
    // Only zeros: the last one is the number.
    let start = zeros.min(rest.len() - 1);
    let digits = rest[start + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, behind) = rest[start..].split_at(1 + digits);
    *rest = behind;
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let ordered = [
            "",
            "0",
            "2",
            "10",
            "99999999999999999999999",
            "a",
            "a1",
            "a1b",
            "a1b2",
            "a1b10",
            "a2",
            "a10",
            "ab",
            "b",
        ];
        for (at, a) in ordered.iter().enumerate() {
            for (other, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        for (a, b) in [("1.2.3", "1.11.3"), ("4m5", "4m600"), ("4m600", "4m1000"), ("x", "شهر")]
        {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(compare("a007", "a7"), Ordering::Equal);
        assert_eq!(compare("a007b2", "a7b10"), Ordering::Less);
        assert_eq!(compare("000", "0"), Ordering::Equal);
        assert_eq!(compare("0.5", "1.5"), Ordering::Greater, "as in Prometheus");
        assert_eq!(compare("0.5", "0.10"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn the_order_is_total(
            a in "[019a.:]{0,6}", b in "[019a.:]{0,6}", c in "[019a.:]{0,6}"
        ) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le(), "{} {} {}", a, b, c);
            }
            if compare(&a, &b).is_eq() {
                prop_assert_eq!(compare(&a, &c), compare(&b, &c));
            }
        }
    }
}
