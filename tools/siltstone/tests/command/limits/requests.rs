//! Requests as bytes; the connection ends with the answer.

pub(super) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
}

pub(super) fn post(target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}");
    [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// A form.
pub(super) fn form(target: &str, body: &str) -> Vec<u8> {
    post(target, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes())
}
