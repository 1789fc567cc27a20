//! Escapes what clients write raw into the target of a request, before hyper reads it.
//!
//! `curl -g 'http://host/api/v1/series?match[]=up{job="node"}'` sends quotes as they are, and Prometheus reads
//! them. hyper's URI refuses some of these bytes and takes `#` for the end of the query. Here each becomes `%XX`,
//! which means the same to who decodes parameters.
//!
//! Nothing but targets may be touched, least of all bodies, and what is a target is known only to who follows the
//! framing of HTTP. This follows as little of it as can be: the filter reads the lines of a head up to the empty
//! one, and goes on to the next request only behind a GET, HEAD or OPTIONS without `Content-Length` and
//! `Transfer-Encoding`, which has no body in anybody's reading. Behind every other head, and behind what is no
//! head, all bytes of the connection pass as they are. So the first request of a connection, whatever it is, and
//! those behind requests without bodies are read as Prometheus does; others have to be escaped as RFC 3986 asks.

/// The headers that announce a body.
const BODY_HEADERS: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
/// The methods of requests behind which the filter goes on.
const READS: [&[u8]; 3] = [b"GET", b"HEAD", b"OPTIONS"];
/// Bytes of the beginning of a line that are remembered: as many as the longest name.
const START_BYTES: usize = 17;

/// See the module.
#[derive(Debug)]
pub(crate) struct TargetFilter {
    state: State,
    /// The beginning of the method, then of each header line.
    start: [u8; START_BYTES],
    /// Bytes of the method or line so far.
    len: usize,
    /// Whether the request reads, as far as is known.
    reads: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request, where empty lines are passed over.
    Before,
    Method,
    Target,
    /// What stands behind the target in its line.
    Version,
    Header,
    /// Everything passes.
    Off,
}

impl TargetFilter {
    pub(crate) fn new() -> Self {
        Self { state: State::Before, start: [0; START_BYTES], len: 0, reads: false }
    }

    /// Whether everything passes from now on.
    pub(crate) fn is_off(&self) -> bool {
        self.state == State::Off
    }

    /// Follows `bytes`; what they have to become, if not themselves.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out: Option<Vec<u8>> = None;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.is_off() {
                if let Some(out) = &mut out {
                    out.extend_from_slice(&bytes[at..]);
                }
                break;
            }
            let escapes = self.follow(byte);
            if escapes && out.is_none() {
                out = Some(bytes[..at].to_vec());
            }
            match &mut out {
                None => {}
                Some(out) if escapes => out.extend_from_slice(&escaped(byte)),
                Some(out) => out.push(byte),
            }
        }
        out
    }

    /// Takes the next byte; whether it is to be escaped.
    fn follow(&mut self, byte: u8) -> bool {
        match self.state {
            State::Before if matches!(byte, b'\r' | b'\n') => {}
            State::Before => {
                self.len = 0;
                self.state = State::Method;
                return self.follow(byte);
            }
            State::Method if byte == b' ' => {
                self.reads = READS.contains(&self.start());
                self.state = State::Target;
            }
            State::Method if byte.is_ascii_uppercase() || byte == b'-' || byte == b'_' => {
                self.remember(byte);
            }
            State::Target if byte == b' ' => self.state = State::Version,
            State::Target if byte > b' ' => return is_escaped(byte),
            State::Version if byte == b'\n' => {
                self.len = 0;
                self.state = State::Header;
            }
            State::Version => {}
            State::Header if byte == b'\n' => self.end_line(),
            // Of a line without more it is the end, and within one hyper refuses it.
            State::Header if byte == b'\r' => {}
            State::Header => self.remember(byte),
            // No request as it should be: hyper says so.
            State::Method | State::Target | State::Off => self.state = State::Off,
        }
        false
    }

    fn remember(&mut self, byte: u8) {
        if let Some(place) = self.start.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    fn start(&self) -> &[u8] {
        &self.start[..self.len.min(START_BYTES)]
    }

    /// A header line has ended.
    fn end_line(&mut self) {
        if self.len == 0 {
            self.state = if self.reads { State::Before } else { State::Off };
            return;
        }
        let start = self.start().to_ascii_lowercase();
        if BODY_HEADERS.iter().any(|name| start.starts_with(name)) {
            self.reads = false;
        }
        self.len = 0;
    }
}

