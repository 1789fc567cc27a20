//! A set of ordinals as a bitmap: the union of many postings lists.

/// A set of numbers below a bound.
#[derive(Debug)]
pub(super) struct OrdinalSet {
    words: Vec<u64>,
}

impl OrdinalSet {
    /// The empty set of ordinals below `bound`; takes `bound / 8` bytes.
    pub(super) fn new(bound: u32) -> Self {
        Self { words: vec![0; (bound as usize).div_ceil(64)] }
    }

    /// Adds `len` ordinals from `start` on, all below the bound.
    pub(super) fn insert_run(&mut self, start: u32, len: u32) {
        let (mut at, end) = (start as usize, start as usize + len as usize);
        while at < end {
            let until = end.min((at / 64 + 1) * 64);
            let mask = (u64::MAX >> (64 - (until - at))) << (at % 64);
            self.words[at / 64] |= mask;
            at = until;
        }
    }

    pub(super) fn contains(&self, ordinal: u32) -> bool {
        self.words[ordinal as usize / 64] >> (ordinal % 64) & 1 == 1
    }

    /// The members in increasing order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let mut word = word;
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(i as u32 * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_across_words() {
        let mut set = OrdinalSet::new(200);
        for (start, len) in [(0, 1), (60, 10), (128, 64), (199, 1)] {
            set.insert_run(start, len);
        }
        let expected: Vec<u32> = (0..1).chain(60..70).chain(128..192).chain(199..200).collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
        assert!((0..200).all(|i| set.contains(i) == expected.contains(&i)));
    }
}
