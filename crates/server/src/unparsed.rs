//! The answer to what is no HTTP/1.1 request, which no handler sees: hyper sends a status without a body, and here
//! it gets one.

/// The beginnings of hyper's answers, and what they mean.
const ANSWERS: [(&[u8], &str); 3] = [
    (
        b"HTTP/1.1 400 ",
        "this is no HTTP/1.1 request: its first line or a header is malformed; blanks and control characters in a \
         URL are written as %XX\n",
    ),
    (b"HTTP/1.1 414 ", "the URL is longer than the server reads\n"),
    (b"HTTP/1.1 431 ", "the request line and the headers are too long, or too many\n"),
];
const END: &[u8] = b"\r\n\r\n";

/// What to send in the place of `answer`; `None` if it is something else than an empty answer of hyper's own.
pub(crate) fn explained(answer: &[u8]) -> Option<Vec<u8>> {
    let (_, reason) = ANSWERS.iter().find(|(start, _)| answer.starts_with(start))?;
    let head = std::str::from_utf8(answer.strip_suffix(END)?).ok()?;
    let mut lines = head.split("\r\n");
    let mut out = lines.next()?.to_owned() + "\r\n";
    let mut is_empty = false;
    for line in lines {
        if line.eq_ignore_ascii_case("content-length: 0") {
            is_empty = true;
        } else if !line.to_ascii_lowercase().starts_with("connection:") {
            out += line;
            out += "\r\n";
        }
    }
    let len = reason.len();
    out += &format!(
        "content-type: text/plain; charset=utf-8\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{reason}"
    );
    is_empty.then(|| out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_answers_get_a_body_and_others_stay() {
        let plain =
            b"HTTP/1.1 431 Too Long\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let text = String::from_utf8(explained(plain).unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Too Long\r\ndate: x\r\n"), "{text}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{text}");
        assert_eq!(head.matches("connection: close").count(), 1);
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"x",
        ] {
            assert_eq!(explained(other), None);
        }
    }
}
