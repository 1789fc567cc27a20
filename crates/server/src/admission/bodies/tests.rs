//! Bodies that compete for memory, without sockets.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;

const MIB: usize = 1 << 20;
const RATE: u64 = 1024;

/// 16 MiB, 2 of which are for small ones.
fn bodies() -> Bodies {
    Bodies::new(16 * MIB, RATE, Duration::from_secs(10))
}

async fn with(bodies: &Bodies, bytes: usize) -> Body {
    let mut body = bodies.begin();
    body.grow(bytes).await.unwrap();
    body
}

/// Whether it was refused before it asked again.
async fn is_refused(body: &Body) -> bool {
    timeout(Duration::from_millis(1), body.refused()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_sends_nothing_holds_nothing() {
    let bodies = bodies();
    let silent: Vec<_> = (0..10_000).map(|_| bodies.begin()).collect();
    assert_eq!(bodies.bytes_held(), 0);
    let body = with(&bodies, 14 * MIB).await;
    assert_eq!(
        (body.bytes(), bodies.bytes_held(), bodies.largest()),
        (14 * MIB, 14 * MIB, 14 * MIB)
    );
    drop((silent, body));
    assert_eq!((bodies.bytes_held(), bodies.refused()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_youngest_goes_and_the_oldest_becomes_whole() {
    let bodies = bodies();
    let mut oldest = with(&bodies, 6 * MIB).await;
    let middle = with(&bodies, 4 * MIB).await;
    let youngest = with(&bodies, 4 * MIB).await;
    // The oldest needs more: the youngest is told, and it waits until that one is gone.
    let grown = tokio::spawn(async move {
        oldest.grow(3 * MIB).await.unwrap();
        oldest
    });
    sleep(Duration::from_millis(1)).await;
    assert!(is_refused(&youngest).await && !is_refused(&middle).await);
    assert!(!grown.is_finished());
    drop(youngest);
    let mut oldest = grown.await.unwrap();
    // The middle one asks for more than there is: it is the youngest now.
    let mut middle = middle;
    assert_eq!(middle.grow(2 * MIB).await.unwrap_err().status.as_u16(), 503);
    drop(middle);
    oldest.grow(5 * MIB).await.unwrap();
    assert_eq!((oldest.bytes(), bodies.refused()), (14 * MIB, 2));
}

#[tokio::test(start_paused = true)]
async fn slow_ones_go_before_the_young() {
    let bodies = bodies();
    let slow = with(&bodies, 5 * MIB).await;
    slow.waits();
    let kept = with(&bodies, 4 * MIB).await;
    sleep(Duration::from_secs(2 * 5 * 1024)).await;
    let mut youngest = with(&bodies, 4 * MIB).await;
    let grown = tokio::spawn(async move { youngest.grow(2 * MIB).await.map(|()| youngest) });
    sleep(Duration::from_millis(1)).await;
    assert!(is_refused(&slow).await && !is_refused(&kept).await);
    drop(slow);
    assert!(grown.await.unwrap().is_ok());
    assert_eq!(bodies.refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn complete_bodies_are_waited_for_and_nobody_is_refused() {
    let bodies = bodies();
    let whole = with(&bodies, 10 * MIB).await;
    whole.complete();
    let mut first = with(&bodies, 2 * MIB).await;
    let mut second = with(&bodies, 2 * MIB).await;
    let both = tokio::spawn(async move {
        (first.grow(4 * MIB).await, second.grow(4 * MIB).await, first, second)
    });
    sleep(Duration::from_secs(5)).await;
    assert!(!both.is_finished());
    drop(whole);
    let (one, other, ..) = both.await.unwrap();
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(bodies.refused(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_become_free_is_not_waited_for_for_ever() {
    let bodies = bodies();
    let whole = with(&bodies, 14 * MIB).await;
    whole.complete();
    let mut other = with(&bodies, MIB / 4).await;
    let refusal = other.grow(MIB).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.retry_after_s.is_some()), (503, true));
}

#[tokio::test(start_paused = true)]
async fn small_ones_have_a_part_of_their_own() {
    let bodies = bodies();
    let _large = with(&bodies, 14 * MIB).await;
    let small: Vec<_> = futures(&bodies, 8).await;
    assert_eq!(bodies.bytes_held(), 16 * MIB);
    drop(small);
    let mut next = with(&bodies, MIB / 4).await;
    // One byte more and it is a large one.
    assert!(next.grow(1).await.is_err());
}

async fn futures(bodies: &Bodies, count: usize) -> Vec<Body> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(with(bodies, MIB / 4).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_given_back_in_any_order() {
    let bodies = bodies();
    let mut body = with(&bodies, 3 * MIB).await;
    body.shrink(MIB / 8);
    assert_eq!(bodies.bytes_held(), MIB / 8);
    body.grow(MIB).await.unwrap();
    body.complete();
    body.shrink(0);
    assert_eq!(bodies.bytes_held(), 0);
    drop(body);
    let state = bodies.shared.lock();
    assert_eq!((state.held, state.held_large, state.arriving.len()), (0, 0, 0));
}
