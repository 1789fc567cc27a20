//! A connection as an attacker uses it: bytes at will, and answers read at a pace of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use siltstone_rig::remote_write;

use crate::answer::Progress;
use crate::arena::Arena;

/// How long a read or a write waits before it is looked whether time is over.
const STEP: Duration = Duration::from_millis(50);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are still read of an answer that was left lying.
const LEFT_READ_MAX: usize = 32 << 20;
/// Parts of a second in which a slow reader takes its bytes.
const PARTS: usize = 10;

/// How fast an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as it comes.
    Full,
    /// So many bytes a second.
    BytesPerSecond(usize),
    /// Not at all, until the client has to leave.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket<'a> {
    stream: TcpStream,
    arena: &'a Arena<'a>,
}

impl<'a> Socket<'a> {
    /// Connects; the error is an outcome.
    pub(crate) fn open(arena: &'a Arena<'a>) -> Result<Self, String> {
        let failed = |error: io::Error| format!("no connection ({})", error.kind());
        let stream = TcpStream::connect_timeout(&arena.address, CONNECT_TIMEOUT).map_err(failed)?;
        stream.set_read_timeout(Some(STEP)).map_err(failed)?;
        stream.set_write_timeout(Some(STEP)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self { stream, arena })
    }

    /// Sends everything, if the server takes it; false if it closed or time is over.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if is_not_yet(&error) && !self.arena.is_over() => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Whether an answer, or the connection's end, has come; waits a moment for it.
    pub(crate) fn has_answer(&self) -> bool {
        match self.stream.peek(&mut [0]) {
            Ok(_) => true,
            Err(error) => !is_not_yet(&error),
        }
    }

    /// As [`Socket::has_answer`], without waiting.
    pub(crate) fn has_answer_now(&self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let has = self.has_answer();
        let blocks = self.stream.set_nonblocking(false).is_ok();
        has || !blocks
    }

    /// Reads the answer and says what came of it.
    pub(crate) fn outcome(mut self, pace: Pace) -> String {
        let mut progress = Progress::default();
        match pace {
            Pace::Full => {
                let mut piece = vec![0; 64 << 10];
                while !self.arena.is_over() && self.read(&mut progress, &mut piece) {}
            }
            Pace::BytesPerSecond(bytes) => {
                let mut piece = vec![0; bytes.div_ceil(PARTS)];
                let part = Duration::from_millis(1000 * piece.len() as u64 / bytes as u64);
                while !self.arena.is_over() && self.read(&mut progress, &mut piece) {
                    self.arena.pause(part);
                }
            }
            Pace::Nothing => {
                self.arena.wait_to_leave();
                let mut piece = vec![0; 64 << 10];
                let mut reads = LEFT_READ_MAX / piece.len();
                let mut before = 0;
                while reads > 0 && self.read(&mut progress, &mut piece) && progress.len() > before {
                    before = progress.len();
                    reads -= 1;
                }
            }
        }
        progress.outcome()
    }

    /// Says what came, without waiting for more.
    pub(crate) fn first_outcome(mut self) -> String {
        let mut progress = Progress::default();
        self.read(&mut progress, &mut vec![0; 4 << 10]);
        progress.outcome()
    }

    /// Reads everything up to the connection's end and gives it back, up to a bound.
    pub(crate) fn rest(self) -> Vec<u8> {
        self.rest_within(Duration::MAX).0
    }

    /// The same, and waits no longer than that; says whether the server has closed.
    pub(crate) fn rest_within(mut self, longest: Duration) -> (Vec<u8>, bool) {
        let started = Instant::now();
        let mut all = Vec::new();
        let mut piece = vec![0; 64 << 10];
        while !self.arena.is_over() && started.elapsed() < longest && all.len() < LEFT_READ_MAX {
            match self.stream.read(&mut piece) {
                Ok(0) => return (all, true),
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if is_not_yet(&error) => {}
                Err(_) => return (all, true),
            }
        }
        (all, false)
    }

    /// Reads a piece; false when nothing more is to come.
    fn read(&mut self, progress: &mut Progress, piece: &mut [u8]) -> bool {
        match self.stream.read(piece) {
            Ok(0) => progress.close(),
            Ok(count) => progress.push(&piece[..count]),
            Err(error) if is_not_yet(&error) => {}
            Err(_) => progress.close(),
        }
        !progress.is_done()
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The head of a request, without the empty line; the connection ends with the answer.
fn head(arena: &Arena<'_>, method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", arena.address);
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head.into_bytes()
}

/// A whole GET request.
pub(crate) fn get(arena: &Arena<'_>, target: &str) -> Vec<u8> {
    let mut request = head(arena, "GET", target, &[]);
    request.extend_from_slice(b"\r\n");
    request
}

/// The head of a POST request whose body has this length.
pub(crate) fn post_head(
    arena: &Arena<'_>,
    target: &str,
    headers: &[(&str, &str)],
    length: usize,
) -> Vec<u8> {
    let mut request = head(arena, "POST", target, headers);
    request.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
    request
}

/// The head of a POST request whose body comes in chunks.
pub(crate) fn chunked_head(arena: &Arena<'_>, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut request = head(arena, "POST", target, headers);
    request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    request
}

/// A chunk of a body; the empty one ends it.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A whole POST request.
pub(crate) fn post(
    arena: &Arena<'_>,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut request = post_head(arena, target, headers, body.len());
    request.extend_from_slice(body);
    request
}

/// A whole remote write.
pub(crate) fn write(arena: &Arena<'_>, body: &[u8]) -> Vec<u8> {
    post(arena, siltstone_rig::store::WRITE_PATH, remote_write::HEADERS, body)
}

/// Headers of a form.
pub(crate) const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];

/// Sends a request and reads its answer.
pub(crate) fn ask(arena: &Arena<'_>, request: &[u8]) -> Result<String, String> {
    ask_at(arena, request, Pace::Full)
}

/// The same, and reads the answer at a pace.
pub(crate) fn ask_at(arena: &Arena<'_>, request: &[u8], pace: Pace) -> Result<String, String> {
    let mut socket = Socket::open(arena)?;
    // A request that is refused before its end has its answer nevertheless.
    socket.send(request);
    Ok(socket.outcome(pace))
}
