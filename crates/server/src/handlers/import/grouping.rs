//! The labels in the path of a push as to a Pushgateway: `job/<job>{/<label>/<value>}`.
//!
//! Names and values are in percent encoding. The name of a label may end with `@base64`; its value is then base64
//! in the alphabet for URLs (that of RFC 4648, 4, is read, too), with padding or not, so that it can hold a slash
//! or be empty, which is written `=`.

use crate::extra_labels::ExtraLabels;
use crate::params::decode;
use crate::refusal::Refusal;

const SUFFIX: &str = "@base64";

/// Adds the labels of the path behind `/metrics/`.
///
/// # Errors
/// 404 if it does not begin with a job, 400 for what cannot be read.
pub(super) fn add_labels(path: &str, labels: &mut ExtraLabels) -> Result<(), Refusal> {
    let segments: Vec<&str> = path.split('/').collect();
    for (at, pair) in segments.chunks(2).enumerate() {
        let name = decode(pair[0], false)?;
        let (name, is_base64) = match name.strip_suffix(SUFFIX) {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        if at == 0 && name != "job" {
            return Err(Refusal::new(hyper::StatusCode::NOT_FOUND, "push to /metrics/job/<job>"));
        }
        let bad =
            |reason| Err(Refusal::bad_request(format!("the label {name:?} in the path {reason}")));
        let Some(value) = pair.get(1) else { return bad("has no value") };
        let value = decode(value, false)?;
        let value = if is_base64 { base64(value.as_bytes()) } else { Some(value) };
        match value {
            None => return bad("is not base64 of UTF-8"),
            Some(value) if at == 0 && value.is_empty() => return bad("is empty"),
            Some(_) if name.is_empty() || name == "__name__" => return bad("may not be set"),
            Some(value) => labels.set(name, &value)?,
        }
    }
    Ok(())
}

/// Decodes base64; `None` if it is none, or not UTF-8.
fn base64(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let (digits, padding) = text.split_at(end);
    if padding.len() > 2 || padding.iter().any(|byte| *byte != b'=') || digits.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(path: &str) -> Result<ExtraLabels, Refusal> {
        let mut labels = ExtraLabels::default();
        add_labels(path, &mut labels).map(|()| labels)
    }

    #[test]
    fn base64_with_and_without_padding() {
        for (text, decoded) in [
            ("", ""),
            ("=", ""),
            ("YQ", "a"),
            ("YQ==", "a"),
            ("aDE=", "h1"),
            ("L3Zhci90bXA", "/var/tmp"),
            ("2K_ZhdinPz8_", "دما???"),
            ("2K/Zhdin", "دما"),
        ] {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(decoded), "{text}");
        }
        for bad in ["Y", "YQ===", "Y=Q", "!!", "_w"] {
            assert_eq!(base64(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_job_comes_first() {
        assert!(labels("job/a/x/1").is_ok());
        assert_eq!(labels("job/a/x/1"), labels("job@base64/YQ/x@base64/MQ"));
        for (bad, status) in
            [("job", 400), ("job/", 400), ("job@base64/=", 400), ("x/a", 404), ("", 404)]
        {
            assert_eq!(labels(bad).unwrap_err().status.as_u16(), status, "{bad}");
        }
    }
}
