//! Who may have a connection: places, how many one address may have, and which connection goes when
//! there is none left.
//!
//! - The public door has `connections_max` places. When all are taken a new connection gets the place of
//!   the one that has been without a request longest, or else of the one that has been sending headers
//!   longest. A connection with a request under way keeps its place.
//! - [`PROBE_PLACES`] more are kept for probes. A connection gets one when all others have requests
//!   under way; it is served the probes alone, unless a place has become free by the time of its request.
//! - The door for probes, where there is one, has [`PROBE_PLACES`] of its own, so that nothing at the
//!   public door can take them.
//! - When all of these have requests under way, a new connection waits, and the ones behind it wait in
//!   the system's backlog.
//! - An address (of IPv6 the first 64 bits, which one customer has) may have `per_address_max` at the
//!   public door; with one more its own oldest goes, by the same order, and if all have requests
//!   under way the new one is refused. Loopback has no such limit, because proxies share it.
//!
//! A connection that was given up is no longer counted, but its socket lives until its task has run: of
//! these there are at most [`ENDING_MAX`]. Looking for the one to give up walks over all connections.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::connection_stats::{Closed, ConnectionStats};
use crate::http_stats::add;
use crate::phase::Phase;

/// Places that are kept for probes at the public door, and those of the door for probes.
pub(crate) const PROBE_PLACES: usize = 16;
/// Most connections that were given up and are not closed yet.
const ENDING_MAX: usize = 64;

/// Which listener a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Public,
    Probes,
}

/// Whose places a connection takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pool {
    /// Of the public door.
    Public,
    /// Of the public door, but kept for probes.
    Kept,
    /// Of the door for probes.
    Probes,
}

/// The part of an address that is counted as one client; `None` of a client that is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Client {
    fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            address if address.is_loopback() => None,
            IpAddr::V4(address) => Some(Self::V4(address.octets())),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Some(Self::V6([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connections {
    places: usize,
    per_address_max: usize,
    stats: Arc<ConnectionStats>,
    /// Told when a place may have become free.
    freed: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, Entry>,
    /// Of [`Pool`]s.
    taken: [usize; 3],
    of_client: HashMap<Client, usize>,
    /// Given up, and not closed yet.
    ending: usize,
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    pool: Pool,
    client: Option<Client>,
}

/// What becomes of a new connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Place(Pool),
    /// Its address has too many.
    Refused,
    /// Nobody can make room now.
    Wait,
}

impl State {
    fn add(&mut self, phase: Phase, pool: Pool, client: Option<Client>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.taken[pool as usize] += 1;
        if let Some(client) = client {
            *self.of_client.entry(client).or_insert(0) += 1;
        }
        self.open.insert(id, Entry { phase, pool, client });
        id
    }

    fn remove(&mut self, id: u64) -> bool {
        let Some(entry) = self.open.remove(&id) else { return false };
        self.taken[entry.pool as usize] -= 1;
        if let Some(client) = entry.client
            && let Some(count) = self.of_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&client);
            }
        }
        true
    }

    /// Gives up the connection that is the least loss among those that `fits` names; false if all of
    /// them have requests.
    fn give_up(&mut self, fits: impl Fn(&Entry) -> bool) -> bool {
        loop {
            let losses =
                self.open.iter().filter(|(_, entry)| fits(entry)).filter_map(|(id, entry)| {
                    entry.phase.loss().map(|(loss, since)| (loss, since, *id))
                });
            let Some((_, _, id)) = losses.min() else { return false };
            // Its request may have come since.
            if self.open.get(&id).is_some_and(|entry| entry.phase.give_up()) {
                self.remove(id);
                self.ending += 1;
                return true;
            }
        }
    }
}

impl Connections {
    pub(crate) fn new(
        places: usize,
        per_address_max: usize,
        stats: Arc<ConnectionStats>,
    ) -> Arc<Self> {
        Arc::new(Self {
            places: places.max(1),
            per_address_max: per_address_max.max(1),
            stats,
            freed: Arc::default(),
            state: Mutex::default(),
        })
    }

