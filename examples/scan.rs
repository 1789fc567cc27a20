//! Reads what `ingest` wrote: a range, by iterator and by visitor. Works while the service runs.
//!
//! ```text
//! cargo run -p siltstone --release --example scan -- /tmp/example-store
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use siltstone::{Options, QueryOptions, ReadOnlyDb, Selector, TimeRange};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "example-store".into());
    // Writes nothing and takes no lock. A service asks its own `Db` for a snapshot instead.
    let db = ReadOnlyDb::open(&dir, Options::default())?;
    let snapshot = db.snapshot();

    let matchers: Selector = r#"temperature_celsius{instance=~"worker-[01]"}"#.parse()?;
    // Half-open, in ticks: the first ten seconds.
    let range = TimeRange::from(1_700_000_000_000..1_700_000_010_000);
    let limits = QueryOptions { timeout: Some(Duration::from_secs(30)), ..QueryOptions::default() };

    // Whole series, in label order.
    for series in snapshot.select(&matchers, range, &limits)?.take(3) {
        let series = series?;
        let values = series.columns.values.f64();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        println!("{}: {} samples, mean {mean:.2}", series.labels, values.len());
    }

    // Column by column in bounded memory, however much there is.
    let (mut samples, mut highest) = (0, f64::NEG_INFINITY);
    snapshot.scan(&matchers, TimeRange::ALL, &limits, &mut |_labels, columns| {
        samples += columns.len();
        highest = columns.values.f64().iter().fold(highest, |a, &b| a.max(b));
        ControlFlow::Continue(())
    })?;
    println!("{samples} samples in all, none above {highest}");
    Ok(())
}
