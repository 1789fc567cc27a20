//! The wire format of protocol buffers, as far as remote write and remote read need it.
//!
//! [`Reader`] walks the fields of one message without copying or recursing; nested messages are
//! readers over a part of the same bytes, so every error carries its offset in the whole body.
//! Groups, which no version of these messages has, are refused.

use std::fmt;

/// A body is not well-formed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireError {
    /// Where in the decoded body, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub fault: WireFault,
}

/// What can be wrong on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireFault {
    /// The message ends inside a varint.
    TruncatedVarint,
    /// A varint has more than ten bytes or more than 64 bits.
    OverlongVarint,
    /// The message ends inside a fixed-size field.
    TruncatedFixed,
    /// A length reaches beyond the message.
    Length {
        /// The length found, in bytes.
        declared: u64,
        /// What is left of the message, in bytes.
        left: usize,
    },
    /// A field number is zero or above 2^29 - 1.
    FieldNumber(u64),
    /// A field that is known has another wire type than its own.
    WireType {
        /// Message and field.
        field: &'static str,
        /// The wire type found.
        found: u8,
    },
    /// A wire type that does not exist, or a group.
    UnsupportedWireType(u8),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "protobuf, byte {}: ", self.offset)?;
        match self.fault {
            WireFault::TruncatedVarint => f.write_str("the message ends inside a varint"),
            WireFault::OverlongVarint => f.write_str("a varint has more than 64 bits"),
            WireFault::TruncatedFixed => f.write_str("the message ends inside a fixed-size field"),
            WireFault::Length { declared, left } => {
                write!(f, "a field of {declared} bytes in a message with {left} bytes left")
            }
            WireFault::FieldNumber(number) => {
                write!(f, "the field number {number} is out of range")
            }
            WireFault::WireType { field, found } => write!(f, "{field} has the wire type {found}"),
            WireFault::UnsupportedWireType(found) => {
                write!(f, "the wire type {found} is a group or does not exist")
            }
        }
    }
}

impl std::error::Error for WireError {}

/// The wire types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// The number and wire type that open a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    pub(crate) number: u32,
    pub(crate) wire_type: WireType,
    /// Where the tag starts in the body.
    pub(crate) offset: usize,
}

impl Tag {
    /// Checks the wire type of a known field.
    pub(crate) fn expect(self, wire_type: WireType, field: &'static str) -> Result<(), WireError> {
        if self.wire_type == wire_type {
            return Ok(());
        }
        let fault = WireFault::WireType { field, found: self.wire_type as u8 };
        Err(WireError { offset: self.offset, fault })
    }
}

/// Reads the fields of one message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends in the body; its start is this less its length.
    end: usize,
}

impl<'a> Reader<'a> {
    /// A reader of a whole body.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body, end: body.len() }
    }

    /// Where the next byte is in the body.
    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// The bytes that have not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next tag, or `None` at the end of the message.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let offset = self.offset();
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError { offset, fault: WireFault::FieldNumber(number) });
        }
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            5 => WireType::Fixed32,
            other => {
                let fault = WireFault::UnsupportedWireType(other as u8);
                return Err(WireError { offset, fault });
            }
        };
        Ok(Some(Tag { number: number as u32, wire_type, offset }))
    }

    /// A varint of at most 64 bits; needless leading zero groups are legal on the wire.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        let fault = if self.rest.len() < 10 {
            WireFault::TruncatedVarint
        } else {
            WireFault::OverlongVarint
        };
        Err(WireError { offset: self.offset(), fault })
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<8>() else {
            return Err(WireError { offset: self.offset(), fault: WireFault::TruncatedFixed });
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// A length and that many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let offset = self.offset();
        let declared = self.varint()?;
        let len = usize::try_from(declared).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            let fault = WireFault::Length { declared, left: self.rest.len() };
            return Err(WireError { offset, fault });
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `len` bytes, or `None` if there are fewer.
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A length and a nested message of that many bytes.
    #[inline]
    pub(crate) fn message(&mut self) -> Result<Reader<'a>, WireError> {
        let bytes = self.bytes()?;
        Ok(Reader { rest: bytes, end: self.offset() })
    }

    /// Takes the next field if it is bytes with the one-byte `tag` and a length below 128: the common
    /// case, without the cost of the general one.
    #[inline]
    pub(crate) fn take_short(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (bytes, rest) = split_short(self.rest, tag)?;
        self.rest = rest;
        Some(bytes)
    }

    /// Skips fields such as [`Reader::take_short`] takes and says how many.
    #[inline]
    pub(crate) fn skip_short(&mut self, tag: u8) -> usize {
        let mut count = 0;
        while self.take_short(tag).is_some() {
            count += 1;
        }
        count
    }

    /// Skips the content of a field that is not known.
    pub(crate) fn skip(&mut self, tag: Tag) -> Result<(), WireError> {
        match tag.wire_type {
            WireType::Varint => self.varint().map(|_| ()),
            WireType::Fixed64 => self.fixed64().map(|_| ()),
            WireType::Bytes => self.bytes().map(|_| ()),
            WireType::Fixed32 => {
                let Some((_, rest)) = self.rest.split_at_checked(4) else {
                    let fault = WireFault::TruncatedFixed;
                    return Err(WireError { offset: self.offset(), fault });
                };
                self.rest = rest;
                Ok(())
            }
        }
    }
}

