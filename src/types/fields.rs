//! Reading little-endian fields from bytes that may be damaged.
//!
//! The manifest and the segment decode their fixed structures with this one cursor: every read is
//! bounds-checked, and an error names the field.

use super::DecodeError;

/// A cursor over encoded bytes; each read takes from the front.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes `n` bytes.
    pub(crate) fn bytes(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes `N` bytes as an array.
    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array(what)?))
    }

    /// Takes `n` reserved or padding bytes, which must be zero.
    pub(crate) fn zeros(&mut self, n: usize, what: &'static str) -> Result<(), DecodeError> {
        if self.bytes(n, what)?.iter().any(|&b| b != 0) {
            return Err(DecodeError::Invalid(what));
        }
        Ok(())
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading: bytes left over are an error.
    pub(crate) fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Invalid(what)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_names_the_field_that_is_cut() {
        let bytes = [1, 2, 0, 3, 0, 0, 0, 0, 0, 9];
        let mut fields = Fields::new(&bytes);
        assert_eq!(fields.u8("a"), Ok(1));
        assert_eq!(fields.u16("b"), Ok(2));
        assert_eq!(fields.u32("c"), Ok(3));
        assert_eq!(fields.zeros(2, "d"), Ok(()));
        assert_eq!(fields.clone().zeros(1, "e"), Err(DecodeError::Invalid("e")));
        assert_eq!(fields.clone().finish("tail"), Err(DecodeError::Invalid("tail")));
        assert_eq!(fields.u64("f"), Err(DecodeError::Truncated("f")));
        assert_eq!(fields.bytes(1, "g"), Ok(&[9][..]), "a failed read takes nothing");
        assert_eq!(fields.bytes(usize::MAX, "h"), Err(DecodeError::Truncated("h")));
        assert_eq!(fields.finish("tail"), Ok(()));
    }
}