    /// Waits for a place for a connection from `peer`; `None` if it is refused.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        peer: SocketAddr,
        door: Door,
    ) -> Option<Arc<Connection>> {
        loop {
            // Made before the look, so that nothing that changes behind it is missed.
            let freed = self.freed.notified();
            match self.try_admit(peer, door) {
                Ok(connection) => return Some(Arc::new(connection)),
                Err(Verdict::Refused) => {
                    add(&self.stats.refused_of_address, 1);
                    return None;
                }
                Err(_) => freed.await,
            }
        }
    }

    fn try_admit(self: &Arc<Self>, peer: SocketAddr, door: Door) -> Result<Connection, Verdict> {
        let client = if door == Door::Public { Client::of(peer.ip()) } else { None };
        let phase = Phase::new(self.freed.clone());
        let mut state = self.lock();
        let pool = match self.place(&mut state, client, door) {
            Verdict::Place(pool) => pool,
            other => return Err(other),
        };
        let id = state.add(phase.clone(), pool, client);
        drop(state);
        let serves_all = AtomicBool::new(pool == Pool::Public);
        Ok(Connection { id, phase, peer, door, serves_all, all: self.clone() })
    }

    /// Finds or makes room.
    fn place(&self, state: &mut State, client: Option<Client>, door: Door) -> Verdict {
        if state.ending >= ENDING_MAX {
            return Verdict::Wait;
        }
        if let Some(client) = client
            && state.of_client.get(&client).is_some_and(|count| *count >= self.per_address_max)
        {
            if !state.give_up(|entry| entry.client == Some(client)) {
                return Verdict::Refused;
            }
            self.stats.count_closed(Closed::Address);
        }
        let pools: &[Pool] = match door {
            Door::Public => &[Pool::Public, Pool::Kept],
            Door::Probes => &[Pool::Probes],
        };
        let pool = pools.iter().find(|pool| self.make_room(state, **pool));
        pool.map_or(Verdict::Wait, |pool| Verdict::Place(*pool))
    }

    /// Whether there is a place, if need be one that was given up.
    fn make_room(&self, state: &mut State, pool: Pool) -> bool {
        let places = if pool == Pool::Public { self.places } else { PROBE_PLACES };
        if state.taken[pool as usize] < places {
            return true;
        }
        let made = state.give_up(|entry| entry.pool == pool);
        if made {
            self.stats.count_closed(Closed::Places);
        }
        made
    }

    /// Closes the connection that is the least loss, because the process has no descriptor left.
    pub(crate) fn free_descriptor(&self) {
        if self.lock().give_up(|_| true) {
            self.stats.count_closed(Closed::Descriptors);
        }
    }

    /// Gives a connection that has a place kept for probes one for everything, if there is one.
    fn promote(&self, id: u64) -> bool {
        let mut state = self.lock();
        if state.ending >= ENDING_MAX || !self.make_room(&mut state, Pool::Public) {
            return false;
        }
        let Some(entry) = state.open.get_mut(&id) else { return false };
        entry.pool = Pool::Public;
        state.taken[Pool::Kept as usize] -= 1;
        state.taken[Pool::Public as usize] += 1;
        drop(state);
        self.freed.notify_waiters();
        true
    }

    fn end(&self, id: u64) {
        let mut state = self.lock();
        if !state.remove(id) {
            state.ending -= 1;
        }
        drop(state);
        self.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection. It has its place until this is dropped, which is when its socket is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    phase: Phase,
    peer: SocketAddr,
    door: Door,
    serves_all: AtomicBool,
    all: Arc<Connections>,
}

impl Connection {
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn door(&self) -> Door {
        self.door
    }

    /// Whether its place is one for probes alone, as far as is known.
    pub(crate) fn is_for_probes(&self) -> bool {
        !self.serves_all.load(Ordering::Relaxed)
    }

    /// Whether it may have a request served that is no probe. To be asked while one is under way.
    pub(crate) fn serves_all(&self) -> bool {
        if self.door == Door::Probes {
            return false;
        }
        if self.is_for_probes() && self.all.promote(self.id) {
            self.serves_all.store(true, Ordering::Relaxed);
        }
        !self.is_for_probes()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.end(self.id);
    }
}

#[cfg(test)]
mod tests;
