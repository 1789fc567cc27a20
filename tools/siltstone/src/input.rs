//! Files to import: plain, gzip or zstd, told apart by their first bytes; `-` is stdin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressBarIter};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// An input with its first bytes put back.
type Source = Chain<Cursor<Vec<u8>>, ProgressBarIter<Box<dyn Read>>>;

/// Opens `path`, and its length where it has one.
#[expect(clippy::disallowed_methods, reason = "the user's file, not one of a store")]
pub(crate) fn open(path: &Path) -> io::Result<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// The lines of an input, decompressed if need be; `bar` follows the bytes as they are in the file.
pub(crate) fn lines(input: Box<dyn Read>, bar: &ProgressBar) -> io::Result<Box<dyn BufRead>> {
    let mut input = bar.wrap_read(input);
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let is_gzip = magic.starts_with(&[0x1f, 0x8b]);
    let is_zstd = magic == [0x28, 0xb5, 0x2f, 0xfd];
    let source: Source = Cursor::new(magic).chain(input);
    Ok(if is_gzip {
        buffered(MultiGzDecoder::new(source))
    } else if is_zstd {
        let mut decoder = zstd::stream::read::Decoder::new(source)?;
        // What `zstd --long=31` writes.
        decoder.window_log_max(31)?;
        buffered(decoder)
    } else {
        buffered(source)
    })
}

fn buffered(reader: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(READ_BYTES, reader))
}
