//! A set of slots or pair ids as bits.

/// Members are below the bound given at the start.
#[derive(Debug)]
pub(super) struct BitSet {
    words: Vec<u64>,
    len: usize,
}

impl BitSet {
    /// An empty set of numbers below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        Self { words: vec![0; bound.div_ceil(64)], len: 0 }
    }

    /// Adds `number`, which is below the bound.
    pub(super) fn insert(&mut self, number: u32) {
        let word = &mut self.words[number as usize / 64];
        let bit = 1 << (number % 64);
        self.len += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Whether `number` is a member; false above the bound.
    #[inline]
    pub(super) fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at as u32 * 64 + bit)
            })
        })
    }
}
