//! The whole engine against a map, with faults: the input is a list of steps of a program and of its
//! machine, after each of which the store holds exactly what it must. `FUZZ_STEPS=1` prints the steps
//! of an input.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../engine/answers.rs"]
mod answers;
#[path = "../engine/expiry.rs"]
mod expiry;
#[path = "../input.rs"]
mod input;
#[path = "../engine/machine.rs"]
mod machine;
#[path = "../engine/steps.rs"]
mod steps;

use input::Input;
use machine::Machine;
use steps::Step;

/// Each is followed by a comparison of everything.
const STEPS_MAX: usize = 64;

fuzz_target!(|data: &[u8]| {
    let loud = std::env::var_os("FUZZ_STEPS").is_some();
    let mut input = Input::new(data);
    let mut machine = Machine::new(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let step = Step::read(&mut input);
        if loud {
            eprintln!("{step:?}");
        }
        machine.run(&step, &mut input);
    }
    machine.finish();
});
