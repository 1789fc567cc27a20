//! The top level of an index: what stays in memory to find every block.

use super::BlockRef;
use super::block;
use super::keys::KeyBlockEntry;
use super::postings;
use super::series::{BLOCK_SERIES_MAX, SeriesBlockEntry};
use crate::types::DecodeError;
use crate::types::varint::{get_u32, get_u64, put_u64};

const MAGIC: [u8; 4] = *b"SIDX";
/// The newest version of the format that this build reads, and the one it writes.
const VERSION: u16 = 1;

/// A key block and what is known without reading it.
#[derive(Debug)]
pub(super) struct KeyBlockPlace {
    pub(super) first_key: Box<[u8]>,
    /// Ordinal of its first key.
    pub(super) first_ordinal: u32,
    /// Number of keys, at least one.
    pub(super) count: u32,
    pub(super) place: BlockRef,
}

/// A series block and what is known without reading it.
#[derive(Debug)]
pub(super) struct SeriesBlockPlace {
    /// Ordinal of its first series.
    pub(super) first_ordinal: u32,
    /// Number of series, at least one.
    pub(super) count: u32,
    pub(super) place: BlockRef,
}

/// The decoded top level.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) series_count: u32,
    pub(super) key_count: u32,
    /// Length of the postings stream.
    pub(super) stream_bytes: u64,
    pub(super) keys: Vec<KeyBlockPlace>,
    pub(super) series: Vec<SeriesBlockPlace>,
}

/// Encodes the top level of an index whose blocks part holds postings, keys and series, in this
/// order.
pub(super) fn encode(
    stream_bytes: u64,
    keys: &[KeyBlockEntry],
    series: &[SeriesBlockEntry],
) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    put_u64(&mut out, stream_bytes);
    put_u64(&mut out, keys.len() as u64);
    for entry in keys {
        put_u64(&mut out, entry.first_key.len() as u64);
        out.extend_from_slice(&entry.first_key);
        put_u64(&mut out, u64::from(entry.count));
        put_u64(&mut out, u64::from(entry.len));
    }
    put_u64(&mut out, series.len() as u64);
    for entry in series {
        put_u64(&mut out, u64::from(entry.count));
        put_u64(&mut out, u64::from(entry.len));
    }
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Decodes and checks a top level.
pub(super) fn decode(bytes: &[u8]) -> Result<Top, DecodeError> {
    let (body, crc) = block::split_crc(bytes, "index top")?;
    let (header, mut rest) =
        body.split_first_chunk::<8>().ok_or(DecodeError::Truncated("index top"))?;
    let [m0, m1, m2, m3, v0, v1, reserved @ ..] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(DecodeError::Invalid("magic of index top"));
    }
    let version = u16::from_le_bytes([v0, v1]);
    if version > VERSION {
        return Err(DecodeError::Newer { found: version.into(), supported: VERSION.into() });
    }
    if crc32c::crc32c(body).to_le_bytes() != crc {
        return Err(DecodeError::Checksum("index top"));
    }
    if version == 0 || reserved != [0; 2] {
        return Err(DecodeError::Invalid("header of index top"));
    }
    let stream_bytes = get_u64(&mut rest)?;
    let end = postings::blocks_bytes(stream_bytes);
    let mut offset = end.ok_or(DecodeError::Invalid("length of postings"))?;
    let (keys, key_count) = decode_keys(&mut rest, &mut offset)?;
    let (series, series_count) = decode_series(&mut rest, &mut offset)?;
    if !rest.is_empty() || (key_count == 0) != (series_count == 0) {
        return Err(DecodeError::Invalid("index top"));
    }
    Ok(Top { series_count, key_count, stream_bytes, keys, series })
}

fn decode_keys(
    rest: &mut &[u8],
    offset: &mut u64,
) -> Result<(Vec<KeyBlockPlace>, u32), DecodeError> {
    let mut keys: Vec<KeyBlockPlace> = Vec::new();
    let mut ordinal = 0;
    for _ in 0..get_u64(rest)? {
        let len = get_u32(rest)? as usize;
        let (first_key, after) =
            rest.split_at_checked(len).ok_or(DecodeError::Truncated("index top"))?;
        *rest = after;
        if keys.last().is_some_and(|last| &*last.first_key >= first_key) {
            return Err(DecodeError::Invalid("order of key blocks"));
        }
        let first_ordinal = ordinal;
        let count = count(rest, &mut ordinal, u32::MAX)?;
        let place = place(rest, offset)?;
        keys.push(KeyBlockPlace { first_key: first_key.into(), first_ordinal, count, place });
    }
    Ok((keys, ordinal))
}

fn decode_series(
    rest: &mut &[u8],
    offset: &mut u64,
) -> Result<(Vec<SeriesBlockPlace>, u32), DecodeError> {
    let mut series = Vec::new();
    let mut ordinal = 0;
    for _ in 0..get_u64(rest)? {
        let first_ordinal = ordinal;
        let count = count(rest, &mut ordinal, BLOCK_SERIES_MAX as u32)?;
        series.push(SeriesBlockPlace { first_ordinal, count, place: place(rest, offset)? });
    }
    Ok((series, ordinal))
}

fn count(rest: &mut &[u8], ordinal: &mut u32, max: u32) -> Result<u32, DecodeError> {
    let bad = DecodeError::Invalid("count of an index block");
    let count = get_u32(rest)?;
    if count == 0 || count > max {
        return Err(bad);
    }
    *ordinal = ordinal.checked_add(count).ok_or(bad)?;
    Ok(count)
}

fn place(rest: &mut &[u8], offset: &mut u64) -> Result<BlockRef, DecodeError> {
    let len = get_u32(rest)?;
    let place = BlockRef { offset: *offset, len };
    let end = offset.checked_add(u64::from(len));
    *offset = end.ok_or(DecodeError::Invalid("length of an index block"))?;
    Ok(place)
}
