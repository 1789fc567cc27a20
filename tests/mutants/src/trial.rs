//! Builds the test programs of the copy, and runs one test with mutants switched on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Result;
use crate::table::Test;

/// How long a test may take at least, and how many times as long as without a mutant.
const PATIENCE: (Duration, u32) = (Duration::from_secs(30), 8);

/// The test programs that were built.
pub(crate) struct Programs {
    copy: PathBuf,
    paths: BTreeMap<String, PathBuf>,
    /// How long each test took without a mutant.
    sound: Mutex<BTreeMap<Test, Duration>>,
}

/// What became of one test.
pub(crate) struct Outcome {
    status: Option<ExitStatus>,
    ran: bool,
    said: String,
    took: Duration,
}

impl Outcome {
    pub(crate) fn is_green(&self) -> bool {
        self.ran && self.status.is_some_and(|status| status.success())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.status {
            None => "hangs".to_owned(),
            Some(status) if status.success() && self.ran => "passed".to_owned(),
            Some(status) if status.success() => "did not run".to_owned(),
            // A failed test; anything else is said.
            Some(status) if status.code() == Some(101) => self.said.clone(),
            Some(status) => format!("{status}: {}", self.said),
        };
        write!(f, "{what} ({:.1} s)", self.took.as_secs_f64())
    }
}

impl Programs {
    /// Builds the programs that `tests` are in, and looks whether each test is there.
    pub(crate) fn build(copy: &Path, target: &Path, tests: &[&Test]) -> Result<Self> {
        let targets: BTreeSet<&str> = tests.iter().map(|test| test.target.as_str()).collect();
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--offline", "--no-run", "--package", "siltstone"]);
        for target in &targets {
            match *target {
                "lib" => cargo.arg("--lib"),
                program => cargo.args(["--test", program]),
            };
        }
        let started = Instant::now();
        let built = cargo.current_dir(copy).env("CARGO_TARGET_DIR", target).output();
        let built = built.map_err(|e| format!("cargo: {e}"))?;
        let said = String::from_utf8_lossy(&built.stderr);
        if !built.status.success() {
            return Err(format!("the mutants do not build:\n{said}"));
        }
        let paths: BTreeMap<String, PathBuf> = said.lines().filter_map(program).collect();
        println!("mutants: built {targets:?} in {} s", started.elapsed().as_secs());
        let programs = Self { copy: copy.to_path_buf(), paths, sound: Mutex::default() };
        for target in targets {
            let there = programs.list(target)?;
            let missing = |test: &&&Test| test.target == target && !there.contains(&test.name);
            if let Some(test) = tests.iter().find(missing) {
                return Err(format!("there is no test {test}"));
            }
        }
        Ok(programs)
    }

    /// The names of the tests of a program.
    fn list(&self, target: &str) -> Result<BTreeSet<String>> {
        let path = self.paths.get(target).ok_or(format!("cargo names no program of {target}"))?;
        let listed =
            Command::new(path).args(["--list", "--format=terse"]).current_dir(&self.copy).output();
        let listed = listed.map_err(|e| format!("{}: {e}", path.display()))?;
        let names = String::from_utf8_lossy(&listed.stdout);
        Ok(names
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect())
    }

    /// Runs `test` without a mutant, and notes how long it takes.
    pub(crate) fn run_sound(&self, test: &Test, log: &Path) -> Outcome {
        let log = log.join(test.to_string().replace([':', ' '], "-"));
        let outcome = self.run(test, &[], &log);
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        sound.insert(test.clone(), outcome.took);
        outcome
    }

    /// Runs `test` with the mutants `names`; what it prints goes to `log`.
    pub(crate) fn run(&self, test: &Test, names: &[&str], log: &Path) -> Outcome {
        let started = Instant::now();
        let ended = self.try_run(test, names, log);
        let took = started.elapsed();
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let ran = text.contains("test result: ok. 1 passed");
        match ended {
            Ok(status) => Outcome { status, ran, said: panic_of(&text), took },
            Err(e) => Outcome { status: None, ran, said: e.to_string(), took },
        }
    }

    /// The status of the program; `None` if it had to be ended.
    fn try_run(
        &self,
        test: &Test,
        names: &[&str],
        log: &Path,
    ) -> std::io::Result<Option<ExitStatus>> {
        std::fs::create_dir_all(log.parent().unwrap_or(Path::new("")))?;
        let file = File::create(log)?;
        let mut child = Command::new(&self.paths[&test.target])
            .args(["--exact", &test.name])
            .current_dir(&self.copy)
            .env("SILTSTONE_MUTANT", names.join(","))
            .env("RUST_BACKTRACE", "0")
            // Random tests keep what they found; a mutant's is of no use to anybody.
            .env("PROPTEST_FAILURE_PERSISTENCE", "off")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        let sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner).get(test).copied();
        let end =
            Instant::now() + sound.map_or(PATIENCE.0 * 10, |took| PATIENCE.0 + took * PATIENCE.1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() > end {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The program that a line of cargo names: `Executable tests/crash/main.rs (path)`.
fn program(line: &str) -> Option<(String, PathBuf)> {
    let rest = line.trim().strip_prefix("Executable ")?;
    let (source, path) = rest.rsplit_once(" (")?;
    let path = PathBuf::from(path.strip_suffix(')')?);
    let target = match source.strip_prefix("tests/") {
        Some(source) => source.split(['/', '.']).next()?,
        None => "lib",
    };
    Some((target.to_owned(), path))
}

/// What the first panic says, in short.
fn panic_of(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains("panicked at"));
    let said = lines.nth(1).or(text.lines().next_back()).unwrap_or_default();
    said.chars().take(110).collect()
}
