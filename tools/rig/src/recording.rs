//! Series with many samples each: read from a recording or generated.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::error::RigError;
use crate::json_line::{self, JsonLine};
use crate::seeded::Seeded;
use crate::tsbs::{self, NormalWalk};

/// Hosts of the generated recording; each has ten series.
const HOSTS: u64 = 1_000;
/// Samples of each of its series: six hours at [`STEP_MS`].
const SAMPLES: usize = 2_160;
const STEP_MS: i64 = 10_000;

/// Reads JSON lines in a zstd file; several lines may belong to one series.
///
/// # Errors
/// If the file cannot be read or a line is not as exported.
pub fn read(path: &Path) -> Result<Vec<JsonLine>, RigError> {
    let what = || format!("reading {}", path.display());
    let file = File::open(path).map_err(RigError::io(what()))?;
    let decoder = zstd::stream::read::Decoder::new(file).map_err(RigError::io(what()))?;
    let mut lines = Vec::new();
    for line in BufReader::new(decoder).split(b'\n') {
        let line = line.map_err(RigError::io(what()))?;
        let line = json_line::parse(&line)
            .map_err(|e| RigError::failed(format!("{} line {}: {e}", what(), lines.len() + 1)))?;
        lines.push(line);
    }
    Ok(lines)
}

/// TSBS's cpu-only shape: 1,000 hosts with ten gauges, each a [`NormalWalk`] with a step every ten
/// seconds up to `end_ms`.
#[must_use]
pub fn tsbs_cpu(end_ms: i64) -> Vec<JsonLine> {
    let start_ms = end_ms - end_ms.rem_euclid(STEP_MS) - SAMPLES as i64 * STEP_MS;
    let mut random = Seeded::new(1);
    let mut lines = Vec::new();
    for series in 0..HOSTS * tsbs::METRICS.len() as u64 {
        let mut walk = NormalWalk::new(&mut random);
        let samples = (0..SAMPLES)
            .map(|tick| (start_ms + tick as i64 * STEP_MS, walk.step(&mut random).to_bits()));
        let samples = samples.collect();
        lines.push(JsonLine { labels: tsbs::labels(series), samples });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_is_integer_and_bounded() {
        let lines = tsbs_cpu(1_795_000_000_000);
        assert_eq!(lines.len(), 10_000);
        let values: Vec<f64> = lines[7].samples.iter().map(|s| f64::from_bits(s.1)).collect();
        assert_eq!(values.len(), SAMPLES);
        assert!(values.iter().all(|v| (0.0..=100.0).contains(v) && v.fract() == 0.0));
    }

    #[test]
    fn a_recording_is_read_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl.zst");
        let text = "{\"metric\":{\"a\":\"b\"},\"values\":[\"1\"],\"timestamps\":[5]}\n";
        std::fs::write(&path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        let lines = read(&path).unwrap();
        assert_eq!(lines[0].samples, [(5, 1f64.to_bits())]);
        std::fs::write(&path, zstd::encode_all(&b"{}\n"[..], 1).unwrap()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1"));
    }
}
