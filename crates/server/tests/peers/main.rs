//! Real clients against a real server: each module is one client or one of its ways in.
//!
//! The programs are those that `../shared/peers.sh` beside the workspace unpacks into the target
//! directory at the first run, or those in the directory that `SILTSTONE_PEERS` names (with
//! `usr/bin/prometheus` in it). Python packages are installed into the target directory. What cannot be
//! had is not tested, which is said loudly.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod answers;
mod differential;
mod expressions;
mod program;
mod prometheus;
mod promtool;
mod python;
mod remote_read;
mod scraping;
mod seeded;
mod vmalert;
mod xor_chunks;