/// Whether a byte of a target is one that URIs do not have and Prometheus reads as it is.
fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

fn escaped(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out of a filter that gets `input` in pieces of a size.
    fn passed(input: &[u8], piece: usize) -> Vec<u8> {
        let mut filter = TargetFilter::new();
        let pieces = input.chunks(piece);
        pieces.flat_map(|piece| filter.pass(piece).unwrap_or_else(|| piece.to_vec())).collect()
    }

    #[test]
    fn targets_alone_are_escaped() {
        for (input, output) in [
            (
                "GET /a?b={\"c\"} HTTP/1.1\r\nX: {\"\r\n\r\n",
                "GET /a?b=%7B%22c%22%7D HTTP/1.1\r\nX: {\"\r\n\r\n",
            ),
            (
                "\r\n\nGET /\" HTTP/1.1\n\nHEAD /ا# HTTP/1.1\n\n",
                "\r\n\nGET /%22 HTTP/1.1\n\nHEAD /%D8%A7%23 HTTP/1.1\n\n",
            ),
            // A body follows, or might.
            (
                "POST /\" HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET /\" x\n\nGET /\" x",
                "POST /%22 HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET /\" x\n\nGET /\" x",
            ),
            ("PUT /x HTTP/1.1\r\n\r\nGET /\" x", "PUT /x HTTP/1.1\r\n\r\nGET /\" x"),
            (
                "GET /x HTTP/1.1\r\nA: b\r\ncontent-LENGTH : 9\r\n\r\nGET /\" x",
                "GET /x HTTP/1.1\r\nA: b\r\ncontent-LENGTH : 9\r\n\r\nGET /\" x",
            ),
            (
                "GET /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nGET /\" x",
                "GET /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nGET /\" x",
            ),
            // What is no request passes.
            ("\x16\x03\x01 \"\n\nGET /\" x", "\x16\x03\x01 \"\n\nGET /\" x"),
            ("GET /a\nX: y\n\nGET /\" x", "GET /a\nX: y\n\nGET /\" x"),
            ("get /\" x\r\n", "get /\" x\r\n"),
        ] {
            for piece in 1..=input.len() {
                let out = passed(input.as_bytes(), piece);
                assert_eq!(String::from_utf8_lossy(&out), output, "{piece}");
            }
        }
    }

    #[test]
    fn what_needs_nothing_is_not_copied() {
        let mut filter = TargetFilter::new();
        assert_eq!(filter.pass(b"GET /api/v1/query?query=up%7B HTTP/1.1\r\nHost: t\r\n\r\n"), None);
        assert!(!filter.is_off());
        assert_eq!(
            filter.pass(b"POST /api/v1/write HTTP/1.1\r\nContent-Length: 3\r\n\r\n\"{}"),
            None
        );
        assert!(filter.is_off());
    }

    proptest! {
        /// Pieces make no difference, and what comes out differs in escapes alone.
        #[test]
        fn only_escapes_are_added(input in "[ -~\r\n\u{e9}]{0,300}", piece in 1usize..40) {
            let out = passed(input.as_bytes(), piece);
            prop_assert_eq!(&out, &passed(input.as_bytes(), usize::MAX));
            let mut rest = &out[..];
            for byte in input.bytes() {
                let taken = if rest.first() == Some(&byte) { 1 } else { 3 };
                if taken == 3 {
                    prop_assert!(is_escaped(byte) && rest.starts_with(&escaped(byte)));
                }
                rest = &rest[taken..];
            }
            prop_assert!(rest.is_empty());
        }
    }
}
