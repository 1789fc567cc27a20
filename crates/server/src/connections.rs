//! Who may have a connection: places, how many one address may have, and which connection goes when
//! there is none left.
//!
//! - The public door has `connections_max` places, and [`PROBE_PLACES`] more that are kept for probes: a
//!   connection on one of these is served the probes alone, unless it gets another by the time of its request.
//! - The door for probes, where there is one, has [`PROBE_PLACES`] of its own, so that nothing at the
//!   public door can take them.
//! - An address (of IPv6 the first 64 bits, which one customer has) may have `per_address_max` at the
//!   public door; with one more its own goes, in the order below, and if none can go the new one is refused.
//!   Loopback has no such limit, because proxies share it.
//!
//! # Who goes
//!
//! A new connection gets the first of these that there is:
//!
//! 1. A free place.
//! 2. The place of the connection that has been without a request longest.
//! 3. The place of the one that has been sending headers longest.
//! 4. The same three of the places kept for probes.
//! 5. The place of the fresh connection ([`FRESH`](crate::phase::FRESH)) that has been so longest, of all of the
//!    door's. A flood of connections that say nothing comes to this: they take the places of each other, and a
//!    client keeps its own until as many have come behind it as there are places, for its request to arrive.
//! 6. None: all have requests under way, or have not been read yet. It waits, and the ones behind it wait in the
//!    system's backlog. That ends by the server's work and by what answers may take, never by a client's silence.
//!
//! A request on a place kept for probes that is no probe gets a place by 1 to 3, or else changes places with the
//! fresh connection that has been so longest: nobody is closed for it. If there is none it is answered 503.
//!
//! A connection that was given up is no longer counted, but its socket lives until its task has run: of
//! these there are at most [`ENDING_MAX`]. Looking for the one to give up walks over all connections.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::connection_stats::{Closed, ConnectionStats};
use crate::http_stats::add;
use crate::phase::{Loss, Phase};

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

    /// The connection that is the least loss among those that `fits` names; `None` if none of them can be
    /// given up.
    fn least(&self, fits: impl Fn(&Entry, Loss) -> bool) -> Option<u64> {
        let losses = self.open.iter().filter_map(|(id, entry)| {
            let (loss, since) = entry.phase.loss()?;
            fits(entry, loss).then_some((loss, since, *id))
        });
        losses.min().map(|(_, _, id)| id)
    }

    /// Gives up the connection that [`State::least`] finds; answers whose place it had.
    fn give_up(&mut self, fits: impl Fn(&Entry, Loss) -> bool) -> Option<Pool> {
        loop {
            let id = self.least(&fits)?;
            let Some(entry) = self.open.get(&id) else { continue };
            // Its request may have come since.
            if entry.phase.give_up() {
                let pool = entry.pool;
                self.remove(id);
                self.ending += 1;
                return Some(pool);
            }
        }
    }

    fn pool_of(&self, id: u64) -> Option<Pool> {
        self.open.get(&id).map(|entry| entry.pool)
    }

    fn move_to(&mut self, id: u64, pool: Pool) {
        if let Some(entry) = self.open.get_mut(&id) {
            self.taken[entry.pool as usize] -= 1;
            entry.pool = pool;
            self.taken[pool as usize] += 1;
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
        Ok(Connection { id, phase, peer, door, all: self.clone() })
    }

    /// Finds or makes room.
    fn place(&self, state: &mut State, client: Option<Client>, door: Door) -> Verdict {
        if state.ending >= ENDING_MAX {
            return Verdict::Wait;
        }
        if let Some(client) = client
            && state.of_client.get(&client).is_some_and(|count| *count >= self.per_address_max)
        {
            if state.give_up(|entry, _| entry.client == Some(client)).is_none() {
                return Verdict::Refused;
            }
            self.stats.count_closed(Closed::Address);
        }
        let pools: &[Pool] = match door {
            Door::Public => &[Pool::Public, Pool::Kept],
            Door::Probes => &[Pool::Probes],
        };
        if let Some(pool) = pools.iter().find(|pool| self.make_room(state, **pool)) {
            return Verdict::Place(*pool);
        }
        let Some(pool) = state.give_up(|entry, _| pools.contains(&entry.pool)) else {
            return Verdict::Wait;
        };
        self.stats.count_closed(Closed::Places);
        Verdict::Place(pool)
    }

    /// Whether there is a place, if need be that of a connection that is not fresh any more.
    fn make_room(&self, state: &mut State, pool: Pool) -> bool {
        let places = if pool == Pool::Public { self.places } else { PROBE_PLACES };
        if state.taken[pool as usize] < places {
            return true;
        }
        let given_up = state.give_up(|entry, loss| entry.pool == pool && loss < Loss::Fresh);
        if given_up.is_some() {
            self.stats.count_closed(Closed::Places);
        }
        given_up.is_some()
    }

    /// Closes the connection that is the least loss, because the process has no descriptor left.
    pub(crate) fn free_descriptor(&self) {
        if self.lock().give_up(|_, _| true).is_some() {
            self.stats.count_closed(Closed::Descriptors);
        }
    }

    /// Whether a connection with a request has a place for everything, or gets one now.
    fn serves_all(&self, id: u64) -> bool {
        let mut state = self.lock();
        if state.pool_of(id) != Some(Pool::Kept) {
            return state.pool_of(id) == Some(Pool::Public);
        }
        if state.ending >= ENDING_MAX || !self.make_room(&mut state, Pool::Public) {
            let fresh = state.least(|entry, _| entry.pool == Pool::Public);
            let Some(fresh) = fresh else { return false };
            state.move_to(fresh, Pool::Kept);
        }
        state.move_to(id, Pool::Public);
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

    /// Whether its place is one for probes alone now.
    pub(crate) fn is_for_probes(&self) -> bool {
        matches!(self.all.lock().pool_of(self.id), Some(Pool::Kept | Pool::Probes))
    }

    /// Whether it may have a request served that is no probe. To be asked while one is under way.
    pub(crate) fn serves_all(&self) -> bool {
        self.all.serves_all(self.id)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.end(self.id);
    }
}

#[cfg(test)]
mod tests;
