//! The lists that a client sends in `Accept` and `Accept-Encoding`: names with parameters and a
//! quality (RFC 9110, 12.4.2).

use hyper::header::{AsHeaderName, HeaderMap};

/// One element of such a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Accepted<'a> {
    /// `gzip`, `text/plain`, `*`; in any case of letters.
    pub(crate) name: &'a str,
    /// What follows the name, from the first `;` on.
    parameters: &'a str,
    /// From 0, not acceptable, to 1.
    pub(crate) quality: f32,
}

impl<'a> Accepted<'a> {
    /// The value of a parameter, without quotes.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        parameter(self.parameters, name)
    }
}

/// The elements of all headers `name`, in the order sent.
pub(crate) fn accepted(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> impl Iterator<Item = Accepted<'_>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|element| {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let name = name.trim();
        // A quality that is no number is that of an element without one.
        let quality = parameter(parameters, "q").and_then(|q| q.parse().ok()).unwrap_or(1.0);
        let element = Accepted { name, parameters, quality: f32::clamp(quality, 0.0, 1.0) };
        (!name.is_empty()).then_some(element)
    })
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::{ACCEPT, HeaderValue};

    use super::*;

    #[test]
    fn elements_have_parameters_and_a_quality() {
        let mut headers = HeaderMap::new();
        let first = "text/plain;version=0.0.4;q=0.5, */* ; q=\"0.1\",,";
        headers.append(ACCEPT, HeaderValue::from_static(first));
        headers.append(ACCEPT, HeaderValue::from_static("a/b;Version=\"1\";q=x, c;q=7, d;q=NaN"));
        let found: Vec<_> = accepted(&headers, ACCEPT).collect();
        let qualities: Vec<_> = found.iter().map(|a| (a.name, a.quality)).collect();
        let expected = [("text/plain", 0.5), ("*/*", 0.1), ("a/b", 1.0), ("c", 1.0)];
        assert_eq!(qualities[..4], expected);
        assert!(qualities[4].1.is_nan(), "no number is larger: never chosen");
        assert_eq!(found[0].parameter("version"), Some("0.0.4"));
        assert_eq!(found[2].parameter("version"), Some("1"));
        assert_eq!(found[1].parameter("version"), None);
    }
}
