use siltstone_promql_reference::compare::check;
use siltstone_promql_reference::generate::{case, choices};
#[test]
fn scratch() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(20000);
    let seed: u64 = std::env::var("SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut counts = [0u32; 5];
    let mut bad = 0;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for i in 0..n {
        let len = 30 + (i % 470) as usize;
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                state =
                    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1442695040888963407);
                (state >> 56) as u8
            })
            .collect();
        let c = case(&mut choices(&bytes));
        let got = std::panic::catch_unwind(|| check(&c));
        match got {
            Ok(Ok(v)) => counts[v as usize] += 1,
            Ok(Err(e)) => {
                bad += 1;
                if bad < 40 {
                    let e: String = e.chars().take(500).collect();
                    println!(
                        "### {} {:?} delayed {} series {}\n{e}",
                        c.query,
                        c.times,
                        c.settings.delayed_names,
                        c.series.len()
                    );
                }
            }
            Err(_) => {
                bad += 1;
                println!("### PANIC {}", c.query);
            }
        }
    }
    println!("{counts:?} bad {bad}");
}
