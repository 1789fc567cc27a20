//! What the rigs share, and the workloads of `peerbench`.
//!
//! A rig talks to servers as a client does: it starts them as processes ([`process`], [`store`]),
//! speaks HTTP ([`http`]) and protobuf ([`wire`], [`remote_write`]) in its own words, so that a mistake
//! of the engine's code is not repeated on the judge's bench, and never links the engine. Everything is
//! on the loopback interface, bounded, and ends by itself or at Ctrl-C ([`interrupt`]).

#![expect(
    clippy::disallowed_methods,
    reason = "a rig stands outside the store: it has files, clocks and threads of its own"
)]

pub mod abuse;
pub mod active_series;
pub mod churn;
pub mod cpu_meter;
pub mod error;
pub mod gauge;
pub mod http;
pub mod install;
pub mod interrupt;
pub mod json_line;
pub mod known_series;
pub mod process;
pub mod queries;
pub mod query_memory;
pub mod recording;
pub mod remote_write;
pub mod report;
pub mod running;
pub mod seeded;
pub mod settle;
pub mod size;
pub mod store;
pub mod tsbs;
pub mod wire;

pub use error::RigError;
pub use interrupt::Interrupt;
