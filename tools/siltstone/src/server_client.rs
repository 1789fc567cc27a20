//! Asks a running server: for changes of a store that it holds, and for answers to queries.
//!
//! HTTP/1.1 in its simplest form: one POST of a form on a connection of its own, and the answer with
//! a length, in chunks, or up to the end of the connection.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::units;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest line of the head of an answer.
const LINE_BYTES_MAX: u64 = 64 << 10;
const HEADERS_MAX: usize = 200;
/// Longest report, or line of one.
const BODY_BYTES_MAX: u64 = 16 << 20;
/// Longest answer to a query.
const QUERY_BYTES_MAX: u64 = 256 << 20;

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// `host:port`, as it is connected to.
    address: String,
    /// What stands before the paths of the server; empty, or `/` and more.
    prefix: String,
}

/// Reads `http://127.0.0.1:7480`.
pub(crate) fn parse_url(text: &str) -> std::result::Result<ServerUrl, String> {
    let wrong =
        || format!("{text:?} is not the address of a server, such as http://127.0.0.1:7480");
    let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:[]%".contains(c);
    if authority.is_empty() || !authority.chars().all(legal) {
        return Err(wrong());
    }
    let is_plain = |c: char| c.is_ascii_graphic() && !"?#".contains(c);
    if !path.chars().all(is_plain) {
        return Err(wrong());
    }
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let address = match port {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            authority.to_owned()
        }
        Some(_) => return Err(wrong()),
        None => format!("{authority}:80"),
    };
    let path = path.trim_end_matches('/');
    let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    Ok(ServerUrl { address, prefix })
}

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    status: u16,
    body: Box<dyn BufRead>,
    address: String,
}

impl ServerUrl {
    /// Posts a form to an endpoint of the admin API and waits for the answer, however long the work
    /// takes.
    pub(crate) fn admin(&self, endpoint: &str, form: &[(&str, String)]) -> Result<Answer> {
        self.ask(&format!("admin/tsdb/{endpoint}"), form)
    }

    /// Posts a form to `query` or `query_range` and gives the text of the answer, whatever its
    /// status: the caller has words for what is wrong with a query.
    pub(crate) fn query(&self, endpoint: &str, form: &[(&str, String)]) -> Result<(u16, Vec<u8>)> {
        let mut answer = self.ask(endpoint, form)?;
        let text = answer.text(QUERY_BYTES_MAX)?;
        Ok((answer.status, text))
    }

    fn ask(&self, endpoint: &str, form: &[(&str, String)]) -> Result<Answer> {
        let path = format!("{}/api/v1/{endpoint}", self.prefix);
        self.post(&path, &encode(form)).map_err(|error| {
            Failure::unreachable(format!(
                "cannot ask the server at http://{}: {error}; is it running?",
                self.address
            ))
        })
    }

    fn post(&self, path: &str, form: &str) -> io::Result<Answer> {
        let stream = self.connect()?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.address,
            form.len()
        );
        (&stream).write_all(request.as_bytes())?;
        let mut input = BufReader::new(stream);
        loop {
            let (status, framing) = head(&mut input)?;
            if (100..200).contains(&status) {
                continue;
            }
            let body: Box<dyn BufRead> = match framing {
                _ if status == 204 || status == 304 => Box::new(io::empty()),
                Framing::Length(length) => Box::new(BufReader::new(Exact { input, left: length })),
                Framing::Chunked => Box::new(BufReader::new(Chunked::new(input))),
                Framing::UntilEnd => Box::new(input),
            };
            return Ok(Answer { status, body, address: self.address.clone() });
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Answer {
    /// The data of a success; `Null` without any.
    pub(crate) fn data(mut self) -> Result<Value> {
        self.refuse_errors()?;
        let text = self.text(BODY_BYTES_MAX)?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        let mut answer: Value =
            serde_json::from_slice(&text).map_err(|e| self.broken(&e.into()))?;
        Ok(answer["data"].take())
    }

    /// The whole text, of at most so many bytes.
    fn text(&mut self, bytes_max: u64) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let read = self.body.by_ref().take(bytes_max + 1).read_to_end(&mut text);
        read.map_err(|error| self.broken(&error))?;
        if text.len() as u64 > bytes_max {
            return Err(Failure::unreachable(format!(
                "the answer of the server at {} is longer than {}: ask for fewer series, a shorter \
                 range or a longer step",
                self.address,
                units::bytes(bytes_max)
            )));
        }
        Ok(text)
    }

    /// The data of the last line of an answer in JSON lines, which tells of a success or of a
    /// failure; the lines before go to `each`.
    pub(crate) fn last_of_lines(mut self, mut each: impl FnMut(&Value)) -> Result<Value> {
        self.refuse_errors()?;
        loop {
            let mut line = Vec::new();
            let read = self.body.by_ref().take(BODY_BYTES_MAX).read_until(b'\n', &mut line);
            read.map_err(|error| self.broken(&error))?;
            if line.is_empty() {
                return Err(self.broken(&ErrorKind::UnexpectedEof.into()));
            }
            let mut line: Value =
                serde_json::from_slice(&line).map_err(|e| self.broken(&e.into()))?;
            match line["status"].as_str() {
                Some("success") => return Ok(line["data"].take()),
                Some(_) => {
                    let said = line["error"].as_str().unwrap_or_default();
                    return Err(Failure::refused(500, said));
                }
                None => each(&line),
            }
        }
    }

    /// Turns an answer that is no success into a failure with the server's words.
    fn refuse_errors(&mut self) -> Result<()> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        let mut text = Vec::new();
        // What cannot be read is not said; the status stands.
        let _ = self.body.by_ref().take(LINE_BYTES_MAX).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let said = serde_json::from_str::<Value>(&text).ok();
        let said = said.as_ref().and_then(|answer| answer["error"].as_str());
        Err(Failure::refused(self.status, said.unwrap_or(text.trim())))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let address = &self.address;
        Failure::unreachable(format!("the answer of the server at {address} broke off: {error}"))
    }
}

