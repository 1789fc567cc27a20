//! Prometheus' envelope: `{"status":"success","data":..}`, or the type and the text of an error.

use hyper::StatusCode;

use crate::protocol::json_lines::string;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

/// The media type of every envelope.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// The answer `data`, which is JSON.
pub(crate) fn success(data: impl AsRef<[u8]>) -> Reply {
    let body = [b"{\"status\":\"success\",\"data\":", data.as_ref(), b"}"].concat();
    reply::whole(StatusCode::OK, CONTENT_TYPE, body)
}

/// The answer `data`, which is JSON, with a word on it.
pub(crate) fn success_with_warning(data: impl AsRef<[u8]>, warning: &str) -> Reply {
    let warnings = format!(",\"warnings\":[{}]}}", string(warning));
    let start = b"{\"status\":\"success\",\"data\":";
    let body = [start, data.as_ref(), warnings.as_bytes()].concat();
    reply::whole(StatusCode::OK, CONTENT_TYPE, body)
}

/// A refusal.
pub(crate) fn error(refusal: &Refusal) -> Reply {
    let body = format!(
        "{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":{}}}",
        refusal.error_type(),
        string(&refusal.message)
    );
    let reply = reply::whole(refusal.status, CONTENT_TYPE, body.into_bytes());
    reply::with_retry_after(reply, refusal)
}
