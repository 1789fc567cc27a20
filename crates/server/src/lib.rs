//! The HTTP server of Siltstone.
//!
//! [`serve`] runs it over an open [`siltstone::Db`] until a future is ready:
//!
//! ```
//! # use siltstone::{Db, Options};
//! # use siltstone_server::{ServerConfig, serve};
//! # let dir = tempfile::tempdir()?;
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let db = Db::open(dir.path(), Options::default())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! println!("listening on {}", listener.local_addr()?);
//! let stop = async { /* wait for a signal */ };
//! serve(db, listener, ServerConfig::default(), stop).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A request goes from the accept loop (`listener`, over sockets with deadlines, `timed_io`) through a
//! table (`router`) to the handler of its protocol (`handlers`, one file each), which reads and writes
//! the formats of [`protocol`] and calls the engine on blocking threads. [`ingest`], [`protocol`],
//! [`selected_series`] and [`time`] serve the command line as well.

mod accept;
mod app;
mod blocking;
mod call;
mod coder;
mod config;
mod content_coding;
mod cors;
mod envelope;
mod handlers;
mod http_stats;
pub mod ingest;
mod json;
mod listener;
mod message_body;
mod metric_metadata;
mod params;
mod prometheus_order;
pub mod protocol;
mod queries;
mod reasons;
mod refusal;
mod reply;
pub mod reports;
mod request_body;
mod router;
pub mod selected_series;
pub mod time;
mod timed_io;

pub use config::ServerConfig;
pub use cors::CorsOrigin;
pub use listener::serve;
pub use reasons::Reasons;
