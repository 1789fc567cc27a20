//! Series and values in the shape of TSBS's cpu-only use case: ten tags of a host, ten metrics a host.

use crate::remote_write::RequestTemplate;
use crate::seeded::Seeded;

/// Metrics of each host.
pub const METRICS: &[&str] = &[
    "cpu_usage_guest",
    "cpu_usage_guest_nice",
    "cpu_usage_idle",
    "cpu_usage_iowait",
    "cpu_usage_irq",
    "cpu_usage_nice",
    "cpu_usage_softirq",
    "cpu_usage_steal",
    "cpu_usage_system",
    "cpu_usage_user",
];

const REGIONS: &[&str] = &[
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
];
const SYSTEMS: &[&str] = &["Ubuntu15.10", "Ubuntu16.04LTS", "Ubuntu16.10"];
const ARCHITECTURES: &[&str] = &["x64", "x86"];
const TEAMS: &[&str] = &["CHI", "LON", "NYC", "SF"];
const ENVIRONMENTS: &[&str] = &["production", "staging", "test"];

/// A template with the series `first..first + count`; series `i` is metric `i % 10` of host `i / 10`.
#[must_use]
pub fn template(first: u64, count: u64) -> RequestTemplate {
    let mut template = RequestTemplate::new();
    for series in first..first + count {
        push_series(&mut template, series);
    }
    template
}

fn push_series(template: &mut RequestTemplate, series: u64) {
    let labels = labels(series);
    let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    template.push_series(&labels);
}

/// The labels of a series, sorted by name.
#[must_use]
pub fn labels(series: u64) -> Vec<(String, String)> {
    let metric_count = METRICS.len() as u64;
    let host = series / metric_count;
    // The tags of a host depend on it alone.
    let mut random = Seeded::new(host);
    let mut number = |bound: u64| random.below(bound).to_string();
    let region = pick(REGIONS, host.wrapping_mul(7));
    let datacenter = format!("{region}{}", ['a', 'b', 'c'][(host % 3) as usize]);
    let labels = [
        ("__name__", METRICS[(series % metric_count) as usize].to_owned()),
        ("arch", pick(ARCHITECTURES, host).to_owned()),
        ("datacenter", datacenter),
        ("hostname", format!("host_{host}")),
        ("os", pick(SYSTEMS, host).to_owned()),
        ("rack", number(100)),
        ("region", region.to_owned()),
        ("service", number(20)),
        ("service_environment", pick(ENVIRONMENTS, host / 2).to_owned()),
        ("service_version", number(2)),
        ("team", pick(TEAMS, host / 3).to_owned()),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

fn pick(from: &'static [&'static str], at: u64) -> &'static str {
    from[(at % from.len() as u64) as usize]
}

/// The values of a number of series: whole percentages that walk by one step at a time.
#[derive(Debug, Clone)]
pub struct Walk {
    random: Seeded,
    percent: Vec<u8>,
}

impl Walk {
    /// `series` walks, each from its own start.
    #[must_use]
    pub fn new(seed: u64, series: usize) -> Self {
        let mut random = Seeded::new(seed);
        let percent = (0..series).map(|_| random.below(101) as u8).collect();
        Self { random, percent }
    }

    /// Moves every series by -1, 0 or 1 and puts the new values into the request.
    pub fn step(&mut self, template: &mut RequestTemplate, timestamp_ms: i64) {
        for (index, percent) in self.percent.iter_mut().enumerate() {
            *percent = match self.random.below(3) {
                0 => percent.saturating_sub(1),
                1 => *percent,
                _ => (*percent + 1).min(100),
            };
            template.set_sample(index, timestamp_ms, f64::from(*percent).to_bits());
        }
    }
}

/// The value of one series as TSBS has it: a number in 0..=100 that walks by steps of the standard
/// normal distribution and is reported as an integer.
#[derive(Debug, Clone, Copy)]
pub struct NormalWalk {
    percent: f64,
}

impl NormalWalk {
    /// A walk from a start of its own.
    #[must_use]
    pub fn new(random: &mut Seeded) -> Self {
        Self { percent: unit(random) * 100.0 }
    }

    /// Moves on and reports.
    pub fn step(&mut self, random: &mut Seeded) -> f64 {
        self.percent = (self.percent + normal(random)).clamp(0.0, 100.0);
        self.percent.trunc()
    }
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
    use std::collections::BTreeSet;

    #[test]
    fn steps_are_normal() {
        let mut random = Seeded::new(3);
        let drawn: Vec<f64> = (0..20_000).map(|_| normal(&mut random)).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn every_series_is_another_one_and_the_same_each_time() {
        let mut seen = BTreeSet::new();
        for series in 0..2000 {
            seen.insert(template(series, 1).message().to_vec());
        }
        assert_eq!(seen.len(), 2000);
        assert_eq!(template(5, 7).message(), template(5, 7).message());
        assert_eq!(template(5, 7).series(), 7);
    }

    #[test]
    fn walks_stay_between_0_and_100() {
        let mut walk = Walk::new(1, 50);
        let mut template = template(0, 50);
        let before = template.message().to_vec();
        for tick in 0..500 {
            walk.step(&mut template, 1_700_000_000_000 + tick);
        }
        assert!(walk.percent.iter().all(|p| *p <= 100));
        assert_ne!(template.message(), before);
    }
}
