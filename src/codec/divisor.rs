//! The greatest common divisor of a column's distances from its first value.
//!
//! Bytes in pages, prices in ticks, doubles that came from `f32`: the divisor is taken out before
//! differences, which lose its bits. Distances wrap; the arithmetic is exact for every `i64`.

/// The divisor of the distances, at least 1 (also if all are zero).
pub(super) fn common_divisor(ints: &[i64]) -> u64 {
    let Some((&first, rest)) = ints.split_first() else { return 1 };
    let mut divisor = 0u64;
    for &int in rest {
        let distance = int.wrapping_sub(first).unsigned_abs();
        // The first test is the usual way out of the division.
        if distance != 0 && (divisor == 0 || distance % divisor != 0) {
            divisor = gcd(divisor, distance);
            if divisor == 1 {
                break;
            }
        }
    }
    // 2^63 is no i64, and comes only of distances that are all 0 or i64::MIN.
    if divisor == 0 || divisor > i64::MAX as u64 { 1 } else { divisor }
}

/// Appends the quotients of the distances of all but the first value.
pub(super) fn quotients(ints: &[i64], divisor: u64, out: &mut Vec<i64>) {
    let Some((&first, rest)) = ints.split_first() else { return };
    let divisor = divisor as i64;
    if divisor == 1 {
        out.extend(rest.iter().map(|int| int.wrapping_sub(first)));
    } else if divisor & (divisor - 1) == 0 {
        // An exact division: the shift drops zeros only.
        let shift = divisor.trailing_zeros();
        out.extend(rest.iter().map(|int| int.wrapping_sub(first) >> shift));
    } else {
        out.extend(rest.iter().map(|int| int.wrapping_sub(first) / divisor));
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn divisors_of_small_columns() {
        assert_eq!(common_divisor(&[]), 1);
        assert_eq!(common_divisor(&[5]), 1);
        assert_eq!(common_divisor(&[5, 5, 5]), 1);
        assert_eq!(common_divisor(&[7, 4103, -8185]), 4096);
        assert_eq!(common_divisor(&[0, 30, 42]), 6);
        assert_eq!(common_divisor(&[0, i64::MIN]), 1);
    }

    proptest! {
        #[test]
        fn quotients_restore_the_column(ints: Vec<i64>, scale in 1i64..1 << 40) {
            for ints in [ints.clone(), ints.iter().map(|&i| (i >> 41) * scale).collect()] {
                let divisor = common_divisor(&ints);
                let mut quotients_of = Vec::new();
                quotients(&ints, divisor, &mut quotients_of);
                for (q, &int) in quotients_of.iter().zip(ints.iter().skip(1)) {
                    prop_assert_eq!(ints[0].wrapping_add(q.wrapping_mul(divisor as i64)), int);
                }
            }
        }
    }
}
