//! One file per protocol. A handler checks what a request asks for, calls the engine on a blocking
//! thread and answers; it owns no state.

pub(crate) mod admin;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod metrics;
mod query;
pub(crate) mod remote_read;
pub(crate) mod remote_write;
pub(crate) mod series;
