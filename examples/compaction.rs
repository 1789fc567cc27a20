//! Writes a day of samples in many small flushes, then follows the merges by an observer.
//!
//! ```text
//! cargo run -p siltstone --release --example compaction -- /tmp/example-compaction
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

use siltstone::{Db, Event, Labels, Options, TimeRange, WriteBatch};

/// Prints what the store does in the background. A service would feed its metrics.
fn print(event: &Event<'_>) {
    match event {
        Event::Flushed { segment, .. } => {
            println!("flushed {} samples, {} bytes", segment.samples, segment.file_bytes);
        }
        Event::MergeStarted { reason, inputs, bytes, .. } => {
            println!("{}: {} segments of {bytes} bytes", reason.as_str(), inputs.len());
        }
        Event::Merged { outputs, left_out, .. } => {
            let bytes: u64 = outputs.iter().map(|segment| segment.file_bytes).sum();
            let replaced = left_out.superseded;
            println!("  now {} segments, {bytes} bytes, {replaced} replaced", outputs.len());
        }
        // More kinds may come.
        other => println!("{other:?}"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "example-compaction".into());
    let options = Options { observer: Some(Arc::new(print)), ..Options::default() };
    let db = Db::open(&dir, options)?;
    db.pause(); // only so that the merges come when the example asks for them

    let mut batch = WriteBatch::new();
    for flush in 0..6_i64 {
        batch.clear();
        for sensor in 0..50 {
            let name = format!("sensor-{sensor}");
            let labels = Labels::from_pairs([("__name__", "level_metres"), ("sensor", &name)])?;
            let series = db.series(&labels)?;
            for i in 0..240 {
                // Each flush overlaps the one before by an hour: late data that replaces earlier.
                let timestamp = 1_700_000_000_000 + (flush * 180 + i) * 60_000;
                batch.push(series, timestamp, ((i + sensor) % 97) as f64 / 10.0)?;
            }
        }
        db.write(&batch)?;
        db.flush()?;
    }

    for merge in db.compaction_plan().merges {
        println!("planned: {} ({} bytes)", merge.why, merge.bytes_in);
    }
    let report = db.compact(TimeRange::ALL, &mut |now| {
        println!("  {} of {} samples read", now.samples_read, now.samples_total);
        ControlFlow::Continue(())
    })?;
    println!(
        "{} merges: {} segments became {}, {} bytes became {}",
        report.merges, report.segments_in, report.segments_out, report.bytes_in, report.bytes_out
    );
    db.close()?;
    Ok(())
}
