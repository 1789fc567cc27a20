//! What is printed: a line for each wave, under it one for each attack of a crowd.

use siltstone_rig::report::{grouped, megabytes};
use siltstone_rig::served::Served;
use siltstone_rig::store::Store;
use siltstone_rig::verdict::Verdict;

use crate::healthy::KINDS;
use crate::plan::Plan;
use crate::stored::Stored;
use crate::waved::{Waved, over};

/// What is under siege.
pub(crate) fn begin(store: &Store, plan: &Plan, rss_bytes: u64) {
    let (series, samples) = Stored::size();
    println!("server            {}", store.version());
    println!("arguments         {}", plan.server_arguments().join(" "));
    println!("stored            {} samples of {} series", grouped(samples), grouped(series));
    println!("memory            {} (RssAnon)", megabytes(rss_bytes));
    println!("seed              {}", plan.seed);
}

/// What healthy clients get alone.
pub(crate) fn calm(served: &[Served]) {
    let p99 = served.iter().map(|s| format!("{} {:.1} ms ({})", s.name, s.p99_ms(), s.count));
    println!("alone, p99        {}", p99.collect::<Vec<_>>().join(", "));
    println!();
    println!(
        "{:<22}{:>8}  {:>9} {:>10} {:>10}  {:<20} {:<20} {:<20} {:>6} {:>7}  verdict",
        "attack",
        "requests",
        "peak",
        "grew",
        "over",
        "write p99",
        "read p99",
        "probe p99",
        "failed",
        "put off"
    );
}

/// What came of a wave.
pub(crate) fn wave(waved: &Waved<'_>, calm: &[Served], budget_bytes: u64, verdict: &Verdict) {
    let requests: u64 = waved.attacked.iter().map(|(_, outcomes)| outcomes.total()).sum();
    let peak = waved.peak.rss_anon_bytes;
    let p99 = |kind: &str| {
        let of = |served: &[Served]| served.iter().find(|s| s.name == kind).map(Served::p99_ms);
        let (now, before) = (of(&waved.served).unwrap_or(0.0), of(calm).unwrap_or(0.0));
        format!("{now:.1} ms ({:.1} x)", now / before.max(0.1))
    };
    let failed: u64 = waved.served.iter().map(Served::failures).sum();
    let put_off: u64 = waved.served.iter().map(Served::times_put_off).sum();
    println!(
        "{:<22}{requests:>8}  {:>9} {:>10} {:>10}  {:<20} {:<20} {:<20} {failed:>6} {put_off:>7}  {}",
        waved.wave.name,
        megabytes(peak),
        over(peak, waved.before_bytes),
        over(peak, budget_bytes),
        p99(KINDS[0]),
        p99(KINDS[2]),
        p99(KINDS[3]),
        verdict.word(),
    );
    for (attack, outcomes) in &waved.attacked {
        match waved.wave.is_crowd() {
            true => println!("    {:<22}{outcomes}", attack.name),
            false => println!("    {outcomes}"),
        }
    }
    for served in waved.served.iter().filter(|served| served.times_put_off() > 0) {
        println!("    healthy {} put off: {:?}", served.name, served.put_off);
    }
    if let Ok(waited) = &waved.room
        && waited.as_secs() > 0
    {
        println!("    a new series waited for {:.1} s afterwards", waited.as_secs_f64());
    }
}

/// What became of the acknowledged samples.
pub(crate) fn kept(promised: u64, there: u64) {
    println!();
    println!("acknowledged      {} samples, {} there", grouped(promised), grouped(there));
}
