//! The command as a user runs it: what it prints and how it exits.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod admin;
mod attach;
mod basics;
mod compact;
mod delete;
mod digest;
mod failing;
mod harness;
mod limits;
mod map_faults;
mod plot;
mod query;
mod query_url;
mod repair;
mod samples;
mod samples_step;
mod serving;
mod serving_read_only;
mod traced;
