//! The HTTP server of Siltstone.
