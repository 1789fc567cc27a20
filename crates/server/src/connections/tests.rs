//! Who gets a place, and who loses one, without sockets.

use std::net::SocketAddr;

use tokio::time::advance;

use super::*;
use crate::phase::FRESH;

fn connections(places: usize, per_address_max: usize) -> Arc<Connections> {
    Connections::new(places, per_address_max, Arc::default())
}

/// A client on an address of its own, unless the host says.
fn from(host: &str) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), 1)
}

const LOOPBACK: &str = "127.0.0.1";

fn public(all: &Arc<Connections>, host: &str) -> Connection {
    all.try_admit(from(host), Door::Public).unwrap()
}

/// Has just come, and has been read without a byte in it.
fn fresh(all: &Arc<Connections>, host: &str) -> Connection {
    let connection = public(all, host);
    connection.phase.silent();
    connection
}

fn busy(all: &Arc<Connections>, host: &str) -> Connection {
    let connection = public(all, host);
    assert!(connection.phase.busy());
    connection
}

/// Has had an answer, and sent nothing since.
fn idle(connection: &Connection) {
    connection.phase.idle();
    connection.phase.flushed();
}

fn closed(all: &Connections, reason: &str) -> u64 {
    all.stats.closed().find(|(name, _)| *name == reason).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_goes_first_then_who_sends_headers_longest() {
    let all = connections(4, 100);
    let headers = public(&all, LOOPBACK);
    headers.phase.heard();
    let working = busy(&all, LOOPBACK);
    let silent = fresh(&all, LOOPBACK);
    let kept_alive = busy(&all, LOOPBACK);
    idle(&kept_alive);
    advance(FRESH).await;
    let gone = || [&silent, &kept_alive, &headers, &working].map(|c| c.phase.is_ending());
    let first = busy(&all, LOOPBACK);
    assert_eq!(gone(), [true, false, false, false]);
    let second = busy(&all, LOOPBACK);
    assert_eq!(gone(), [true, true, false, false]);
    let third = busy(&all, LOOPBACK);
    assert_eq!(gone(), [true, true, true, false]);
    assert!(!first.is_for_probes() && !second.is_for_probes() && !third.is_for_probes());
    assert_eq!(closed(&all, "places"), 3);
    assert!(!headers.phase.busy(), "its request comes too late");
    // All are at work: the next one is for probes.
    let probe = public(&all, LOOPBACK);
    assert!(probe.is_for_probes() && !probe.serves_all());
    drop(first);
    assert!(probe.serves_all(), "there is a place now");
}

#[test]
fn an_answer_that_is_not_sent_yet_is_not_idle() {
    let all = connections(1, 100);
    let connection = busy(&all, LOOPBACK);
    connection.phase.idle();
    let second = public(&all, LOOPBACK);
    assert!(second.is_for_probes() && !connection.phase.is_ending());
    connection.phase.flushed();
    assert!(second.serves_all() && connection.phase.is_ending());
}

#[test]
fn kept_places_are_bounded_and_then_one_waits() {
    let all = connections(1, 100);
    let held = busy(&all, LOOPBACK);
    let kept: Vec<Connection> = (0..PROBE_PLACES).map(|_| fresh(&all, LOOPBACK)).collect();
    let more = public(&all, LOOPBACK);
    assert!(kept[0].phase.is_ending() && !kept[1].phase.is_ending());
    for connection in kept[1..].iter().chain([&more]) {
        assert!(connection.phase.busy());
    }
    let waits = all.try_admit(from(LOOPBACK), Door::Public).map(drop);
    assert_eq!(waits, Err(Verdict::Wait));
    // The other door has places of its own.
    let probe = |_| {
        let connection = all.try_admit(from(LOOPBACK), Door::Probes).unwrap();
        connection.phase.silent();
        connection
    };
    let probes: Vec<Connection> = (0..=PROBE_PLACES).map(probe).collect();
    assert!(probes[0].phase.is_ending() && !probes[1].phase.is_ending());
    drop(held);
    assert!(!public(&all, LOOPBACK).is_for_probes());
}

#[test]
fn sockets_that_are_not_closed_yet_are_bounded() {
    let all = connections(1, 100);
    let places = 1 + PROBE_PLACES;
    let given_up: Vec<_> = (0..places + ENDING_MAX).map(|_| fresh(&all, LOOPBACK)).collect();
    assert_eq!(all.try_admit(from(LOOPBACK), Door::Public).map(drop), Err(Verdict::Wait));
    drop(given_up);
    assert_eq!(all.lock().ending, 0);
    assert!(all.lock().open.is_empty() && all.lock().taken == [0; 3]);
}

#[test]
fn an_address_has_its_own_limit() {
    let all = connections(100, 2);
    for (mine, also_mine, other) in [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"),
    ] {
        let first = fresh(&all, mine);
        let second = busy(&all, also_mine);
        let third = busy(&all, mine);
        assert!(first.phase.is_ending() && !second.phase.is_ending());
        let refused = all.try_admit(from(also_mine), Door::Public).map(drop);
        assert_eq!(refused, Err(Verdict::Refused), "all of its own are at work");
        drop(public(&all, other));
        drop(third);
        drop(public(&all, mine));
    }
    assert_eq!(closed(&all, "address"), 2);
    assert!(all.lock().of_client.is_empty());
    let from_proxies: Vec<Connection> = (0..50).map(|_| busy(&all, LOOPBACK)).collect();
    assert!(from_proxies.iter().all(|connection| !connection.is_for_probes()));
}

#[test]
fn a_want_of_descriptors_takes_the_longest_idle() {
    let all = connections(100, 100);
    let (first, second) = (fresh(&all, LOOPBACK), busy(&all, LOOPBACK));
    all.free_descriptor();
    all.free_descriptor();
    assert!(first.phase.is_ending() && !second.phase.is_ending());
    assert_eq!(closed(&all, "descriptors"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_just_come_goes_last() {
    let all = connections(3, 100);
    let (old, headers) = (fresh(&all, LOOPBACK), public(&all, LOOPBACK));
    headers.phase.heard();
    advance(FRESH).await;
    let young = fresh(&all, LOOPBACK);
    let mut came: Vec<Connection> = (0..2).map(|_| fresh(&all, LOOPBACK)).collect();
    assert!(old.phase.is_ending() && headers.phase.is_ending());
    came.extend((0..PROBE_PLACES).map(|_| fresh(&all, LOOPBACK)));
    assert!(!young.phase.is_ending(), "there were places for probes");
    let next = fresh(&all, LOOPBACK);
    assert!(
        young.phase.is_ending() && !next.is_for_probes(),
        "the oldest of all, whatever its place"
    );
    assert!(came.iter().all(|connection| !connection.phase.is_ending()));
    // A head that has just begun is no older than its first byte.
    came[1].phase.heard();
    advance(FRESH / 2).await;
    came[0].phase.heard();
    drop(fresh(&all, LOOPBACK));
    assert!(came[1].phase.is_ending() && !came[0].phase.is_ending());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_read_yet_is_waited_for() {
    let all = connections(1, 100);
    let unread: Vec<Connection> = (0..=PROBE_PLACES).map(|_| public(&all, LOOPBACK)).collect();
    advance(FRESH).await;
    let next = tokio::spawn({
        let all = all.clone();
        async move { all.admit(from(LOOPBACK), Door::Public).await.unwrap() }
    });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    unread[3].phase.silent();
    let next = next.await.unwrap();
    assert!(unread[3].phase.is_ending() && next.is_for_probes());
    // One whose request has come is none to be closed, and makes way by its answer.
    let last = tokio::spawn({
        let all = all.clone();
        async move { all.admit(from(LOOPBACK), Door::Public).await.unwrap() }
    });
    assert!(unread[0].phase.busy());
    tokio::task::yield_now().await;
    assert!(!last.is_finished());
    idle(&unread[0]);
    assert!(!last.await.unwrap().is_for_probes() && unread[0].phase.is_ending());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_silent_connections_leaves_time_for_a_request() {
    let all = connections(4, 100);
    let places = 4 + PROBE_PLACES;
    let mut flood: Vec<Connection> = Vec::new();
    for _ in 0..3 {
        flood.extend((0..places).map(|_| fresh(&all, LOOPBACK)));
        let honest = fresh(&all, LOOPBACK);
        flood.extend((1..places).map(|_| fresh(&all, LOOPBACK)));
        assert!(honest.phase.busy() && honest.serves_all());
        // Their tasks run.
        flood.retain(|connection| !connection.phase.is_ending());
        advance(FRESH / 10).await;
    }
}

#[test]
fn a_request_changes_places_with_who_has_just_come() {
    let all = connections(1, 100);
    let first = fresh(&all, LOOPBACK);
    let second = busy(&all, LOOPBACK);
    assert!(second.is_for_probes() && second.serves_all());
    assert!(!first.phase.is_ending() && first.is_for_probes());
    assert_eq!(closed(&all, "places"), 0);
    assert_eq!(all.lock().taken, [1, 1, 0]);
    // Its own request comes, and is answered that there is no place.
    assert!(first.phase.busy() && !first.serves_all());
    idle(&second);
    assert!(first.serves_all() && second.phase.is_ending());
}
