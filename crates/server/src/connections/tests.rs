//! Who gets a place, and who loses one, without sockets.

use std::net::SocketAddr;

use super::*;

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

#[test]
fn the_longest_idle_goes_first_then_who_sends_headers_longest() {
    let all = connections(4, 100);
    let headers = public(&all, LOOPBACK);
    headers.phase.heard();
    let working = busy(&all, LOOPBACK);
    let silent = public(&all, LOOPBACK);
    let kept_alive = busy(&all, LOOPBACK);
    idle(&kept_alive);
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
    let kept: Vec<Connection> = (0..PROBE_PLACES).map(|_| public(&all, LOOPBACK)).collect();
    let more = public(&all, LOOPBACK);
    assert!(kept[0].phase.is_ending() && !kept[1].phase.is_ending());
    for connection in kept[1..].iter().chain([&more]) {
        assert!(connection.phase.busy());
    }
    let waits = all.try_admit(from(LOOPBACK), Door::Public).map(drop);
    assert_eq!(waits, Err(Verdict::Wait));
    // The other door has places of its own.
    let probes: Vec<Connection> =
        (0..=PROBE_PLACES).map(|_| all.try_admit(from(LOOPBACK), Door::Probes).unwrap()).collect();
    assert!(probes[0].phase.is_ending() && !probes[1].phase.is_ending());
    drop(held);
    assert!(!public(&all, LOOPBACK).is_for_probes());
}

#[test]
fn sockets_that_are_not_closed_yet_are_bounded() {
    let all = connections(1, 100);
    let given_up: Vec<Connection> = (0..=ENDING_MAX).map(|_| public(&all, LOOPBACK)).collect();
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
        let first = public(&all, mine);
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
    let (first, second) = (public(&all, LOOPBACK), busy(&all, LOOPBACK));
    all.free_descriptor();
    all.free_descriptor();
    assert!(first.phase.is_ending() && !second.phase.is_ending());
    assert_eq!(closed(&all, "descriptors"), 1);
}
