//! Input of the benchmarks: real recordings where they are to be had, generated series otherwise.
//!
//! The recordings lie beside the workspace, in `../shared/data`; a machine without them runs the
//! generated part alone and says so.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]
#![allow(unreachable_pub, reason = "a module of several binaries")]
#![allow(dead_code, reason = "each benchmark takes what it needs")]

pub mod index;

use std::io::BufRead;
use std::path::Path;

/// Seconds that this thread has had of a processor: a busy machine does not count. Linux counts them
/// in ticks of some milliseconds.
pub fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// One series of a recording.
pub struct Series {
    /// Labels: names and values.
    pub pairs: Vec<(String, String)>,
    /// Milliseconds, ascending.
    pub timestamps: Vec<i64>,
    /// As many as timestamps.
    pub values: Vec<f64>,
}

/// The recordings there are.
pub const RECORDINGS: [&str; 5] = ["node-1s", "node-15s", "prometheus-5s", "nab", "alp"];

/// Reads a recording in label order; says so and yields `None` if it is not there.
pub fn recording(name: &str) -> Option<Vec<Series>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = root.join(format!("{name}.jsonl.zst"));
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads its own input")]
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(e) => {
            println!("SKIPPED: recording {name}: {e}");
            return None;
        }
    };
    let lines = std::io::BufReader::new(zstd::Decoder::new(file).unwrap()).lines();
    let mut series: Vec<Series> = lines.map(|line| parse(&line.unwrap())).collect();
    series.sort_by(|a, b| a.pairs.cmp(&b.pairs));
    Some(series)
}

fn parse(line: &str) -> Series {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let metric = json["metric"].as_object().unwrap();
    let pair = |(name, value): (&String, &serde_json::Value)| {
        (name.clone(), value.as_str().unwrap().to_string())
    };
    let mut pairs: Vec<(String, String)> = metric.iter().map(pair).collect();
    pairs.sort_unstable();
    let values = json["values"].as_array().unwrap().iter().map(|v| match v.as_str() {
        Some(text) => text.parse().unwrap(),
        None => v.as_f64().unwrap(),
    });
    let timestamps = json["timestamps"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap());
    Series { pairs, values: values.collect(), timestamps: timestamps.collect() }
}

/// Series like those of the TSBS devops workload: integer gauges that walk in 0 to 100.
pub fn tsbs_like(series: usize, rows: usize) -> Vec<Series> {
    let mut random = Random(42);
    (0..series)
        .map(|id| {
            let mut level = 50.0f64;
            let mut walk = || {
                level = (level + random.normal()).clamp(0.0, 100.0);
                level.floor()
            };
            Series {
                pairs: [("__name__", "usage".to_string()), ("host", id.to_string())]
                    .map(|(name, value)| (name.to_string(), value))
                    .to_vec(),
                values: (0..rows).map(|_| walk()).collect(),
                timestamps: (0..rows as i64).map(|i| 1_700_000_000_000 + 10_000 * i).collect(),
            }
        })
        .collect()
}

/// A generator that is the same everywhere (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// A normal deviate: the sum of twelve uniform ones.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}
