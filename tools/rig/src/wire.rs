//! The protobuf wire format as far as remote write and remote read need it.
//!
//! Writing appends to a `Vec`; reading walks a message field by field without copying, is safe for any
//! bytes and leaves unknown fields to the caller. Groups (wire types 3 and 4) are refused.

use std::fmt;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends inside a field.
    Truncated,
    /// A varint of more than 64 bits.
    VarintTooLong,
    /// Field number 0, or a wire type that is not in use.
    BadKey,
    /// A field has another wire type than its definition says.
    UnexpectedType,
    /// A string is not UTF-8.
    NotUtf8,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the message ends inside a field",
            Self::VarintTooLong => "a varint has more than 64 bits",
            Self::BadKey => "a field has an impossible number or type",
            Self::UnexpectedType => "a field has another type than defined",
            Self::NotUtf8 => "a string is not UTF-8",
        })
    }
}

impl std::error::Error for WireError {}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an integer field; an `int64` is passed as its two's complement.
pub fn put_integer(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

/// Appends an eight-byte field (`double`, `fixed64`) from its bits.
pub fn put_fixed64(out: &mut Vec<u8>, field: u32, bits: u64) {
    put_varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&bits.to_le_bytes());
}

/// Appends a string, bytes or message field.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'m> {
    /// An integer, an enum or a bool.
    Integer(u64),
    /// Eight bytes, little-endian.
    Fixed64(u64),
    /// Four bytes, little-endian.
    Fixed32(u32),
    /// A string, bytes, a message or packed numbers.
    Bytes(&'m [u8]),
}

impl<'m> Field<'m> {
    /// The content as an integer.
    ///
    /// # Errors
    /// [`WireError::UnexpectedType`].
    pub fn integer(self) -> Result<u64, WireError> {
        if let Self::Integer(value) = self { Ok(value) } else { Err(WireError::UnexpectedType) }
    }

    /// The bits of a double.
    ///
    /// # Errors
    /// [`WireError::UnexpectedType`].
    pub fn fixed64(self) -> Result<u64, WireError> {
        if let Self::Fixed64(bits) = self { Ok(bits) } else { Err(WireError::UnexpectedType) }
    }

    /// The content as bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedType`].
    pub fn bytes(self) -> Result<&'m [u8], WireError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WireError::UnexpectedType) }
    }

    /// The content as text.
    ///
    /// # Errors
    /// [`WireError::UnexpectedType`], [`WireError::NotUtf8`].
    pub fn text(self) -> Result<&'m str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::NotUtf8)
    }
}

/// Walks the fields of one message in the order written.
#[derive(Debug, Clone)]
pub struct Fields<'m> {
    rest: &'m [u8],
}

impl<'m> Fields<'m> {
    /// The fields of `message`.
    #[must_use]
    pub fn new(message: &'m [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and content; `None` at the end.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not a message; the reader must not be used further then.
    pub fn next_field(&mut self) -> Result<Option<(u32, Field<'m>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| WireError::BadKey)?;
        if number == 0 {
            return Err(WireError::BadKey);
        }
        let field = match key & 7 {
            0 => Field::Integer(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(WireError::BadKey),
        };
        Ok(Some((number, field)))
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
            if at == 9 {
                break;
            }
        }
        Err(if self.rest.len() > 9 { WireError::VarintTooLong } else { WireError::Truncated })
    }

    fn take(&mut self, length: usize) -> Result<&'m [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Result<Vec<(u32, Field<'_>)>, WireError> {
        let mut fields = Fields::new(message);
        let mut found = Vec::new();
        while let Some(field) = fields.next_field()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, u64::MAX);
        put_fixed64(&mut message, 2, 0x7ff0_0000_0000_0002);
        put_bytes(&mut message, 1000, "ноль".as_bytes());
        put_integer(&mut message, 3, 0);
        let found = all(&message).unwrap();
        assert_eq!(found[0], (1, Field::Integer(u64::MAX)));
        assert_eq!(found[1], (2, Field::Fixed64(0x7ff0_0000_0000_0002)));
        assert_eq!(found[2].0, 1000);
        assert_eq!(found[2].1.text(), Ok("ноль"));
        assert_eq!(found[3], (3, Field::Integer(0)));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn known_bytes() {
        // The documentation's example: field 1 = 150.
        assert_eq!(all(&[0x08, 0x96, 0x01]), Ok(vec![(1, Field::Integer(150))]));
        assert_eq!(all(&[0x0d, 1, 0, 0, 0]), Ok(vec![(1, Field::Fixed32(1))]));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, &[7; 200]);
        for length in 1..message.len() {
            assert_eq!(all(&message[..length]), Err(WireError::Truncated), "{length}");
        }
        for length in 1..9 {
            let mut message = Vec::new();
            put_fixed64(&mut message, 1, 1);
            assert_eq!(all(&message[..length]), Err(WireError::Truncated), "{length}");
        }
    }

    #[test]
    fn impossible_fields_are_refused() {
        assert_eq!(all(&[0x00, 0x01]), Err(WireError::BadKey), "field 0");
        assert_eq!(all(&[0x0b]), Err(WireError::BadKey), "a group");
        let mut too_long = vec![0x08];
        too_long.extend([0xff; 9]);
        too_long.push(0x02);
        assert_eq!(all(&too_long), Err(WireError::VarintTooLong));
        too_long[10] = 0x01;
        assert_eq!(all(&too_long), Ok(vec![(1, Field::Integer(u64::MAX))]));
        too_long[10] = 0x81;
        too_long.push(0);
        assert_eq!(all(&too_long), Err(WireError::VarintTooLong));
        let mut huge = vec![0x0a];
        put_varint(&mut huge, u64::MAX);
        assert_eq!(
            all(&huge),
            Err(WireError::Truncated),
            "a length that the message does not have"
        );
        assert_eq!(Field::Bytes(&[0xff]).text(), Err(WireError::NotUtf8));
        assert_eq!(Field::Integer(1).bytes(), Err(WireError::UnexpectedType));
    }
}
