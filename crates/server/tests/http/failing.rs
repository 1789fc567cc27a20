//! A server whose store has failed ends by itself and says why; one whose disk is full does not.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{SimFs, SyncPoint};
use siltstone::{Error, Options};
use siltstone_server::ServerConfig;
use siltstone_server_testing::harness::{Server, one};

fn on(fs: &SimFs, config: ServerConfig) -> Server {
    let options =
        Options { vfs: Arc::new(fs.clone()), reserve_bytes: Some(0), ..Options::default() };
    Server::start(options, config)
}

/// Asks until `path` answers with `status`; the text of the answer.
fn wait_for(server: &Server, path: &str, status: u16) -> String {
    for _ in 0..100 {
        let answer = server.get(path);
        if answer.status == status {
            return answer.text().to_owned();
        }
        server.pause(Duration::from_millis(50));
    }
    panic!("{path} never answered {status}");
}

#[test]
fn a_server_whose_store_has_failed_says_why_and_ends() {
    let fs = SimFs::new();
    let mut server = on(&fs, ServerConfig::default());
    assert_eq!(server.write(&one("a", 1, 1.0)).status, 204);
    assert_eq!(server.get("/-/healthy").status, 200);
    // Neither the log nor what is to take its place can be synced.
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    let start = tokio::time::Instant::now();
    assert_eq!(server.write(&one("a", 2, 2.0)).status, 503);
    let why = wait_for(&server, "/-/healthy", 503);
    assert!(why.contains("a log could not be synced"), "{why}");
    assert_eq!(server.get("/-/ready").status, 503);
    assert_eq!(server.export("a").len(), 1, "what is stored is still read");
    match server.join_within(Duration::from_secs(10)) {
        Some(Err(Error::Failed(fault))) => {
            assert!(fault.contains("could not be synced"), "{fault}")
        }
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_failed_store_does_not_wait_for_clients_that_never_end() {
    use siltstone_server_testing::client::{connect, head};
    use std::io::Write;
    let fs = SimFs::new();
    let config = ServerConfig { failure_grace: Duration::ZERO, ..ServerConfig::default() };
    let mut server = on(&fs, config);
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", "/api/v1/import", &[], 1000)).unwrap();
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    assert_eq!(server.write(&one("a", 2, 2.0)).status, 503);
    let ended = server.join_within(Duration::from_secs(6));
    assert!(matches!(ended, Some(Err(Error::Failed(_)))), "{ended:?}");
}

#[test]
fn a_full_disk_does_not_end_the_server() {
    let fs = SimFs::new();
    let config = ServerConfig { failure_grace: Duration::ZERO, ..ServerConfig::default() };
    let mut server = on(&fs, config);
    assert_eq!(server.write(&one("a", 1, 1.0)).status, 204);
    fs.set_capacity(0);
    // Some room was taken ahead.
    let body: String =
        (0..20_000).map(|time| format!("b {}.{time} {time}\n", time * 7919)).collect();
    let is_full =
        |_: &i32| server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status == 503;
    assert!((0..100).find(is_full).is_some(), "the disk never filled");
    assert_eq!(server.write(&one("a", 2, 2.0)).status, 503);
    assert!(server.join_within(Duration::from_secs(2)).is_none(), "it ended");
    assert_eq!(server.get("/-/healthy").status, 200);
    fs.set_capacity(1 << 40);
    wait_for(&server, "/-/ready", 200);
    assert_eq!(server.write(&one("a", 3, 3.0)).status, 204);
    server.signal();
    server.join().unwrap();
}
