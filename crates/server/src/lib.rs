//! The HTTP server of Siltstone.
//!
//! [`serve`] runs it until a future is ready, over an open [`siltstone::Db`], or read-only over a
//! [`siltstone::ReadOnlyDb`] ([`Store`]):
//!
//! ```
//! # use siltstone::{Db, Options};
//! # use siltstone_server::{ServerConfig, serve};
//! # let dir = tempfile::tempdir()?;
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let db = Db::open(dir.path(), Options::default())?;
//! let listener = siltstone_server::listen("127.0.0.1:0".parse()?)?;
//! println!("listening on {}", listener.local_addr()?);
//! let stop = async { /* wait for a signal */ };
//! serve(db, listener, ServerConfig::default(), stop).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A request goes from the accept loop (`listener`, over sockets with deadlines, `timed_io`, which have their
//! places from `connections`) past `gate`, which knows for whom it is and from where, through a table
//! (`router`) to the handler of its protocol (`handlers`, one file each), which reads and writes the formats of
//! [`protocol`]. What a request may hold while its body arrives, when it has its turn and on which thread it calls
//! the engine: `admission`. [`ingest`], [`protocol`], [`selected_series`] and [`time`] serve the command line as
//! well.
//!
//! # Decisions
//!
//! - *A selector of everything* is judged by the store, not by its text: it selects every series
//!   there is, and no matcher of it names a value with `=`. Deletes by the command and over HTTP
//!   ask for a word more then.
//! - *A compaction over HTTP* answers when it is done, or with `progress=true` line by line, and
//!   ends when its client goes: nobody waits for its report then, and what is merged stays.
//! - *Web pages* reach a server on loopback from any browser on the machine, so a page of another origin
//!   may change nothing, reads nothing unless `cors_origin` says so, and has no way around that by a name
//!   of its own (`hosts`). The admin API refuses every request with an `Origin`, which browsers send
//!   with each POST.
//! - *A read-only server* answers 403 to what would write, before it reads the body. Prometheus drops such
//!   requests, logs and counts them as failed; with 503 it would queue for a server that never takes them, and
//!   with 404 it would seem to have the path wrong.
//! - *A server without a free place* closes the connection that has been without a request longest,
//!   rather than let new ones wait for clients that may never speak; one that has just come goes last, since its
//!   request is on the way (`connections`).
//! - *The version in `buildinfo`* is that of the Prometheus whose language and API are spoken;
//!   Siltstone's own follows as build metadata. Clients compare it with the version from which on
//!   Prometheus has a feature.
//! - *Metadata of metrics* is held in the server's memory, bounded in number and bytes
//!   (`siltstone_memory_bytes{kind="metadata"}`). Senders repeat it each minute, so a store for it
//!   would only save that minute.
//! - *`status/tsdb` counts the registry*, which is what Prometheus counts too (its head): the
//!   postings of a pair are its count of series, so that one walk over the pairs answers. Series
//!   that are only on disk are not in it.
//! - *Bodies arrive without a turn.* A turn, and memory to decode in, are had when a body is whole, and an answer
//!   that waits for its reader gives them back. So each step waits only for those that follow it, and slow clients
//!   hold nothing that others wait for (`crates/server/src/admission`). Reserving what a body promises was
//!   simpler, and let two honest senders wait for each other until both were refused.
//! - *Threads of its own* instead of the runtime's: as many as turns, started at open, so that a system that is out of
//!   threads is noticed then; and the one that was idle last, whose caches are warm, works next.
//! - *Compression of answers* happens in the body that the socket polls (`coder.rs`), behind every
//!   handler: they stream as before, and what waits in the encoder is flushed when a stream pauses.
//! - *Remote read cuts a series into frames only above 8 MiB*, where Prometheus's server cuts at 1
//!   MiB: its client takes each frame for a series of its own, and counts a series in two frames
//!   twice or refuses it (`tests/peers/remote_read.rs` of the server).
//! - *Prometheus's order of labels* is made without holding samples
//!   (`crates/server/src/prometheus_order.rs`): labels are listed and sorted, one scan reads the
//!   longest run of series that the engine has in the same order, and the others, whose texts begin
//!   those of others, are read one by one when their turn comes.
//! - *The unit of the times of a text import* is what the request declares, or what the body tells by `# EOF` and
//!   by the times themselves; what cannot be told is refused (`ingest::undecided`).
//! - *Raw bytes in a URL* that Prometheus takes and hyper does not are escaped before hyper reads the head
//!   (`target_filter`).
//! - *Text `NaN`* is read as 0x7ff8000000000000, the bits that JSON lines print as `NaN`; remote
//!   write keeps every bit.

mod accept;
mod admission;
mod app;
mod call;
mod coder;
mod config;
mod connection_stats;
mod connections;
mod content_coding;
mod cors;
mod envelope;
mod extra_labels;
mod gate;
mod handlers;
mod hosts;
mod http_stats;
pub mod ingest;
mod json;
mod listener;
mod message_body;
mod metric_metadata;
mod params;
mod phase;
mod prometheus_order;
pub mod protocol;
mod queries;
mod reasons;
mod refusal;
mod refusal_log;
mod reply;
pub mod reports;
mod request_body;
mod router;
pub mod selected_series;
mod store;
mod target_filter;
pub mod time;
mod timed_io;
mod unparsed;

pub use config::ServerConfig;
pub use cors::CorsOrigin;
pub use extra_labels::ExtraLabels;
pub use hosts::{AllowedHost, InvalidHost};
pub use listener::{Listeners, PROBE_CONNECTIONS_MAX, listen, serve};
pub use reasons::Reasons;
pub use store::Store;
