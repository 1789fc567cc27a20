//! Says what a segment is made of: for `siltstone show`, and for the statistics of bytes by kind.

use std::collections::BTreeMap;

use super::bytes_by_kind::BytesByKind;
use super::dense::FrameUnpacker;
use super::footer::SectionTag;
use super::group::ValueBlock;
use super::header::HEADER_BYTES;
use super::open::Segment;
use crate::codec::{self, Encoding, Form, Mode};
use crate::error::Result;
use crate::sys::Bytes;
use crate::types::{DecodeError, SegmentMeta, Timestamp};

/// What a segment is made of. Sizes are in bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentDescription {
    /// What the manifest says of the segment.
    pub meta: SegmentMeta,
    /// The sections in order of their offsets.
    pub sections: Vec<SectionDescription>,
    /// Where the bytes went.
    pub bytes: BytesByKind,
    /// The number of chunks.
    pub chunks: u64,
    /// The number of timestamp columns, which chunks share.
    pub timestamp_columns: u32,
    /// How the chunks' values are encoded: `constant`, `packed`, `planes` (decimals bit-packed or in
    /// byte-aligned planes), `ordered` (the bits of the doubles, in either form), `raw`; `lost` for lost chunks, which have none.
    pub encodings: BTreeMap<&'static str, EncodingShare>,
    /// The blocks that hold them.
    pub value_blocks: ValueBlockShare,
    /// The segments that this one replaced.
    pub replaces: Vec<u64>,
    /// The seq up to which deletes are carried out.
    pub tombstone_seq: u64,
    /// First tick and length of the window that the segment is confined to.
    pub window: Option<(Timestamp, u64)>,
}

/// One section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionDescription {
    /// What it is called.
    pub name: &'static str,
    /// Where it starts.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// The chunks of one encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodingShare {
    /// Chunks.
    pub chunks: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of their value streams, before zstd.
    pub bytes: u64,
}

/// The value blocks, and which of them are zstd frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ValueBlockShare {
    /// Value blocks.
    pub blocks: u64,
    /// Their bytes in the file, without padding.
    pub bytes: u64,
    /// Those that are zstd frames.
    pub compressed: u64,
    /// The bytes of those in the file.
    pub compressed_bytes: u64,
    /// The bytes of the streams in those.
    pub unpacked_bytes: u64,
}

impl Segment {
    /// Describes the segment. Reads and decodes its values, but checks no checksum of them: that is
    /// what [`verify`](Self::verify) is for.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn describe(&self) -> Result<SegmentDescription> {
        let loaded = self.loaded()?;
        let footer = &loaded.footer;
        let bytes = self.bytes_by_kind()?;
        let (encodings, value_blocks) = self.encodings()?;
        let name = |tag| SectionTag::from_number(tag).map_or("unknown", SectionTag::name);
        let sections = footer.sections.iter().map(|section| SectionDescription {
            name: name(section.tag),
            offset: section.offset,
            bytes: section.len,
        });
        Ok(SegmentDescription {
            meta: *self.meta(),
            sections: sections.collect(),
            bytes,
            chunks: footer.chunks,
            timestamp_columns: footer.columns,
            encodings,
            value_blocks,
            replaces: footer.replaces.clone(),
            tombstone_seq: footer.tombstone_seq,
            window: self.window()?,
        })
    }

    /// First tick and length of the window that the segment is confined to, from its footer alone.
    ///
    /// # Errors
    /// As [`describe`](Self::describe).
    pub fn window(&self) -> Result<Option<(Timestamp, u64)>> {
        let footer = &self.loaded()?.footer;
        Ok((footer.window_ticks > 0).then_some((footer.window_start, footer.window_ticks)))
    }

    /// Where the bytes of the file went, from its footer alone.
    ///
    /// # Errors
    /// As [`describe`](Self::describe).
    pub fn bytes_by_kind(&self) -> Result<BytesByKind> {
        if let Some(bytes) = self.bytes_by_kind.get() {
            return Ok(*bytes);
        }
        let loaded = self.loaded()?;
        let len = |tag| loaded.footer.section(tag).len;
        let mut bytes = BytesByKind {
            timestamps: len(SectionTag::TimeTable) + len(SectionTag::TimeTableTwin),
            chunk_index: len(SectionTag::ChunkTop),
            labels: len(SectionTag::LabelBlocks) + len(SectionTag::LabelTop),
            other: HEADER_BYTES as u64 + 2 * u64::from(self.meta().footer_bytes),
            ..BytesByKind::default()
        };
        for block in &loaded.time_table {
            bytes.timestamps += 2 * u64::from(block.len);
        }
        for block in &loaded.chunk_top {
            bytes.chunk_index += u64::from(block.stored_bytes);
        }
        let known = bytes.timestamps + bytes.chunk_index + bytes.labels + bytes.other;
        bytes.values = self.meta().file_bytes.saturating_sub(known);
        Ok(*self.bytes_by_kind.get_or_init(|| bytes))
    }

    fn encodings(&self) -> Result<(BTreeMap<&'static str, EncodingShare>, ValueBlockShare)> {
        let loaded = self.loaded()?;
        let ordinals: Vec<u32> = (0..loaded.footer.series).collect();
        let mut shares: BTreeMap<&'static str, EncodingShare> = BTreeMap::new();
        let mut blocks = ValueBlockShare::default();
        let mut block: Option<(u64, Bytes)> = None;
        let mut frame = FrameUnpacker::default();
        for entry in self.chunks(&ordinals, Timestamp::MIN..=Timestamp::MAX)? {
            let entry = entry?;
            if entry.loss.is_some() {
                let share = shares.entry("lost").or_default();
                share.chunks += 1;
                share.samples += u64::from(entry.rows());
                continue;
            }
            let place = entry.block;
            let damaged = |e| self.damaged("value block", place.offset, e);
            if block.as_ref().is_none_or(|(offset, _)| *offset != place.offset) {
                let len = u64::from(place.len);
                let bytes = self.read(&loaded.file, place.offset, len, "value block")?;
                blocks.add(&place);
                if place.unpacked > 0 {
                    frame.unpack(&bytes, place.unpacked as usize).map_err(damaged)?;
                }
                block = Some((place.offset, bytes));
            }
            let stored = block.as_ref().map_or(&[][..], |(_, bytes)| bytes);
            let streams = if place.unpacked > 0 { frame.unpacked() } else { stored };
            let start = entry.start as usize;
            let encoding = streams
                .get(start..start + entry.len as usize)
                .ok_or(DecodeError::Invalid("place of a chunk"))
                .and_then(|stream| codec::describe_f64(stream, entry.rows() as usize))
                .map_err(damaged)?;
            let share = shares.entry(kind_name(&encoding)).or_default();
            share.chunks += 1;
            share.samples += u64::from(entry.rows());
            share.bytes += u64::from(entry.len);
        }
        Ok((shares, blocks))
    }
}

impl ValueBlockShare {
    fn add(&mut self, place: &ValueBlock) {
        self.blocks += 1;
        self.bytes += u64::from(place.len);
        if place.unpacked > 0 {
            self.compressed += 1;
            self.compressed_bytes += u64::from(place.len);
            self.unpacked_bytes += u64::from(place.unpacked);
        }
    }
}

fn kind_name(encoding: &Encoding) -> &'static str {
    match (encoding.mode, encoding.form) {
        (Mode::Constant, _) => "constant",
        (Mode::Decimal, Form::Packed) => "packed",
        (Mode::Decimal, Form::Planes) => "planes",
        (Mode::Ordered, _) => "ordered",
        (Mode::Raw, _) => "raw",
    }
}
