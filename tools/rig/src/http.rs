//! A small blocking HTTP/1.1 client over one kept-alive connection.
//!
//! It never repeats a request by itself: after an error the caller alone knows whether the request may
//! have been carried out. Bodies come with a length, in chunks, or up to the connection's end; one that
//! ends early is an error. Lengths of heads, lines and bodies are bounded.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest line of a response head, in bytes.
const HEAD_LINE_MAX: u64 = 64 << 10;
/// Most header lines of a response.
const HEADERS_MAX: usize = 200;
/// Largest body that is held in memory, in bytes.
const BODY_BYTES_MAX: u64 = 1 << 30;
/// Longest line of a streamed body, in bytes.
const LINE_BYTES_MAX: usize = 64 << 20;
/// How long to wait for a connection; the servers are on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A response that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl fmt::Display for Response {
    /// The status and the beginning of the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.body[..self.body.len().min(300)];
        write!(f, "status {}: {}", self.status, String::from_utf8_lossy(start).trim_end())
    }
}

/// A client of one server; connects when it needs to, again after an error.
#[derive(Debug)]
pub struct HttpClient {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
    retry_after_s: Option<u32>,
}

impl HttpClient {
    /// A client that waits at most `timeout` for each read and write.
    #[must_use]
    pub fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self { address, timeout, connection: None, retry_after_s: None }
    }

    /// Whether the next request goes over a connection that served others: one that the server may have
    /// closed meanwhile, so that the request fails before the server has seen it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The seconds after which the last response asked to come again, if it did.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// Gets `target`, a path with its query.
    ///
    /// # Errors
    /// If no whole response came; not for its status.
    pub fn get(&mut self, target: &str) -> io::Result<Response> {
        self.request("GET", target, &[], &[])
    }

    /// Posts `body` to `target`.
    ///
    /// # Errors
    /// If no whole response came; not for its status. The server may have acted on the request.
    pub fn post(
        &mut self,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        self.request("POST", target, headers, body)
    }

    /// Gets `target` and calls `visit` with each line of the body, without its line end. A response
    /// that is not a success is read whole and returned instead.
    ///
    /// # Errors
    /// If the response did not come whole, or what `visit` returned.
    pub fn get_lines(
        &mut self,
        target: &str,
        visit: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Result<(), Response>> {
        let mut connection = self.send("GET", target, &[], &[])?;
        let head = Head::read(&mut connection)?;
        let mut body = Body::new(&mut connection, &head);
        if !(200..300).contains(&head.status) {
            let body = body.read_whole()?;
            self.keep(connection, &head);
            return Ok(Err(Response { status: head.status, body }));
        }
        let mut lines = BufReader::with_capacity(256 << 10, &mut body);
        let mut line = Vec::new();
        while read_line(&mut lines, &mut line)? {
            visit(&line)?;
        }
        self.keep(connection, &head);
        Ok(Ok(()))
    }

    /// Gets `target` and throws its body away but for the beginning, up to `kept` bytes, which the
    /// response has; says how long the whole body was.
    ///
    /// # Errors
    /// If no whole response came; not for its status.
    pub fn get_counted(&mut self, target: &str, kept: u64) -> io::Result<(Response, u64)> {
        let mut connection = self.send("GET", target, &[], &[])?;
        let head = Head::read(&mut connection)?;
        let mut whole = Body::new(&mut connection, &head);
        let mut body = Vec::new();
        whole.by_ref().take(kept).read_to_end(&mut body)?;
        let length = body.len() as u64 + io::copy(&mut whole, &mut io::sink())?;
        self.keep(connection, &head);
        Ok((Response { status: head.status, body }, length))
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        self.retry_after_s = None;
        let mut connection = self.send(method, target, headers, body)?;
        let head = Head::read(&mut connection)?;
        self.retry_after_s = head.retry_after_s;
        let body = Body::new(&mut connection, &head).read_whole()?;
        self.keep(connection, &head);
        Ok(Response { status: head.status, body })
    }

    /// Sends a request on the kept connection or a new one; the connection is the caller's until it
    /// has read the response.
    fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<BufReader<TcpStream>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let stream = connection.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        Ok(connection)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(BufReader::with_capacity(64 << 10, stream))
    }

    fn keep(&mut self, connection: BufReader<TcpStream>, head: &Head) {
        if !head.close && head.framing != Framing::ToEnd {
            self.connection = Some(connection);
        }
    }
}

/// How a body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    ToEnd,
}

/// What the client needs of a response's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    framing: Framing,
    close: bool,
    retry_after_s: Option<u32>,
}

impl Head {
    fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let first = head_line(input)?;
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| malformed(format!("not a status line: {first:?}")))?;
        let mut head = Self { status, framing: Framing::ToEnd, close: false, retry_after_s: None };
        if status == 204 || status == 304 {
            head.framing = Framing::Length(0);
        }
        for _ in 0..HEADERS_MAX {
            let line = head_line(input)?;
            if line.is_empty() {
                return Ok(head);
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| malformed(format!("not a header: {line:?}")))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().map_err(|_| malformed("not a length".into()))?;
                head.framing = Framing::Length(length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.framing = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("retry-after") {
                head.retry_after_s = value.parse().ok();
            }
        }
        Err(malformed("too many headers".into()))
    }
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the response ended early")
}

