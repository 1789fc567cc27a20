//! How a program is run: many schedules from one seed, half of them random at each point, half of them with
//! priorities that change at a few points (PCT), which finds orders that need one thread to stand still for
//! long. A schedule that fails is written to a file, from which it can be run again.
//!
//! Environment, for `run.sh`: `SCHEDULES`, how many for each test; `SCHEDULES_SEED`; `SCHEDULE_FILE`, the one
//! that is run instead; `SCHEDULES_DIR`, where those that fail are written.

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Schedules of each test, if the environment does not say.
const SCHEDULES: usize = 200;
/// Changes of priority in one schedule of the second kind.
const CHANGES: usize = 3;
/// The engine's own threads have more; the program's do nothing but call it.
const STACK_BYTES: usize = 1 << 20;
/// A schedule with more points has a thread that never gets on.
const POINTS_MAX: usize = 200_000;

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(POINTS_MAX);
    config.silence_warnings = true;
    config.failure_persistence = match env::var_os("SCHEDULES_DIR") {
        Some(dir) => FailurePersistence::File(Some(PathBuf::from(dir))),
        None => FailurePersistence::Print,
    };
    config
}

/// Runs `program` as often as asked for; it panics in an order in which the engine is wrong.
pub(crate) fn explore(name: &str, program: fn()) {
    let start = Instant::now();
    let run = |scheduler: Box<dyn Scheduler + Send>| Runner::new(scheduler, config()).run(program);
    let ran = match env::var_os("SCHEDULE_FILE") {
        Some(path) => {
            run(Box::new(ReplayScheduler::new_from_file(path).expect("a schedule in a file")))
        }
        None => {
            let count = number("SCHEDULES", SCHEDULES as u64) as usize;
            let seed = number("SCHEDULES_SEED", 1);
            run(Box::new(RandomScheduler::new_from_seed(seed, count.div_ceil(2))))
                + run(Box::new(PctScheduler::new_from_seed(seed, CHANGES, count.div_ceil(2))))
        }
    };
    println!("schedules: {name}: {ran} in {:.1} s", start.elapsed().as_secs_f64());
}

/// Runs each schedule twice: the engine must reach the same points both times, or a schedule that fails
/// could not be run again.
pub(crate) fn repeat(program: fn(), count: usize) {
    let seed = number("SCHEDULES_SEED", 1);
    let random = RandomScheduler::new_from_seed(seed, count);
    Runner::new(UncontrolledNondeterminismCheckScheduler::new(random), config()).run(program);
}
