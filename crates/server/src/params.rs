//! Parameters of a request: the query string, and the form that a POST may carry instead.

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;

use crate::app::App;
use crate::refusal::Refusal;
use crate::request_body::read_whole;

/// Most parameters of one request.
const PARAMS_MAX: usize = 1000;
/// Longest form: that of the longest regular expression, each of its bytes percent-encoded, and more.
const FORM_BYTES_MAX: usize = 512 << 10;
/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of a request: a form in the body of a POST, then the query string.
pub(crate) async fn of_request(app: &App, head: &Parts, body: Incoming) -> Result<Params, Refusal> {
    let mut params = Params::default();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // Media types are compared without case (RFC 9110, 8.3.1).
    let is_form = kind.is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
    });
    if is_form && (head.method == Method::POST || head.method == Method::PUT) {
        let limit = FORM_BYTES_MAX.min(app.config.body_bytes_max);
        let form = read_whole(app, body, limit).await?;
        let text = std::str::from_utf8(&form.bytes)
            .map_err(|_| Refusal::bad_request("the form is not valid UTF-8"))?;
        params.add(text.trim_end())?;
    }
    params.add(head.uri.query().unwrap_or(""))?;
    Ok(params)
}

/// Decoded names and values in the order given; a form comes before the query string.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Adds the pairs of `text`, which is `name=value&name=value` in percent encoding. `match` is another name
    /// of `match[]`, as in VictoriaMetrics.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), Refusal> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if self.0.len() == PARAMS_MAX {
                return Err(Refusal::bad_request(format!("more than {PARAMS_MAX} parameters")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut name = decode(name, true)?;
            if name == "match" {
                name += "[]";
            }
            self.0.push((name, decode(value, true)?));
        }
        Ok(())
    }

    /// The first value of `name` that is not empty.
    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// Every value of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Resolves percent encoding, and `+` for a blank where it stands for one.
pub(crate) fn decode(text: &str, plus_is_blank: bool) -> Result<String, Refusal> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if plus_is_blank => out.push(b' '),
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16).map(|d| d as u8);
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(Refusal::bad_request("'%' is not followed by two hex digits"));
                };
                out.push(high << 4 | low);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| Refusal::bad_request("a parameter is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_clients_send() {
        let mut params = Params::default();
        params
            .add("match[]=up%7Ba%3D%22%D8%AF%D9%85%D8%A7%22%7D&match%5B%5D=a+b&start=&start=5")
            .unwrap();
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["up{a=\"دما\"}", "a b"]);
        assert_eq!(params.get("start"), Some("5"), "an empty value is an absent one");
        assert_eq!(params.get("end"), None);
        assert_eq!(decode("a+b", false).unwrap(), "a+b");
    }

    #[test]
    fn refuses_what_is_not_text() {
        for bad in ["a=%f", "a=%zz", "%ff=1", "a=%"] {
            assert!(Params::default().add(bad).is_err(), "{bad}");
        }
        assert!(Params::default().add(&"a=1&".repeat(1001)).is_err());
    }
}