/// A line of the head without its line end.
fn head_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.by_ref().take(HEAD_LINE_MAX).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ended_early());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| malformed("the head is not UTF-8".into()))
}

/// Reads a body without its transfer coding; ends where the body ends.
struct Body<'c, R> {
    input: &'c mut R,
    framing: Framing,
    /// Bytes left of the body or of the chunk.
    left: u64,
    /// The last chunk was read.
    done: bool,
    /// A chunk was read, so that a line end stands before the next chunk's size.
    inside: bool,
}

impl<'c, R: BufRead> Body<'c, R> {
    fn new(input: &'c mut R, head: &Head) -> Self {
        let left = match head.framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            Framing::ToEnd => u64::MAX,
        };
        Self { input, framing: head.framing, left, done: false, inside: false }
    }

    fn read_whole(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.by_ref().take(BODY_BYTES_MAX).read_to_end(&mut body)?;
        if body.len() as u64 == BODY_BYTES_MAX {
            return Err(malformed("the body is too large".into()));
        }
        Ok(body)
    }

    /// Reads the next chunk's size; the last chunk's trailer too.
    fn next_chunk(&mut self) -> io::Result<()> {
        if self.inside && !head_line(self.input)?.is_empty() {
            return Err(malformed("no line end after a chunk".into()));
        }
        self.inside = true;
        let line = head_line(self.input)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16)
            .map_err(|_| malformed(format!("not the size of a chunk: {line:?}")))?;
        if self.left == 0 {
            while !head_line(self.input)?.is_empty() {}
            self.done = true;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Chunked && self.left == 0 && !self.done {
            self.next_chunk()?;
        }
        let wanted = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut out[..wanted])?;
        if count == 0 && self.framing != Framing::ToEnd {
            return Err(ended_early());
        }
        if self.framing != Framing::ToEnd {
            self.left -= count as u64;
        }
        Ok(count)
    }
}

/// Reads the next line without its line end; false at the end.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    lines.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', line)?;
    if line.is_empty() {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() >= LINE_BYTES_MAX {
        return Err(malformed("a line is too long".into()));
    }
    Ok(true)
}

/// Percent-encodes a value for a query string.
#[must_use]
pub fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn whole(response: &[u8]) -> io::Result<Response> {
        let mut input = response;
        let head = Head::read(&mut input)?;
        let body = Body::new(&mut input, &head).read_whole()?;
        Ok(Response { status: head.status, body })
    }

    #[test]
    fn bodies_of_every_framing() {
        let cases: [(&[u8], u16, &[u8]); 5] = [
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcd", 200, b"abc"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n",
                200,
                b"abc0123456789",
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 1\r\n\r\n", 200, b""),
            (b"HTTP/1.0 503 Busy\r\n\r\nto the end", 503, b"to the end"),
        ];
        for (bytes, status, body) in cases {
            assert_eq!(whole(bytes).unwrap(), Response { status, body: body.to_vec() });
        }
    }

    #[test]
    fn a_response_that_ends_early_is_an_error() {
        let whole_one: &[&[u8]] = &[
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ];
        for bytes in whole_one {
            assert!(whole(bytes).is_ok());
            for length in 0..bytes.len() {
                assert!(whole(&bytes[..length]).is_err(), "{length} bytes");
            }
        }
        assert!(whole(b"HTTP/2 200\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").is_err());
    }

    #[test]
    fn one_connection_serves_requests_until_the_server_closes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (first, _) = listener.accept().unwrap();
            let mut first = BufReader::new(first);
            for answer in [
                "content-length: 4\r\n\r\na\nb\n",
                "content-length: 5\r\n\r\n12345",
                "connection: close\r\n\r\nbye",
            ] {
                let mut length = 0;
                loop {
                    let line = head_line(&mut first).unwrap();
                    if let Some(value) = line.strip_prefix("Content-Length: ") {
                        length = value.parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                first.read_exact(&mut body).unwrap();
                write!(first.get_mut(), "HTTP/1.1 200 OK\r\n{answer}").unwrap();
            }
        });
        let mut client = HttpClient::new(address, Duration::from_secs(5));
        let mut lines = Vec::new();
        let visit = &mut |line: &[u8]| {
            lines.push(line.to_vec());
            Ok(())
        };
        assert_eq!(client.get_lines("/x", visit).unwrap(), Ok(()));
        assert_eq!(lines, [b"a", b"b"]);
        let (start, length) = client.get_counted("/n", 2).unwrap();
        assert_eq!((start.body.as_slice(), length), (&b"12"[..], 5));
        assert!(client.connection.is_some());
        assert_eq!(client.post("/y", &[("A", "b")], b"body").unwrap().body, b"bye");
        assert!(client.connection.is_none());
        server.join().unwrap();
        assert!(client.get("/z").is_err(), "nobody listens");
    }

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(query_value("{a=~\".+\"}"), "%7Ba%3D~%22.%2B%22%7D");
        assert_eq!(query_value("ж"), "%D0%B6");
    }
}
