//! An answer as it arrives: its status, and whether it is whole. The body itself is dropped.

/// Longest head that is looked at.
const HEAD_MAX: usize = 64 << 10;
/// What the last chunk of a body ends with.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    /// `None`: in chunks, or up to the connection's end.
    length: Option<usize>,
    /// Whether a refusal for now says when to come again.
    says_when: bool,
}

impl Head {
    /// `None` if it is none.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let mut head = Self { status, length: None, says_when: false };
        if matches!(status, 204 | 304) {
            head.length = Some(0);
        }
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("retry-after") {
                head.says_when = true;
            }
        }
        Some(head)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    start: Vec<u8>,
    head: Option<Head>,
    body_len: usize,
    /// The last bytes of the body.
    tail: Vec<u8>,
    closed: bool,
}

impl Progress {
    /// Takes what has arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.head.is_some() {
            return self.push_body(bytes);
        }
        self.start.extend_from_slice(bytes);
        if let Some(end) = self.start.windows(4).position(|four| four == b"\r\n\r\n") {
            self.head = Head::parse(&String::from_utf8_lossy(&self.start[..end]));
            let body = self.start.split_off(end + 4);
            self.push_body(&body);
        }
        if self.head.is_none() && self.start.len() > HEAD_MAX {
            self.closed = true;
        }
    }

    fn push_body(&mut self, bytes: &[u8]) {
        self.body_len += bytes.len();
        let kept = &bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..];
        self.tail.extend_from_slice(kept);
        self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
    }

    /// Notes that the server closed.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Bytes that have arrived.
    pub(crate) fn len(&self) -> usize {
        self.start.len() + self.body_len
    }

    /// Whether nothing more is to come.
    pub(crate) fn is_done(&self) -> bool {
        self.closed || self.is_whole()
    }

    fn is_whole(&self) -> bool {
        self.head.is_some_and(|head| match head.length {
            Some(length) => self.body_len >= length,
            None => self.tail == LAST_CHUNK,
        })
    }

    /// What came of the request, if nobody waits any longer: a status; that the server closed without one, or
    /// within the answer; that the client left before it had one, or within it.
    pub(crate) fn outcome(&self) -> String {
        let Some(head) = self.head else {
            return if self.closed { "closed" } else { "left" }.to_owned();
        };
        let status = match head.status {
            429 | 503 if !head.says_when => format!("{} without Retry-After", head.status),
            status => status.to_string(),
        };
        match (self.is_whole(), self.closed) {
            (true, _) => status,
            (false, true) => format!("{status} cut"),
            (false, false) => format!("{status} left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(pieces: &[&str], closed: bool) -> String {
        let mut progress = Progress::default();
        pieces.iter().for_each(|piece| progress.push(piece.as_bytes()));
        if closed {
            progress.close();
        }
        progress.outcome()
    }

    #[test]
    fn what_came_is_named() {
        assert_eq!(outcome(&[], true), "closed");
        assert_eq!(outcome(&["HTTP/1.1 20"], false), "left");
        assert_eq!(outcome(&["HTTP/1.1 204 No Content\r\n", "\r\n"], false), "204");
        let sized = "HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(outcome(&[sized, "ab", "c"], false), "400");
        assert_eq!(outcome(&[sized, "ab"], true), "400 cut");
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        assert_eq!(outcome(&[chunked], false), "200 left");
        assert_eq!(outcome(&[chunked], true), "200 cut");
        assert_eq!(outcome(&[chunked, "0\r\n", "\r\n"], false), "200");
    }

    #[test]
    fn who_is_to_come_again_must_be_told_when() {
        let refused = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n";
        assert_eq!(outcome(&[refused, "\r\n"], false), "503 without Retry-After");
        assert_eq!(outcome(&[refused, "retry-after: 5\r\n\r\n"], false), "503");
    }
}