/// Splits off a field of bytes with the one-byte `tag` and a length below 128.
#[inline]
pub(crate) fn split_short(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let ([first, len], rest) = bytes.split_first_chunk::<2>()?;
    if *first != tag || *len >= 0x80 {
        return None;
    }
    rest.split_at_checked(usize::from(*len))
}

/// Appends a varint.
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The bytes that [`write_varint`] appends.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a field with a varint.
pub(crate) fn write_integer(number: u32, value: u64, out: &mut Vec<u8>) {
    write_tag(number, WireType::Varint, out);
    write_varint(value, out);
}

/// Appends a field of bytes.
pub(crate) fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_tag(number, WireType::Bytes, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends the tag of a field.
pub(crate) fn write_tag(number: u32, wire_type: WireType, out: &mut Vec<u8>) {
    write_varint(u64::from(number) << 3 | wire_type as u64, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(bytes: &[u8]) -> Result<u64, WireError> {
        Reader::new(bytes).varint()
    }

    #[test]
    fn varints_at_their_limits() {
        assert_eq!(varint(&[0x80, 0x00]), Ok(0), "padding is legal");
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&max), Ok(u64::MAX));
        let fault = |bytes: &[u8]| varint(bytes).unwrap_err().fault;
        assert_eq!(fault(&[]), WireFault::TruncatedVarint);
        assert_eq!(fault(&[0x80]), WireFault::TruncatedVarint);
        assert_eq!(fault(&max[..9]), WireFault::TruncatedVarint);
        assert_eq!(fault(&[0xff; 10]), WireFault::OverlongVarint);
        let mut bits_65 = max;
        bits_65[9] = 2;
        assert_eq!(fault(&bits_65), WireFault::OverlongVarint);
    }

    #[test]
    fn tags_that_no_message_has_are_refused() {
        let fault = |bytes: &[u8]| Reader::new(bytes).tag().unwrap_err().fault;
        assert_eq!(fault(&[0x02]), WireFault::FieldNumber(0));
        assert_eq!(fault(&[0x82, 0x80, 0x80, 0x80, 0x10]), WireFault::FieldNumber(1 << 29));
        for wire_type in [3, 4, 6, 7] {
            assert_eq!(fault(&[8 | wire_type]), WireFault::UnsupportedWireType(wire_type));
        }
    }

    #[test]
    fn lengths_are_checked_before_use() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]);
        let fault = WireFault::Length { declared: (1 << 63) - 1, left: 1 };
        assert_eq!(reader.bytes().unwrap_err(), WireError { offset: 0, fault });
        let mut reader = Reader::new(&[0, 2, 7, 2, 9]);
        assert_eq!(reader.bytes(), Ok(&[][..]));
        assert_eq!(reader.bytes(), Ok(&[7, 2][..]));
        assert_eq!(reader.bytes().unwrap_err().offset, 4);
    }

    #[test]
    fn fields_that_are_not_known_are_skipped_and_not_entered() {
        // A hundred thousand messages, each in the one around it.
        let mut deep = Vec::new();
        for _ in 0..100_000 {
            let mut head = Vec::new();
            write_tag(1, WireType::Bytes, &mut head);
            write_varint(deep.len() as u64, &mut head);
            // From the inside out, so that each is written once: turned round at the end.
            deep.extend(head.iter().rev());
        }
        deep.reverse();
        let mut body = Vec::new();
        write_bytes(9, &deep, &mut body);
        write_integer(10, u64::MAX, &mut body);
        write_tag(11, WireType::Fixed64, &mut body);
        body.extend([0xff; 8]);
        write_tag(12, WireType::Fixed32, &mut body);
        body.extend([0xff; 4]);
        let skip_all = |body: &[u8]| {
            let (mut reader, mut fields) = (Reader::new(body), 0);
            while let Some(tag) = reader.tag()? {
                reader.skip(tag)?;
                fields += 1;
            }
            Ok::<_, WireError>(fields)
        };
        assert_eq!(skip_all(&body), Ok(4));
        // Cut anywhere in the last three fields, it ends between two of them or is an error.
        let short = &body[body.len() - (1 + 10) - (1 + 8) - (1 + 4)..];
        for end in 0..short.len() {
            let skipped = skip_all(&short[..end]);
            match end {
                0 | 11 | 20 => assert!(skipped.is_ok(), "{end}"),
                _ => assert!(skipped.unwrap_err().offset <= end, "{end}"),
            }
        }
        // Groups have no length by which they could be skipped.
        let group = [9 << 3 | 3, 1 << 3, 0, 9 << 3 | 4];
        assert_eq!(skip_all(&group).unwrap_err().fault, WireFault::UnsupportedWireType(3));
    }

    proptest! {
        #[test]
        fn varints_read_back(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_varint(value, &mut out);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(varint(&out), Ok(value));
        }
    }
}
