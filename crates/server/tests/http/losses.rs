//! What a server answers where samples are lost: a status with the place, or the rest where the client asks
//! for it; and what it says of its store's integrity.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use siltstone_server_testing::harness::{Server, line, server};

/// A store in which the newer of two segments has replaced the first two of three values, and is damaged.
#[expect(clippy::disallowed_methods, reason = "damages a file behind the store's back")]
fn damaged() -> Server {
    let server = server();
    for (value, times) in [("1", 0..3), ("2", 0..2)] {
        for time in times {
            let line = line("\"__name__\":\"دما\"", value, time * 60_000);
            let answer = server.post("/api/v1/import", &[], line.as_bytes());
            assert_eq!(answer.status, 204);
        }
        server.db.flush().unwrap();
    }
    let entries = fs::read_dir(server.db.dir()).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    segments.sort();
    let newest = segments.pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[64] ^= 1;
    fs::write(&newest, bytes).unwrap();
    server
}

const EXPORT: &str = "/api/v1/export?match[]={__name__!=%22%22}";

/// Every answer, before and after the merge that reads the damage.
#[test]
fn what_is_lost_is_said_and_nothing_older_is_shown() {
    let server = damaged();
    for merges in [false, true] {
        if merges {
            server
                .db
                .compact(siltstone::TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(()))
                .unwrap();
        }
        let export = server.get(EXPORT);
        assert_eq!(export.status, 500, "{}", export.text());
        assert!(
            export.text().contains("2 samples of {__name__=\"دما\"} from 0 to 60000"),
            "{}",
            export.text()
        );
        let rest = server.get(&format!("{EXPORT}&skip_damaged=true"));
        assert_eq!((rest.status, rest.text().lines().count()), (200, 1));
        assert!(rest.text().contains("\"timestamps\":[120000]"), "{}", rest.text());
        let query = |more: &str| {
            server.get(&format!(
                "/api/v1/query?query=sum_over_time(%7B%22دما%22%7D[5m])&time=120{more}"
            ))
        };
        let refused = query("");
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert_eq!(refused.json()["errorType"], "execution");
        let partial = query("&partial_response=true").json();
        assert_eq!(partial["data"]["result"][0]["value"][1], "1", "{partial}");
        assert_eq!(partial["warnings"].as_array().unwrap().len(), 1, "{partial}");
        assert_eq!(
            server.get("/api/v1/series?match[]={__name__!=%22%22}").json()["data"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        let integrity = server.get("/api/v1/status/integrity").json();
        assert_eq!(
            integrity["data"]["whole"], !merges,
            "known once a merge has read it: {integrity}"
        );
    }
    let data = server.get("/api/v1/status/integrity").json()["data"].take();
    assert_eq!(
        (&data["lostSamples"], &data["acceptedSamples"]),
        (&Value::from(2), &Value::from(0))
    );
    let lost = &data["lost"][0];
    assert_eq!(lost["series"]["__name__"], "دما");
    assert_eq!((&lost["start"], &lost["end"]), (&Value::from(0), &Value::from(60_000)));
    assert_eq!((&lost["samples"], &lost["timesAreKnown"]), (&Value::from(2), &Value::from(true)));
    assert!(lost["file"].as_str().unwrap().ends_with(".seg") && lost["offset"] == 64, "{lost}");
    server
        .db
        .accept_losses(siltstone::AcceptOptions::default(), |_, _| {
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let export = server.get(EXPORT);
    assert_eq!((export.status, export.text().lines().count()), (200, 1));
    assert!(export.text().contains("\"timestamps\":[120000]"), "{}", export.text());
    assert_eq!(server.get("/api/v1/status/integrity").json()["data"]["whole"], true);
}
