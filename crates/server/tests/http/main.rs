//! The server over real sockets: what clients send, and what must not harm it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod admin;
mod admission;
mod coding;
mod connections;
mod deadlines;
mod envelope;
mod expressions;
mod failing;
mod federate;
mod grafana;
mod growth;
mod held;
mod import_export;
mod import_times;
mod lifecycle;
mod limits;
mod losses;
mod metadata;
mod pages;
mod promql;
mod push;
mod query_limits;
mod read_only;
mod regex;
mod remote_read;
mod remote_write;
mod result_cache;
mod series;
mod status;
mod targets;
mod unwritten;
