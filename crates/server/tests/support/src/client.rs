//! A small HTTP/1.1 client that can also misbehave.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, with its body put together.
#[derive(Debug)]
pub struct Answer {
    /// Of the first line.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without the framing of chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body, which is text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body, which is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A connection whose reads and writes end after 20 s.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The head of a request that closes the connection, with the length of its body.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)], len: usize) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if len > 0 {
        head += &format!("Content-Length: {len}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// Sends a request on a connection of its own. A server that answers before it has read the body
/// may stop reading: the answer counts.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    let mut bytes = head(method, path, headers, body.len());
    bytes.extend_from_slice(body);
    let sent = stream.write_all(&bytes);
    let mut answer = read_head(&mut stream);
    if method != "HEAD" {
        answer = answer.and_then(|answer| read_body(&mut stream, answer));
    }
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}; sent: {sent:?}"))
}

/// Asks for a path.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[], b"")
}

/// Sends bytes as they are and reads what comes back until the end.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Reads one answer; the connection stays usable behind it.
pub fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let head = read_head(stream)?;
    read_body(stream, head)
}

/// An answer without its body.
fn read_head(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read_byte(stream)?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Ok(Answer { status, headers, body: Vec::new() })
}

fn read_body(stream: &mut TcpStream, mut answer: Answer) -> io::Result<Answer> {
    if answer.header("transfer-encoding") == Some("chunked") {
        while read_chunk(stream, &mut answer.body)? {}
    } else if let Some(len) = answer.header("content-length") {
        answer.body.resize(len.parse().unwrap(), 0);
        stream.read_exact(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_byte(stream: &mut TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// False at the last chunk.
fn read_chunk(stream: &mut TcpStream, body: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(read_byte(stream)?);
    }
    let len = usize::from_str_radix(String::from_utf8(line).unwrap().trim(), 16).unwrap();
    let start = body.len();
    body.resize(start + len + 2, 0);
    stream.read_exact(&mut body[start..])?;
    body.truncate(start + len);
    Ok(len > 0)
}
