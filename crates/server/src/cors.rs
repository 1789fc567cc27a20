//! Which web pages may read the API: the `Access-Control-*` headers that Prometheus sends. None are sent
//! unless the operator says so.
//!
//! A browser lets a page of another origin read an answer only if the answer allows it. Called by the
//! router for the reading routes; the admin API allows no page at all.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, HeaderMap, HeaderValue, VARY,
};
use siltstone::{AnchoredRegex, MatcherError};

/// The pattern that allows every origin.
const ANY: &str = ".*";

/// A pattern of the origins whose pages may read the API.
#[derive(Debug, Clone)]
pub struct CorsOrigin(AnchoredRegex);

impl CorsOrigin {
    /// Reads a regular expression, which an origin (`https://grafana.example`) must match as a whole.
    /// `.*` allows every page; an empty one allows none.
    ///
    /// # Errors
    /// When `pattern` is not a regular expression of RE2.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        AnchoredRegex::new(pattern).map(Self)
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Adds the headers to an answer to a page of `origin`.
    pub(crate) fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.as_str().is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else { return };
        let allowed = if self.as_str() == ANY {
            HeaderValue::from_static("*")
        } else if origin.to_str().is_ok_and(|text| !text.is_empty() && self.0.is_match(text)) {
            origin.clone()
        } else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

impl Default for CorsOrigin {
    /// No page: whoever makes somebody open one would read all samples that a browser can reach.
    fn default() -> Self {
        Self(AnchoredRegex::new("").expect("the pattern is valid"))
    }
}

impl PartialEq for CorsOrigin {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for CorsOrigin {}
