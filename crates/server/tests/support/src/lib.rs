//! What the tests of the server share: a server on a port of its own ([`harness`]), and a client that
//! can misbehave ([`client`]).
//!
//! A crate, because there are two test programs: `http`, whose clients are ours, and `peers`, whose
//! clients are other people's programs and which is run alone too.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub mod client;
pub mod harness;
