//! Request bodies: held whole within limits, or handed over in steps.
//!
//! While a body arrives it holds its bytes in [`admission`](crate::admission) and nothing else: no turn, no thread.
//! Both kinds give up on a client that is too slow. Only the time spent on waiting for the client counts,
//! not the time that the store needs. A body that breaks off is an error, never a shorter body.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::time::{Instant, timeout};

use crate::admission::Body;
use crate::app::App;
use crate::refusal::Refusal;

/// A buffer without a declared length grows by this part of itself at least.
const GROWTH_PART: usize = 4;

/// How much longer the client may make us wait.
#[derive(Debug)]
struct Patience {
    left: Duration,
    most: Duration,
    /// Bytes per second that earn more patience; `None` for a fixed time.
    rate_min: Option<u64>,
}

impl Patience {
    fn fixed(time: Duration) -> Self {
        Self { left: time, most: time, rate_min: None }
    }

    /// What arrives earns time, up to what there was at first: a client that has sent much may not be silent for
    /// longer than one that has sent little.
    fn earned(time: Duration, rate_min: u64) -> Self {
        Self { left: time, most: time, rate_min: Some(rate_min.max(1)) }
    }

    fn earn(&mut self, bytes: usize) {
        if let Some(rate) = self.rate_min {
            let earned = Duration::from_millis((bytes as u64).saturating_mul(1000) / rate);
            self.left = self.left.saturating_add(earned).min(self.most);
        }
    }
}

/// A body as it arrives.
pub(crate) struct Arriving {
    incoming: Incoming,
    patience: Patience,
    /// What it holds.
    held: Body,
}

impl Arriving {
    /// A body that is held until it is whole: it has a fixed time.
    fn whole(app: &App, incoming: Incoming) -> Self {
        let patience = Patience::fixed(app.config.body_timeout);
        Self { incoming, patience, held: app.admission.bodies.begin() }
    }

    /// A body of any length, of which little is held: it may take as long as it keeps to its rate.
    pub(crate) fn streamed(app: &App, incoming: Incoming) -> Self {
        let patience = Patience::earned(app.config.body_timeout, app.config.body_rate_min);
        Self { incoming, patience, held: app.admission.bodies.begin() }
    }

    /// The next bytes, which the body holds from now on; `None` at its end.
    ///
    /// # Errors
    /// 408 for a client that is too slow, 400 for a body that breaks off, 503 where memory is short.
    pub(crate) async fn next_piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let started = Instant::now();
            self.held.waits();
            let frame = tokio::select! {
                frame = timeout(self.patience.left, self.incoming.frame()) => frame,
                refusal = self.held.refused() => return Err(refusal),
            };
            let frame = frame.map_err(|_| {
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body arrived too slowly")
            })?;
            self.patience.left = self.patience.left.saturating_sub(started.elapsed());
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Refusal::bad_request(format!("the body broke off: {error}")));
                }
                // Trailers carry nothing that is understood here.
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.patience.earn(bytes.len());
                    self.held.grow(bytes.len()).await?;
                    return Ok(Some(bytes));
                }
            }
        }
    }

    /// Holds `bytes` instead of what it held.
    ///
    /// # Errors
    /// 503 where memory is short.
    pub(crate) async fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.held.bytes();
        if bytes <= held {
            self.held.shrink(bytes);
            return Ok(());
        }
        self.held.grow(bytes - held).await
    }
}

/// A body that has arrived, and what it holds.
#[derive(Debug)]
pub(crate) struct WholeBody {
    pub(crate) bytes: Vec<u8>,
    _held: Body,
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// 413 beyond the limit, and as [`Arriving::next_piece`].
pub(crate) async fn read_whole(
    app: &App,
    incoming: Incoming,
    limit: usize,
) -> Result<WholeBody, Refusal> {
    let limit = app.admission.body_bytes_max(limit);
    let too_large =
        || Refusal::too_large(format!("the body is larger than the limit of {limit} bytes"));
    let declared = incoming.size_hint().exact();
    let declared = declared.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
    if declared.is_some_and(|len| len > limit) {
        return Err(too_large());
    }
    let mut arriving = Arriving::whole(app, incoming);
    // Whoever sends nothing takes no buffer either.
    let mut out = Vec::new();
    while let Some(piece) = arriving.next_piece().await? {
        if piece.len() > limit - out.len() {
            return Err(too_large());
        }
        if out.is_empty() {
            out = app.take_buffer();
        }
        let needed = match declared {
            // It is earned by the first piece and bounded by the limit.
            Some(len) if out.is_empty() => len.max(piece.len()),
            _ if out.capacity() - out.len() >= piece.len() => 0,
            _ => piece.len().max(out.len() / GROWTH_PART),
        };
        out.try_reserve_exact(needed).map_err(|_| Refusal::no_memory())?;
        out.extend_from_slice(&piece);
    }
    arriving.held.complete();
    Ok(WholeBody { bytes: out, _held: arriving.held })
}
