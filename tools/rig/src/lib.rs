//! What the rigs (`peerbench`, `crashrig`, `siege`, `promqldiff`) share.
//!
//! A rig talks to servers as a client does: it starts them as processes ([`process`], [`store`]),
//! speaks HTTP ([`http`]) and protobuf ([`wire`], [`remote_write`]) in its own words, so that a mistake
//! of the engine's code is not repeated on the judge's bench, and this crate never links the engine.
//! Series come from a recording ([`recording`]) or are made ([`tsbs`]). Everything is on the loopback
//! interface, bounded, and ends by itself or at Ctrl-C ([`interrupt`]).

#![expect(
    clippy::disallowed_methods,
    reason = "a rig stands outside the store: it has files, clocks and threads of its own"
)]

pub mod bad_requests;
pub mod error;
pub mod gauge;
pub mod http;
pub mod install;
pub mod interrupt;
pub mod json_line;
pub mod process;
pub mod recording;
pub mod remote_write;
pub mod report;
pub mod seeded;
pub mod served;
pub mod store;
pub mod tsbs;
pub mod verdict;
pub mod wire;

pub use error::RigError;
pub use interrupt::Interrupt;
