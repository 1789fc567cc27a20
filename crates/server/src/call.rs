//! A request as a handler gets it.
//!
//! Made by the router alone. A form has been read and a turn taken before a handler of [`Input::Form`] sees its
//! request; handlers of [`Input::Body`] read the body themselves and take their turn when it is whole.
//!
//! [`Input::Form`]: crate::router::Input::Form
//! [`Input::Body`]: crate::router::Input::Body

use std::sync::Arc;

use hyper::http::request::Parts;

use crate::admission::Place;
use crate::app::App;
use crate::params::Params;

/// What a handler gets.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) head: Parts,
    /// Those of the form, then those of the query string.
    pub(crate) params: Params,
    /// The segment of the path that stands for `{}` in the table, decoded; what stands for `{*}`, as it is.
    pub(crate) segment: String,
    /// Where it works.
    pub(crate) place: Place,
}