/// The report that the data of an answer holds; an empty one without data.
pub(crate) fn report<T: DeserializeOwned + Default>(data: Value) -> Result<T> {
    serde_json::from_value::<Option<T>>(data)
        .map(Option::unwrap_or_default)
        .map_err(|error| Failure::unreachable(format!("the report cannot be read: {error}")))
}

/// A form in percent encoding.
fn encode(form: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut put = |text: &str| {
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(char::from(byte));
                }
                // A String takes everything.
                byte => drop(write!(out, "%{byte:02X}")),
            }
        }
        std::mem::take(&mut out)
    };
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{}={}", put(name), put(value))).collect();
    pairs.join("&")
}

/// How the end of a body is told.
enum Framing {
    Length(u64),
    Chunked,
    UntilEnd,
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// A line without its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(bad("the head of the answer broke off"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| bad("the head of the answer is not text"))
}

/// The status of an answer, and the framing of its body.
fn head(input: &mut impl BufRead) -> io::Result<(u16, Framing)> {
    let first = line(input)?;
    let is_http = first.starts_with("HTTP/1.");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.filter(|_| is_http).ok_or_else(|| bad("it does not speak HTTP"))?;
    let mut framing = Framing::UntilEnd;
    for _ in 0..HEADERS_MAX {
        let header = line(input)?;
        if header.is_empty() {
            return Ok((status, framing));
        }
        let (name, value) = header.split_once(':').ok_or_else(|| bad("a header has no name"))?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length")
            && !matches!(framing, Framing::Chunked)
        {
            let length = value.trim().parse().map_err(|_| bad("the length is not a number"))?;
            framing = Framing::Length(length);
        }
    }
    Err(bad("the answer has too many headers"))
}

/// A body of a known length; its early end is an error.
struct Exact<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let read = self.input.read(&mut out[..most])?;
        if read == 0 && most > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A body in chunks, of which each says its length.
struct Chunked<R> {
    input: R,
    /// Left of the present chunk.
    left: u64,
    state: ChunkState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    First,
    Within,
    Over,
}

impl<R: BufRead> Chunked<R> {
    fn new(input: R) -> Self {
        Self { input, left: 0, state: ChunkState::First }
    }

    /// Goes to the next chunk with bytes; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        if self.state == ChunkState::Within && !line(&mut self.input)?.is_empty() {
            return Err(bad("a chunk is longer than it says"));
        }
        let size = line(&mut self.input)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(|_| bad("a chunk has no length"))?;
        self.state = ChunkState::Within;
        if self.left == 0 {
            self.state = ChunkState::Over;
            while !line(&mut self.input)?.is_empty() {}
        }
        Ok(self.left > 0)
    }
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.state == ChunkState::Over || (self.left == 0 && !self.next()?) {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let read = self.input.read(&mut out[..most])?;
        if read == 0 && most > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, address, prefix) in [
            ("http://127.0.0.1:7480", "127.0.0.1:7480", ""),
            ("http://localhost:1/", "localhost:1", ""),
            ("http://[::1]:7480", "[::1]:7480", ""),
            ("http://[::1]", "[::1]:80", ""),
            ("http://store/prometheus/", "store:80", "/prometheus"),
        ] {
            let (address, prefix) = (address.to_owned(), prefix.to_owned());
            assert_eq!(parse_url(text), Ok(ServerUrl { address, prefix }), "{text}");
        }
        for bad in [
            "127.0.0.1:7480",
            "https://x",
            "http://",
            "http://:1",
            "http://x:port",
            "http://x:99999",
            "http://user@x:1",
            "http://x/a b",
            "http://x/\r\nHost: y",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn forms_hold_any_text() {
        let form = [("match[]", "{a=\"é&b\"}".to_owned()), ("end", "1.5".to_owned())];
        assert_eq!(encode(&form), "match%5B%5D=%7Ba%3D%22%C3%A9%26b%22%7D&end=1.5");
    }

    fn text(body: impl Read) -> io::Result<String> {
        io::read_to_string(body)
    }

    #[test]
    fn bodies_end_where_they_say() {
        let chunked = |bytes: &'static str| text(Chunked::new(bytes.as_bytes()));
        assert_eq!(
            chunked("3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n").unwrap(),
            "abc0123456789"
        );
        assert_eq!(chunked("0\r\nTrailer: x\r\n\r\n").unwrap(), "");
        for cut in
            ["", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "3\r\nabcd\r\n0\r\n\r\n", "x\r\n", "0\r\n"]
        {
            assert!(chunked(cut).is_err(), "{cut:?}");
        }
        let exact = |bytes: &'static str, left| text(Exact { input: bytes.as_bytes(), left });
        assert_eq!(exact("abcd", 3).unwrap(), "abc");
        assert_eq!(exact("", 0).unwrap(), "");
        assert!(exact("ab", 3).is_err());
    }

    #[test]
    fn heads() {
        let of = |text: &'static str| head(&mut text.as_bytes());
        assert!(matches!(of("HTTP/1.1 204 No Content\r\n\r\n"), Ok((204, Framing::UntilEnd))));
        let both = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(of(both), Ok((200, Framing::Chunked))));
        assert!(matches!(
            of("HTTP/1.0 200 OK\nContent-Length:5\n\n"),
            Ok((200, Framing::Length(5)))
        ));
        for bad in [
            "",
            "HTTP/1.1 200",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
            "HTTP/1.1 200\r\nx\r\n\r\n",
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
