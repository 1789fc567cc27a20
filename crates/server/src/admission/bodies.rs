//! The memory of request bodies: what they hold while they arrive and until they are decoded.
//!
//! A body holds the bytes that have arrived, and nothing for what its headers promise. So whoever sends nothing
//! holds nothing, and bodies whose senders wait for each other cannot block each other.
//!
//! When more bytes arrive than there is room for ([`Body::grow`]):
//!
//! 1. Bodies that are complete leave by themselves: their work waits for no client. If enough of the memory is
//!    theirs, the body waits for that.
//! 2. Otherwise bodies that are still arriving are refused, with 503 and `Retry-After`: those first that come more
//!    slowly than `rate_min`, then the youngest; the one that asks may be among them.
//! 3. The oldest body that keeps the rate would be the last one, and is never refused, since there is room for it
//!    when all others have gone. So there is always one that will be whole.
//!
//! # Invariants
//!
//! - What all bodies hold stays within `bytes_max`.
//! - The last `small_part` of it is for bodies of at most [`SMALL_BYTES`], so that large ones, however many, leave
//!   room for what most senders send.
//! - The largest body has room beside that part: [`Bodies::largest`].
//!
//! The lock is held for a walk over the bodies that arrive, and only where memory is short.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::refusal::Refusal;

/// The largest body that may take of the part for small ones.
const SMALL_BYTES: usize = 256 << 10;
/// The part of all memory that is for small bodies alone.
const SMALL_PART: usize = 8;
/// How long a body may wait for its client before its rate is judged.
const RATE_GRACE: Duration = Duration::from_secs(1);

/// See the module. Clones share the memory.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes_max: usize,
    small_part: usize,
    /// Bytes per second that a body has to keep to where memory is short.
    rate_min: u64,
    /// How long a body waits for complete ones to leave.
    patience: Duration,
    state: Mutex<State>,
    /// Somebody left.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// What all bodies hold.
    held: usize,
    /// What those hold that are larger than a small one.
    held_large: usize,
    /// Bodies that are not complete, the oldest first.
    arriving: BTreeMap<u64, Arriving>,
    refused: u64,
}

#[derive(Debug)]
struct Arriving {
    bytes: usize,
    /// How long it has waited for its client, up to `since`.
    waited: Duration,
    /// Since when it waits for its client, if it does.
    since: Option<Instant>,
    /// Set when it is refused.
    stop: Arc<Notify>,
    stopped: bool,
}

/// What one body holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Body {
    shared: Arc<Shared>,
    number: u64,
    bytes: usize,
    stop: Arc<Notify>,
}

impl Bodies {
    /// Bodies that may hold `bytes_max` bytes together.
    pub(crate) fn new(bytes_max: usize, rate_min: u64, patience: Duration) -> Self {
        let small_part = bytes_max / SMALL_PART;
        let (state, freed) = (Mutex::default(), Notify::new());
        let shared = Shared { bytes_max, small_part, rate_min, patience, state, freed };
        Self { shared: Arc::new(shared) }
    }

    /// A body that has yet to arrive.
    pub(crate) fn begin(&self) -> Body {
        let stop = Arc::new(Notify::new());
        let mut state = self.shared.lock();
        let number = state.next;
        state.next += 1;
        let (waited, since) = (Duration::ZERO, None);
        let arriving =
            Arriving { bytes: 0, waited, since, stop: Arc::clone(&stop), stopped: false };
        state.arriving.insert(number, arriving);
        drop(state);
        Body { shared: Arc::clone(&self.shared), number, bytes: 0, stop }
    }

    /// The largest body that there is always room for.
    pub(crate) fn largest(&self) -> usize {
        self.shared.bytes_max - self.shared.small_part
    }

    /// What all of them may hold.
    pub(crate) fn bytes_max(&self) -> usize {
        self.shared.bytes_max
    }

    /// What all of them hold.
    pub(crate) fn bytes_held(&self) -> usize {
        self.shared.lock().held
    }

    /// How many were refused for want of memory.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.lock().refused
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that have to be given back before a body that holds `before` may hold `after`: by anybody, and by
    /// large bodies.
    fn missing(&self, state: &State, before: usize, after: usize) -> (usize, usize) {
        let all = (state.held + (after - before)).saturating_sub(self.bytes_max);
        let large = if after > SMALL_BYTES {
            let without = state.held_large - large_part(before);
            (without + after).saturating_sub(self.bytes_max - self.small_part)
        } else {
            0
        };
        (all, large)
    }

