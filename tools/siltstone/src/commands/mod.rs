//! One file per subcommand: its flags, its help, its work.

pub(crate) mod attach;
pub(crate) mod compact;
pub(crate) mod delete;
pub(crate) mod digest;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod flush;
pub(crate) mod import;
pub(crate) mod ls;
pub(crate) mod query;
pub(crate) mod repair;
pub(crate) mod samples;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod snapshot;
pub(crate) mod stats;
pub(crate) mod verify;
