//! No answer changes by flushing, restarting, the number of threads, the way of reading or the memory.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;
use crate::machine::Machine;
use crate::ops::{self, Config, Op};

/// What happens between the steps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Between {
    Nothing,
    Flush,
    Close,
    Kill,
    FlushAndKill,
}

const BETWEEN: [Between; 5] =
    [Between::Nothing, Between::Flush, Between::Close, Between::Kill, Between::FlushAndKill];

/// Every configuration, each with another event between the steps.
fn variants() -> Vec<(Config, Between)> {
    let mut variants = Vec::new();
    for i in 0..8usize {
        let config = Config {
            query_threads: if i & 1 == 0 { 0 } else { 2 },
            mapped: i & 2 == 0,
            small: i & 4 == 0,
            durability: (i % 3) as u8,
        };
        variants.push((config, BETWEEN[i % BETWEEN.len()]));
    }
    variants
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn answers_depend_on_nothing_but_what_was_written(
        writes in vec(ops::op().prop_filter("a write", is_write), 1..8),
        queries in vec(ops::query(), 1..8),
    ) {
        for (config, between) in variants() {
            let mut machine = Machine::new(config);
            for write in &writes {
                machine.run(write);
                match between {
                    Between::Nothing => {}
                    Between::Flush => machine.run(&Op::Flush),
                    Between::Close => machine.reopen(false, config),
                    Between::Kill => machine.reopen(true, config),
                    Between::FlushAndKill => {
                        machine.run(&Op::Flush);
                        machine.reopen(true, config);
                    }
                }
            }
            queries.iter().for_each(|query| machine.check(query));
            machine.finish();
        }
    }
}

fn is_write(op: &Op) -> bool {
    matches!(op, Op::Write { .. } | Op::Group(_) | Op::Bulk { .. })
}

/// More samples than the smallest store holds in memory or in its log: it flushes by itself.
#[test]
fn a_small_store_answers_as_a_large_one() {
    let config = |small| Config { query_threads: 0, mapped: true, small, durability: 0 };
    let writes = (0..30).map(|i| Op::Bulk {
        series: i % 4,
        start: 1_700_000_000_000 + (i as i64 % 7) * 500_000,
        step: 1_000,
        rows: 6_000,
    });
    let writes: Vec<Op> = writes.collect();
    for small in [true, false] {
        let mut machine = Machine::new(config(small));
        writes.iter().for_each(|write| machine.run(write));
        assert_eq!(machine.flushes() > 0, small, "only the small one had to flush");
        machine.finish();
    }
}
