//! Streams and what becomes of them, without sockets.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::sink::CHUNK_BYTES;
use super::*;
use crate::admission::{Admission, Kind, Place};
use crate::coder::Coding;
use crate::config::ServerConfig;
use crate::content_coding;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn place() -> Place {
    Admission::start(&ServerConfig::default(), 64 << 20).unwrap().place(None)
}

/// Waits, but not for ever, until so many answers wait for slow readers.
async fn waiting(admission: &Admission, count: usize) {
    for _ in 0..2000 {
        if admission.waiting.count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} answers wait, not {count}", admission.waiting.count());
}

#[test]
fn work_that_writes_nothing_learns_that_nobody_waits() {
    let (ended, end) = std::sync::mpsc::channel();
    runtime().block_on(async {
        let place = place();
        let answer = stream(&place, "text/plain", move |_, cancel| {
            let start = Instant::now();
            while !cancel.is_cancelled() && start.elapsed() < Duration::from_secs(5) {
                std::thread::yield_now();
            }
            let _ = ended.send(cancel.is_cancelled());
            Ok(())
        });
        assert!(timeout(Duration::from_millis(50), answer).await.is_err());
    });
    assert_eq!(end.recv(), Ok(true));
}

#[test]
fn a_compressed_answer_that_pauses_sends_what_it_has() {
    let (go_on, wait) = std::sync::mpsc::channel();
    runtime().block_on(async {
        let place = place();
        let answer = stream(&place, "text/plain", move |sink, _| {
            sink.buffer().resize(CHUNK_BYTES, b'x');
            let _ = sink.checkpoint();
            let signal = wait.recv_timeout(Duration::from_secs(40));
            signal.map_err(|_| Refusal::unavailable("nobody reads"))
        });
        let mut reply = answer.await.unwrap();
        content_coding::apply(Some(Coding::Gzip), &Arc::new(Semaphore::new(1)), &mut reply);
        let frame = timeout(Duration::from_secs(20), reply.body_mut().frame()).await;
        let first = frame.unwrap().unwrap().unwrap().into_data().unwrap();
        let mut text = Vec::new();
        let decoded = flate2::read::GzDecoder::new(&first[..]).read_to_end(&mut text);
        assert!(decoded.is_err() && text.len() == CHUNK_BYTES, "all, but not its end");
        go_on.send(()).unwrap();
        let rest = reply.body_mut().collect().await.unwrap().to_bytes();
        text.clear();
        let whole = [first, rest].concat();
        flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text.len(), CHUNK_BYTES);
    });
}

#[test]
fn a_failure_before_the_first_chunk_is_the_answer_and_later_a_cut() {
    let failing = |bytes: usize| async move {
        let work = move |sink: &mut ReplySink, _: &Cancel| {
            sink.buffer().resize(bytes, b'x');
            let _ = sink.checkpoint();
            Err(Refusal::bad_request("late"))
        };
        stream(&place(), "text/plain", work).await
    };
    runtime().block_on(async {
        assert_eq!(failing(10).await.unwrap_err(), Refusal::bad_request("late"));
        let mut reply = failing(CHUNK_BYTES).await.unwrap();
        let first = reply.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap().len(), CHUNK_BYTES);
        let second = reply.body_mut().frame().await.unwrap();
        assert!(second.is_err(), "an end here would pass for the whole");
    });
}

#[test]
fn work_ends_when_all_but_the_last_chunk_is_taken() {
    runtime().block_on(async {
        let admission = Admission::start(&ServerConfig::default(), 64 << 20).unwrap();
        let place = admission.take(Kind::Export).await.unwrap();
        let answer = stream(&place, "text/plain", |sink, _| {
            for _ in 0..4 {
                sink.buffer().resize(CHUNK_BYTES, b'x');
                let _ = sink.checkpoint();
            }
            sink.buffer().extend_from_slice(b"end");
            Ok(())
        });
        let mut reply = answer.await.unwrap();
        // All that was written fits into the queue, and still nobody has it.
        waiting(&admission, 1).await;
        for _ in 0..4 {
            let frame = reply.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().len(), CHUNK_BYTES);
        }
        waiting(&admission, 0).await;
        let rest = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&rest[..], b"end");
    });
}

#[test]
fn there_are_so_many_encoders_and_no_more() {
    let encoders = Arc::new(Semaphore::new(1));
    let long = || whole(StatusCode::OK, "text/plain", vec![b'x'; 1 << 20]);
    let (mut first, mut second) = (long(), long());
    content_coding::apply(Some(Coding::Zstd), &encoders, &mut first);
    content_coding::apply(Some(Coding::Zstd), &encoders, &mut second);
    let coded = |reply: &Reply| reply.headers().contains_key("content-encoding");
    assert!(coded(&first) && !coded(&second), "the second one goes as it is");
    drop(first);
    let mut third = long();
    content_coding::apply(Some(Coding::Zstd), &encoders, &mut third);
    assert!(coded(&third));
}

#[test]
fn work_goes_on_in_its_turn_alone() {
    let config = ServerConfig { exports_max: 1, ..ServerConfig::default() };
    runtime().block_on(async {
        let admission = Admission::start(&config, 64 << 20).unwrap();
        let place = admission.take(Kind::Export).await.unwrap();
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let answer = stream(&place, "text/plain", move |sink, _| {
            for _ in 0..20 {
                sink.buffer().resize(CHUNK_BYTES, b'x');
                let _ = sink.checkpoint();
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let mut reply = answer.await.unwrap();
        drop(place);
        waiting(&admission, 1).await;
        let before = written.load(Ordering::Relaxed);
        let other = admission.take(Kind::Export).await.unwrap();
        for _ in 0..4 {
            reply.body_mut().frame().await.unwrap().unwrap();
        }
        // There is room for what it writes, and the turn is another's.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(written.load(Ordering::Relaxed), before);
        drop(other);
        let rest = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), 16 * CHUNK_BYTES);
    });
}
