//! What a server has to refuse, for those who test that it does: each of these is wrong as it stands.

/// `start`, `end` and `step` that are backwards, empty, endless or no numbers.
pub const RANGES: [&str; 8] = [
    "start=2&end=1&step=1",
    "start=0&end=1&step=0",
    "start=0&end=1&step=-1",
    "start=0&end=1&step=NaN",
    "start=0&end=4000000000&step=1",
    "start=-9223372036854775&end=9223372036854775&step=1",
    "start=NaN&end=1&step=1",
    "start=x&end=1&step=1",
];

/// Queries whose lengths of time are none.
pub const LENGTHS: [&str; 5] =
    ["x[1h:0s]", "x[0s]", "x[9223372036854775807s]", "x[1h:-1s]", "x offset 99999999y"];

/// The preface of HTTP/2, and a thousand streams that are opened and reset at once.
#[must_use]
pub fn http2_resets() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1u32..2000).step_by(2) {
        bytes.extend_from_slice(b"\0\0\x01\x01\x05");
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(b"\x82\0\0\x04\x03\0");
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(b"\0\0\0\x08");
    }
    bytes
}

/// Headers by which a body ends in two places: behind an empty chunk, `0\r\n\r\n`, and `length` bytes behind its
/// start. A server that takes them has been told two requests where another one is told one.
#[must_use]
pub fn lengths_that_disagree(length: usize) -> [String; 8] {
    [
        format!("Content-Length: 5\r\nContent-Length: {length}"),
        format!("Content-Length: 5, {length}"),
        "Content-Length: +5".to_owned(),
        "Content-Length: 5 5".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        " Transfer-Encoding: chunked".to_owned(),
    ]
}
