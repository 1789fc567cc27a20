//! The footer: what a segment is and where its sections are.

use super::header::check_version;
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, FEATURE_LOST, Fields, Timestamp};

pub(super) const MAGIC: [u8; 8] = *b"SILTFOOT";
const END_MAGIC: [u8; 8] = *b"SILT.END";
/// Length, CRC and magic at the end of a footer, in bytes.
pub(super) const TAIL_BYTES: usize = 16;
/// Bytes of a footer in front of its lists.
pub(super) const FIXED_BYTES: usize = 136;
const SECTION_BYTES: usize = 32;

const MUST_UNDERSTAND: u16 = 1;
const HAS_BLOCKS: u16 = 2;
const SECTION_VERSION: u16 = 1;
/// Bit of `features`: value blocks may be zstd frames.
pub(super) const FEATURE_DENSE: u32 = 1;
/// Bits of `features` that this build understands.
pub(super) const FEATURES_KNOWN: u32 = FEATURE_DENSE | FEATURE_LOST;

/// The sections of format version 1, by their tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum SectionTag {
    /// Value blocks, timestamp blocks and chunk blocks.
    Data = 1,
    /// Where the timestamp blocks are.
    TimeTable = 2,
    /// The timestamp blocks again.
    TimeTwins = 3,
    /// The blocks of the label index.
    LabelBlocks = 4,
    /// The resident part of the label index.
    LabelTop = 5,
    /// Where the chunk blocks are.
    ChunkTop = 6,
    /// The timestamp table again.
    TimeTableTwin = 7,
}

impl SectionTag {
    const ALL: [Self; 7] = [
        Self::Data,
        Self::TimeTable,
        Self::TimeTwins,
        Self::LabelBlocks,
        Self::LabelTop,
        Self::ChunkTop,
        Self::TimeTableTwin,
    ];

    /// What error messages and listings call the section.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::TimeTable => "timestamp table",
            Self::TimeTwins => "timestamp twins",
            Self::LabelBlocks => "label blocks",
            Self::LabelTop => "label top",
            Self::ChunkTop => "chunk top",
            Self::TimeTableTwin => "second timestamp table",
        }
    }

    pub(super) fn from_number(tag: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u32 == tag)
    }

    fn flags(self) -> u16 {
        match self {
            Self::Data | Self::TimeTwins | Self::LabelBlocks => MUST_UNDERSTAND | HAS_BLOCKS,
            _ => MUST_UNDERSTAND,
        }
    }
}

/// One entry of the directory of sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) tag: u32,
    pub(super) flags: u16,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) crc: u32,
}

impl Section {
    /// A section of blocks that carry their own checksums.
    pub(super) fn of_blocks(tag: SectionTag, offset: u64, len: u64) -> Self {
        debug_assert!(tag.flags() & HAS_BLOCKS != 0, "{tag:?} has a checksum as a whole");
        Self { tag: tag as u32, flags: tag.flags(), offset, len, crc: 0 }
    }

    /// A section with one checksum.
    pub(super) fn of_bytes(tag: SectionTag, offset: u64, bytes: &[u8]) -> Self {
        debug_assert!(tag.flags() & HAS_BLOCKS == 0, "{tag:?} has a checksum for each block");
        let crc = crc32c(0, bytes);
        Self { tag: tag as u32, flags: tag.flags(), offset, len: bytes.len() as u64, crc }
    }

    /// Whether the section's blocks carry their own checksums.
    pub(super) fn has_blocks(&self) -> bool {
        self.flags & HAS_BLOCKS != 0
    }

    pub(super) fn end(&self) -> u64 {
        self.offset + self.len // checked when decoded
    }
}

/// What a segment says of itself; see FORMAT.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) features: u32,
    pub(super) uuid: [u8; 16],
    pub(super) file_number: u64,
    pub(super) min_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
    pub(super) min_seq: u64,
    pub(super) max_seq: u64,
    pub(super) tombstone_seq: u64,
    pub(super) window_start: Timestamp,
    pub(super) window_ticks: u64,
    pub(super) samples: u64,
    pub(super) chunks: u64,
    pub(super) series: u32,
    pub(super) columns: u32,
    pub(super) level: u8,
    pub(super) replaces: Vec<u64>,
    pub(super) sections: Vec<Section>,
}

impl Footer {
    /// The length of the encoded footer in bytes, known before the sections' places are.
    pub(super) fn encoded_bytes(replaces: usize, sections: usize) -> usize {
        FIXED_BYTES + 8 * replaces + SECTION_BYTES * sections + TAIL_BYTES
    }

    /// Whether value blocks may be zstd frames.
    pub(super) fn is_dense(&self) -> bool {
        self.features & FEATURE_DENSE != 0
    }

