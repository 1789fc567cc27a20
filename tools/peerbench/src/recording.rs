//! Series with many samples each: read from a recording or generated.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use crate::error::RigError;
use crate::json_line::{self, JsonLine};
use crate::seeded::Seeded;
use crate::tsbs;

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

/// TSBS's cpu-only shape: 1,000 hosts with ten gauges in 0..=100, which walk by a step of the standard
/// normal distribution every ten seconds up to `end_ms` and are reported as integers.
#[must_use]
pub fn tsbs_cpu(end_ms: i64) -> Vec<JsonLine> {
    let start_ms = end_ms - end_ms.rem_euclid(STEP_MS) - SAMPLES as i64 * STEP_MS;
    let mut random = Seeded::new(1);
    let mut lines = Vec::new();
    for series in 0..HOSTS * tsbs::METRICS.len() as u64 {
        let mut value = unit(&mut random) * 100.0;
        let samples = (0..SAMPLES).map(|tick| {
            value = (value + normal(&mut random)).clamp(0.0, 100.0);
            (start_ms + tick as i64 * STEP_MS, value.trunc().to_bits())
        });
        let samples = samples.collect();
        lines.push(JsonLine { labels: tsbs::labels(series), samples });
    }
    lines
}

/// A number in 0..1.
fn unit(random: &mut Seeded) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number of the standard normal distribution, by Box and Muller's method.
fn normal(random: &mut Seeded) -> f64 {
    let radius = (-2.0 * (1.0 - unit(random)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(random)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_is_integer_bounded_and_normal() {
        let lines = tsbs_cpu(1_795_000_000_000);
        assert_eq!(lines.len(), 10_000);
        let values: Vec<f64> = lines[7].samples.iter().map(|s| f64::from_bits(s.1)).collect();
        assert_eq!(values.len(), SAMPLES);
        assert!(values.iter().all(|v| (0.0..=100.0).contains(v) && v.fract() == 0.0));
        let mut random = Seeded::new(3);
        let drawn: Vec<f64> = (0..20_000).map(|_| normal(&mut random)).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
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