    /// Refuses bodies that are arriving until as much as is missing will come back, or none is left that may be.
    fn refuse(&self, state: &mut State, (mut all, mut large): (usize, usize)) {
        let now = Instant::now();
        let keeps_rate = |body: &Arriving| !body.stopped && !body.is_slow(now, self.rate_min);
        // What was refused before comes back anyhow; then slow ones, then the youngest.
        let rank = |(number, body): (&u64, &Arriving)| {
            let kind = u8::from(!body.stopped) + u8::from(keeps_rate(body));
            (kind, std::cmp::Reverse(*number))
        };
        let mut order: Vec<_> = state.arriving.iter().map(rank).collect();
        order.sort_unstable();
        let mut refused = 0;
        for (_, std::cmp::Reverse(number)) in order {
            if all == 0 && large == 0 {
                break;
            }
            let Some(body) = state.arriving.get_mut(&number) else { continue };
            let of_large = large_part(body.bytes);
            // Where large bodies have taken what is theirs, a small one that leaves is of no use.
            let helps = (all > 0 && body.bytes > 0) || (large > 0 && of_large > 0);
            if !helps {
                continue;
            }
            all = all.saturating_sub(body.bytes);
            large = large.saturating_sub(of_large);
            if !body.stopped {
                body.stopped = true;
                refused += 1;
                body.stop.notify_one();
            }
        }
        state.refused += refused;
    }
}

impl Arriving {
    fn is_slow(&self, now: Instant, rate_min: u64) -> bool {
        let waiting =
            self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let waited = self.waited.saturating_add(waiting);
        let due = waited.as_millis().saturating_mul(u128::from(rate_min)) / 1000;
        waited > RATE_GRACE && (self.bytes as u128) < due
    }
}

/// What a body of `bytes` counts among the large ones.
fn large_part(bytes: usize) -> usize {
    if bytes > SMALL_BYTES { bytes } else { 0 }
}

impl Body {
    /// The body begins to wait for its client.
    pub(crate) fn waits(&self) {
        if let Some(body) = self.shared.lock().arriving.get_mut(&self.number) {
            body.since = Some(Instant::now());
        }
    }

    /// Ready when the body is refused while it waits for its client.
    pub(crate) async fn refused(&self) -> Refusal {
        self.stop.notified().await;
        short_of_memory()
    }

    /// Counts what has arrived, once there is room for it.
    ///
    /// # Errors
    /// 503 where there is none and others go before. The body is to be dropped then.
    pub(crate) async fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let shared = Arc::clone(&self.shared);
        let deadline = Instant::now() + shared.patience;
        loop {
            // Made before the look, so that no wake-up behind it is missed.
            let freed = shared.freed.notified();
            if self.try_grow(bytes)? {
                return Ok(());
            }
            tokio::select! {
                refusal = self.refused() => return Err(refusal),
                waited = timeout_at(deadline, freed) => waited.map_err(|_| short_of_memory())?,
            }
        }
    }

    /// One look: whether it has grown; if not it has to wait for others, which are leaving.
    fn try_grow(&mut self, bytes: usize) -> Result<bool, Refusal> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let (before, after) = (self.bytes, self.bytes + bytes);
        if let Some(body) = state.arriving.get_mut(&self.number) {
            if body.stopped {
                return Err(short_of_memory());
            }
            if let Some(since) = body.since.take() {
                body.waited += since.elapsed();
            }
        }
        let missing = shared.missing(&state, before, after);
        if missing == (0, 0) {
            self.set(&mut state, after);
            return Ok(true);
        }
        // What complete bodies hold comes back without anybody being refused.
        let arriving: usize = state.arriving.values().map(|body| body.bytes).sum();
        let large: usize = state.arriving.values().map(|body| large_part(body.bytes)).sum();
        let complete = (state.held - arriving, state.held_large - large);
        let rest = (missing.0.saturating_sub(complete.0), missing.1.saturating_sub(complete.1));
        shared.refuse(&mut state, rest);
        if state.arriving.get(&self.number).is_some_and(|body| body.stopped) {
            return Err(short_of_memory());
        }
        Ok(false)
    }

    /// Counts `bytes` from now on, which are not more than before.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.set(&mut state, bytes.min(self.bytes));
        drop(state);
        shared.freed.notify_waiters();
    }

    /// The body is whole: it holds what it holds until it is dropped, and is not refused any more.
    pub(crate) fn complete(&self) {
        self.shared.lock().arriving.remove(&self.number);
        // Others may wait for it now instead of being refused.
    }

    /// What it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn set(&mut self, state: &mut State, bytes: usize) {
        state.held = state.held - self.bytes + bytes;
        state.held_large = state.held_large - large_part(self.bytes) + large_part(bytes);
        self.bytes = bytes;
        if let Some(body) = state.arriving.get_mut(&self.number) {
            body.bytes = bytes;
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.set(&mut state, 0);
        state.arriving.remove(&self.number);
        drop(state);
        shared.freed.notify_waiters();
    }
}

fn short_of_memory() -> Refusal {
    Refusal::unavailable("the memory for request bodies is taken; send it again later")
}

#[cfg(test)]
mod tests;