    /// The section `tag`, which decoding has made sure of.
    pub(super) fn section(&self, tag: SectionTag) -> &Section {
        self.sections
            .iter()
            .find(|section| section.tag == tag as u32)
            .expect("a decoded footer has every section of its version")
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&super::header::VERSION.to_le_bytes());
        out.extend_from_slice(&self.features.to_le_bytes());
        out.extend_from_slice(&self.uuid);
        for long in [
            self.file_number,
            self.min_timestamp as u64,
            self.max_timestamp as u64,
            self.min_seq,
            self.max_seq,
            self.tombstone_seq,
            self.window_start as u64,
            self.window_ticks,
            self.samples,
            self.chunks,
        ] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        out.extend_from_slice(&self.series.to_le_bytes());
        out.extend_from_slice(&self.columns.to_le_bytes());
        out.extend_from_slice(&[self.level, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&(self.replaces.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        debug_assert_eq!(out.len(), FIXED_BYTES);
        for number in &self.replaces {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for section in &self.sections {
            out.extend_from_slice(&section.tag.to_le_bytes());
            out.extend_from_slice(&SECTION_VERSION.to_le_bytes());
            out.extend_from_slice(&section.flags.to_le_bytes());
            out.extend_from_slice(&section.offset.to_le_bytes());
            out.extend_from_slice(&section.len.to_le_bytes());
            out.extend_from_slice(&section.crc.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        out.extend_from_slice(&((out.len() + TAIL_BYTES) as u32).to_le_bytes());
        let crc = crc32c(0, &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&END_MAGIC);
        out
    }

    /// Decodes a whole footer and checks it against the size of its file. Returns its CRC too.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Result<(Self, u32), DecodeError> {
        let (stated_bytes, crc) = decode_tail(bytes)?;
        if stated_bytes as usize != bytes.len() {
            return Err(DecodeError::Invalid("length of the footer"));
        }
        if crc32c(0, &bytes[..bytes.len() - TAIL_BYTES + 4]) != crc {
            return Err(DecodeError::Checksum("footer"));
        }
        let mut fields = Fields::new(&bytes[..bytes.len() - TAIL_BYTES]);
        if fields.array("magic")? != MAGIC {
            return Err(DecodeError::Invalid("magic of a footer"));
        }
        check_version(fields.u32("version")?)?;
        let features = fields.u32("features")?;
        if features & !FEATURES_KNOWN != 0 {
            return Err(newer());
        }
        let mut footer = Self {
            features,
            uuid: fields.array("uuid")?,
            file_number: fields.u64("file number")?,
            min_timestamp: fields.i64("time range")?,
            max_timestamp: fields.i64("time range")?,
            min_seq: fields.u64("seq range")?,
            max_seq: fields.u64("seq range")?,
            tombstone_seq: fields.u64("tombstone seq")?,
            window_start: fields.i64("window")?,
            window_ticks: fields.u64("window")?,
            samples: fields.u64("samples")?,
            chunks: fields.u64("chunks")?,
            series: fields.u32("series")?,
            columns: fields.u32("timestamp columns")?,
            level: fields.u8("level")?,
            replaces: Vec::new(),
            sections: Vec::new(),
        };
        fields.zeros(7, "reserved footer bytes")?;
        let replaces = fields.u32("number of replaced segments")?;
        let sections = fields.u32("number of sections")?;
        for _ in 0..replaces {
            footer.replaces.push(fields.u64("replaced segments")?);
        }
        for _ in 0..sections {
            footer.sections.push(decode_section(&mut fields)?);
        }
        fields.finish("length of the footer")?;
        footer.check(file_bytes)?;
        Ok((footer, crc))
    }

    fn check(&self, file_bytes: u64) -> Result<(), DecodeError> {
        if self.min_timestamp > self.max_timestamp || self.min_seq > self.max_seq {
            return Err(DecodeError::Invalid("extent of the segment"));
        }
        let mut end = 0;
        for section in &self.sections {
            let section_end = section.offset.checked_add(section.len);
            if section.offset < end
                || !section.offset.is_multiple_of(8)
                || section_end.is_none_or(|section_end| section_end > file_bytes)
            {
                return Err(DecodeError::Invalid("place of a section"));
            }
            end = section.end();
            match SectionTag::from_number(section.tag) {
                Some(tag) if section.flags != tag.flags() => {
                    return Err(DecodeError::Invalid("flags of a section"));
                }
                None if section.flags & MUST_UNDERSTAND != 0 => return Err(newer()),
                _ => {}
            }
        }
        for tag in SectionTag::ALL {
            if self.sections.iter().filter(|section| section.tag == tag as u32).count() != 1 {
                return Err(DecodeError::Invalid("list of sections"));
            }
        }
        Ok(())
    }
}

/// Reads the end of a footer: its length in bytes and its CRC.
pub(super) fn decode_tail(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    let tail = bytes.last_chunk::<TAIL_BYTES>().ok_or(DecodeError::Truncated("footer"))?;
    let mut fields = Fields::new(tail);
    let footer_bytes = fields.u32("length of the footer")?;
    let crc = fields.u32("footer CRC")?;
    if fields.array("magic")? != END_MAGIC {
        return Err(DecodeError::Invalid("end of a footer"));
    }
    Ok((footer_bytes, crc))
}

/// How long the footer is that starts with the bytes `head`; `None` if they are too few.
pub(super) fn stated_bytes(head: &[u8]) -> Option<u64> {
    let mut fields = Fields::new(head.get(FIXED_BYTES - 8..FIXED_BYTES)?);
    let replaces = fields.u32("number of replaced segments").ok()?;
    let sections = fields.u32("number of sections").ok()?;
    Some(Footer::encoded_bytes(replaces as usize, sections as usize) as u64)
}

fn decode_section(fields: &mut Fields<'_>) -> Result<Section, DecodeError> {
    let tag = fields.u32("section tag")?;
    let version = fields.u16("section version")?;
    let flags = fields.u16("section flags")?;
    let offset = fields.u64("section offset")?;
    let len = fields.u64("section length")?;
    let crc = fields.u32("section CRC")?;
    fields.zeros(4, "reserved bytes of a section")?;
    if flags & !(MUST_UNDERSTAND | HAS_BLOCKS) != 0 {
        return Err(DecodeError::Invalid("section flags"));
    }
    if version != SECTION_VERSION && flags & MUST_UNDERSTAND != 0 {
        return Err(newer());
    }
    if flags & HAS_BLOCKS != 0 && crc != 0 {
        return Err(DecodeError::Invalid("section CRC"));
    }
    Ok(Section { tag, flags, offset, len, crc })
}

/// A file that uses what came after this build's version, though it has the same number.
fn newer() -> DecodeError {
    let supported = super::header::VERSION;
    DecodeError::Newer { found: supported + 1, supported }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        let sections = SectionTag::ALL
            .into_iter()
            .enumerate()
            .map(|(i, tag)| Section {
                tag: tag as u32,
                flags: tag.flags(),
                offset: 64 + 16 * i as u64,
                len: 9,
                crc: if tag.flags() & HAS_BLOCKS != 0 { 0 } else { 5 },
            })
            .collect();
        Footer {
            features: FEATURE_DENSE,
            uuid: [1; 16],
            file_number: 4,
            min_timestamp: i64::MIN,
            max_timestamp: i64::MAX,
            min_seq: 5,
            max_seq: 6,
            tombstone_seq: 2,
            window_start: -86_400_000,
            window_ticks: 86_400_000,
            samples: 12,
            chunks: 3,
            series: 2,
            columns: 1,
            level: 1,
            replaces: vec![1, 2],
            sections,
        }
    }

    #[test]
    fn round_trip_every_bit_and_every_cut() {
        let good = footer().encode();
        assert_eq!(good.len(), Footer::encoded_bytes(2, 7));
        assert_eq!(Footer::decode(&good, 4096).unwrap().0, footer());
        assert_eq!(decode_tail(&good).unwrap().0 as usize, good.len());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&bad, 4096).is_err(), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(Footer::decode(&good[..cut], 4096).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn sections_that_cannot_be_are_refused() {
        let refusal = |change: &dyn Fn(&mut Footer)| {
            let mut bad = footer();
            change(&mut bad);
            Footer::decode(&bad.encode(), 4096).unwrap_err()
        };
        for change in [
            &(|f: &mut Footer| f.sections[0].offset = 63) as &dyn Fn(&mut Footer),
            &|f| f.sections[6].len = 4096,
            &|f| f.sections[6].len = u64::MAX,
            &|f| f.sections[1].offset = 64,
        ] {
            assert_eq!(refusal(change), DecodeError::Invalid("place of a section"));
        }
        let missing = refusal(&|f| f.sections.truncate(6));
        assert_eq!(missing, DecodeError::Invalid("list of sections"));
        let twice = refusal(&|f| {
            let more = Section { offset: 1024, ..f.sections[0] };
            f.sections.push(more);
        });
        assert_eq!(twice, DecodeError::Invalid("list of sections"));
        let bare = refusal(&|f| f.sections[0].flags = HAS_BLOCKS);
        assert_eq!(bare, DecodeError::Invalid("flags of a section"));
    }

    #[test]
    fn an_unknown_section_is_skipped_unless_it_must_be_understood() {
        let with = |flags| {
            let mut more = footer();
            more.sections.push(Section { tag: 99, flags, offset: 1024, len: 7, crc: 0 });
            Footer::decode(&more.encode(), 4096).map(|(found, _)| found == more)
        };
        assert_eq!(with(0), Ok(true));
        assert_eq!(with(MUST_UNDERSTAND), Err(DecodeError::Newer { found: 2, supported: 1 }));
    }
}
