//! What every file system refuses because of a file's length, in the same words.
//!
//! Called by the implementations of [`Vfs`](super::Vfs) and by the mapping.

use std::io;

/// The end of a range of a file, or `UnexpectedEof` if it lies beyond `file_len`.
pub(super) fn checked_end(offset: u64, len: usize, file_len: u64) -> io::Result<u64> {
    u64::try_from(len)
        .ok()
        .and_then(|len| offset.checked_add(len))
        .filter(|&end| end <= file_len)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{len} bytes at {offset} end beyond the file's {file_len}"),
            )
        })
}

/// The error of a mapped read from a file that is not what it was when it was opened.
pub(super) fn length_changed(opened: u64, now: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the file changed from {opened} to {now} bytes since it was opened"),
    )
}

/// The error of truncating to a length that the file does not reach.
pub(super) fn truncate_beyond_end(len: u64, now: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("cannot truncate to {len} bytes: the file has {now}"),
    )
}
