//! Labels in the shape of TSBS's cpu-only use case: ten tags of a host, ten metrics a host.

/// Metrics of each host.
pub const METRICS: [&str; 10] = [
    "cpu_usage_user",
    "cpu_usage_system",
    "cpu_usage_idle",
    "cpu_usage_nice",
    "cpu_usage_iowait",
    "cpu_usage_irq",
    "cpu_usage_softirq",
    "cpu_usage_steal",
    "cpu_usage_guest",
    "cpu_usage_guest_nice",
];

/// The tags of a host. `pick` draws a number below the one it is given, nine times.
pub fn tags(host: u64, mut pick: impl FnMut(u64) -> u64) -> [(&'static str, String); 10] {
    let region = of(&mut pick, &["us-east-1", "eu-west-1", "ap-southeast-2", "sa-east-1"]);
    [
        ("hostname", format!("host_{host}")),
        ("region", region.to_owned()),
        ("datacenter", format!("{region}{}", of(&mut pick, &["a", "b", "c"]))),
        ("rack", pick(100).to_string()),
        ("os", of(&mut pick, &["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"]).to_owned()),
        ("arch", of(&mut pick, &["x64", "x86"]).to_owned()),
        ("team", of(&mut pick, &["SF", "NYC", "LON", "CHI"]).to_owned()),
        ("service", pick(20).to_string()),
        ("service_version", pick(2).to_string()),
        ("service_environment", of(&mut pick, &["production", "staging", "test"]).to_owned()),
    ]
}

fn of(pick: &mut impl FnMut(u64) -> u64, values: &[&'static str]) -> &'static str {
    values[pick(values.len() as u64) as usize]
}
