//! The HTTP server of Siltstone.

pub mod protocol;
