//! A request as a handler gets it.
//!
//! Made by the router alone, after the request was admitted.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;

use crate::app::App;

/// What a handler gets.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) request: Request<Incoming>,
    /// The segment of the path that stands for `{}` in the table, decoded.
    pub(crate) segment: String,
}
