//! Writes the same samples to every store by remote write, in the order of time.
//!
//! A request has some minutes of some hosts' series, as an agent that gathers sends them: a request for
//! each step would mostly measure how labels are parsed.

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::remote_write::{compress, post, put_time_series};
use siltstone_rig::seeded::{Seeded, mix};
use siltstone_rig::tsbs::{NormalWalk, labels};
use snap::raw::Encoder;

use crate::queries::Load;
use crate::queries::span::{STEP_S, Span};

/// Samples of a series in a request: five minutes.
const SERIES_SAMPLES: u64 = 30;
/// Series in a request.
const REQUEST_SERIES: usize = 1_500;

/// A series that is being written.
struct Series {
    labels: Vec<(String, String)>,
    random: Seeded,
    walk: NormalWalk,
}

/// Sends everything to each client.
///
/// # Errors
/// If one does not answer with a success, or Ctrl-C.
pub fn all(
    clients: &mut [HttpClient],
    load: &Load,
    span: &Span,
    interrupt: &Interrupt,
) -> Result<(), RigError> {
    let mut series: Vec<Series> = (0..span.series()).map(|at| start(load.seed, at)).collect();
    let mut encoder = Encoder::new();
    let ticks = load.hours * 3600 / STEP_S;
    for first_tick in (0..ticks).step_by(SERIES_SAMPLES as usize) {
        let last_tick = ticks.min(first_tick + SERIES_SAMPLES);
        let times: Vec<i64> = (first_tick..last_tick)
            .map(|tick| (span.first_s() + (tick * STEP_S).cast_signed()) * 1000)
            .collect();
        for group in series.chunks_mut(REQUEST_SERIES) {
            interrupt.check()?;
            let body = compress(&mut encoder, &message(group, &times))?;
            for client in &mut *clients {
                post(client, &body)?;
            }
        }
    }
    Ok(())
}

fn start(seed: u64, at: u64) -> Series {
    let mut random = Seeded::new(mix(seed) ^ mix(at + 1));
    let walk = NormalWalk::new(&mut random);
    Series { labels: labels(at), random, walk }
}

/// The next samples of a group of series as a `WriteRequest`.
fn message(group: &mut [Series], times: &[i64]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut samples = Vec::with_capacity(times.len());
    for series in group {
        samples.clear();
        for time in times {
            samples.push((*time, series.walk.step(&mut series.random).to_bits()));
        }
        put_time_series(&mut message, &series.labels, &samples);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_from_seed_and_series() {
        let bodies = |seed: u64, first: u64| {
            let mut group: Vec<Series> = (first..first + 3).map(|at| start(seed, at)).collect();
            let one = message(&mut group, &[1_795_000_000_000, 1_795_000_010_000]);
            (one, message(&mut group, &[1_795_000_020_000]))
        };
        assert_eq!(bodies(1, 0), bodies(1, 0));
        assert_ne!(bodies(1, 0), bodies(2, 0));
        let (one, two) = bodies(1, 0);
        assert!(one.len() > two.len(), "two samples take more than one");
    }
}
