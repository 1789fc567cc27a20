//! One file per protocol. A handler checks what a request asks for, calls the engine on a blocking
//! thread and answers; it owns no state.

pub(crate) mod admin;
pub(crate) mod export;
pub(crate) mod expressions;
pub(crate) mod federate;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod metadata;
pub(crate) mod metrics;
pub(crate) mod promql;
mod query;
pub(crate) mod remote_read;
pub(crate) mod remote_write;
pub(crate) mod scraping;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod written;
