//! The natural order of texts, in which runs of digits count as numbers: `a2` is before `a10`.
//!
//! `sort_by_label` orders values of labels by it. It is the order of the package `facette/natsort`,
//! which Prometheus uses, where that is an order at all.

use std::cmp::Ordering;

/// Compares `a` and `b` piece by piece: runs of digits, and what is between them. Two numbers are
/// compared by value, other pieces by their bytes; a text that ends first is before.
///
/// A total order of classes: texts that differ in leading zeros only (`a7`, `a07`) are equal.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let order = match (piece(&mut a), piece(&mut b)) {
            ([], []) => return Ordering::Equal,
            (left @ [b'0'..=b'9', ..], right @ [b'0'..=b'9', ..]) => {
                let (left, right) = (without_zeros(left), without_zeros(right));
                // Of two numbers without leading zeros the longer one is larger.
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
            (left, right) => left.cmp(right),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the first piece of `rest`: all digits that it begins with, or all other bytes; empty at the
/// end.
fn piece<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let is_number = rest.first().is_some_and(u8::is_ascii_digit);
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit() == is_number).count();
    let (piece, behind) = rest.split_at(len);
    *rest = behind;
    piece
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    &number[zeros..]
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
        for (a, b) in
            [("a1", "a "), ("1.2.3", "1.11.3"), ("4m5", "4m600"), ("4m600", "4m1000"), ("x", "شهر")]
        {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(compare("a007", "a7"), Ordering::Equal);
        assert_eq!(compare("a007b2", "a7b10"), Ordering::Less);
        assert_eq!(compare("000", "0"), Ordering::Equal);
        assert_eq!(compare("00", "1"), Ordering::Less);
        assert_eq!(compare("0.5", "1.5"), Ordering::Less);
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
