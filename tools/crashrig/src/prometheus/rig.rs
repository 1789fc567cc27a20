//! The processes of the main job and what happens to them.
//!
//! Owner of three processes (node exporter, Prometheus, Siltstone), and of the reader if there is one;
//! the job calls it, event by event. Judged is Siltstone's export against Prometheus's own storage, read
//! raw by remote read, over the range that Prometheus's counters call sent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use siltstone_rig::http::HttpClient;
use siltstone_rig::process::{Process, disk_use, free_address};
use siltstone_rig::report::{grouped, megabytes, milliseconds};
use siltstone_rig::seeded::Seeded;
use siltstone_rig::store::{END_TIMEOUT, READY_TIMEOUT};
use siltstone_rig::{Interrupt, RigError};

use super::config::{Config, targets_text};
use super::counters::Counters;
use super::deletes::{self, Delete};
use super::reader::Reader;
use super::{Job, remote_read};
use crate::compare::compare;
use crate::{export, server_log};
use siltstone_rig::verdict::Verdict;

/// The server's log, below the working directory.
const SERVER_LOG: &str = "siltstone.log";
/// How long to let Prometheus send what waits after the last scrape.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);
/// Prometheus takes note of removed targets every five seconds, ...
const TARGETS_SEEN_WITHIN: Duration = Duration::from_secs(6);
/// ... waits about two intervals and then writes the stale markers of their series.
const STALE_INTERVALS: u32 = 4;
/// How long the drained state must last before it is believed.
const DRAINED_FOR: Duration = Duration::from_secs(2);
/// A scrape is written within this many intervals.
const WRITE_WITHIN_INTERVALS: u32 = 3;
/// Shorter than a sync takes.
const WRITE_POLL: Duration = Duration::from_micros(100);
/// How long the node exporter stays away when it is restarted, in intervals.
const EXPORTER_AWAY_INTERVALS: u32 = 3;
/// How long a read of all samples may stall.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// The processes and what was counted.
pub(super) struct Rig<'j> {
    job: &'j Job,
    targets_path: PathBuf,
    data: PathBuf,
    server_address: SocketAddr,
    prometheus_address: SocketAddr,
    exporter_address: SocketAddr,
    started: Instant,
    started_ms: i64,
    pub(super) restarts: Vec<Duration>,
    pub(super) first_start: Duration,
    deletes: Vec<Delete>,
    random: Seeded,
    pub(super) work_done: WorkDone,
    // Ended in this order, whatever happens: the one that asks before the one that is asked.
    reader: Option<Reader>,
    prometheus: Process,
    exporter: Process,
    server: Process,
}

/// What the server did in the background, over all its lives.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WorkDone {
    pub(super) flushes: u64,
    pub(super) merges: u64,
}

impl<'j> Rig<'j> {
    pub(super) fn start(
        job: &'j Job,
        prometheus: &Path,
        exporter: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, RigError> {
        let (server_address, exporter_address, prometheus_address) =
            (free_address()?, free_address()?, free_address()?);
        println!("siltstone         {} at {server_address}", job.store.program().display());
        println!("                  {}; {}", job.store.version(), job.store.durability());
        println!("prometheus        {}", first_line(prometheus));
        println!("node exporter     {}", first_line(exporter));
        println!(
            "plan              {} s, a scrape of both every {} ms, {} kills, seed {}",
            job.duration.as_secs(),
            job.interval.as_millis(),
            job.kills,
            job.seed
        );
        let data = job.work.join("siltstone-data");
        let log = job.work.join(SERVER_LOG);
        let (server, first_start) =
            job.store.start_ready(&data, server_address, &log, interrupt)?;
        let exporter = start_exporter(exporter, exporter_address, &job.work)?;
        let interval = format!("{}ms", job.interval.as_millis());
        let targets_path = job.work.join("targets.json");
        let targets =
            targets_text(&[("prometheus", prometheus_address), ("node", exporter_address)]);
        write(&targets_path, &targets)?;
        let config =
            Config { interval: &interval, siltstone: server_address, targets: &targets_path };
        let config_path = job.work.join("prometheus.yml");
        write(&config_path, &config.text())?;
        let arguments = [
            format!("--config.file={}", config_path.display()),
            format!("--web.listen-address={prometheus_address}"),
            format!("--storage.tsdb.path={}", job.work.join("prometheus-data").display()),
            "--storage.tsdb.retention.time=10d".into(),
            "--log.level=warn".into(),
        ];
        let log = job.work.join("prometheus.log");
        let mut prometheus =
            Process::start("prometheus", prometheus, &arguments.map(Into::into), &log)?;
        prometheus.wait_ready(prometheus_address, "/-/ready", READY_TIMEOUT, interrupt)?;
        let reader = match job.reader {
            true => Some(Reader::start(job.store.program(), &data)?),
            false => None,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            job,
            targets_path,
            data,
            server_address,
            prometheus_address,
            exporter_address,
            started: Instant::now(),
            // Nothing was scraped a minute ago, whatever the clocks do.
            started_ms: now.as_millis() as i64 - 60_000,
            restarts: Vec::new(),
            first_start,
            deletes: Vec::new(),
            random: Seeded::new(job.seed.wrapping_add(1)),
            work_done: WorkDone::default(),
            reader,
            prometheus,
            exporter,
            server,
        })
    }

    /// How long Prometheus has scraped.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn say(&self, what: std::fmt::Arguments<'_>) {
        println!("{:>7.1} s         {what}", self.started.elapsed().as_secs_f64());
    }

    pub(super) fn kill_and_restart(&mut self, interrupt: &Interrupt) -> Result<(), RigError> {
        self.check_alive()?;
        let number = self.restarts.len() + 1;
        // Between two scrapes nothing happens; every second kill waits for a request on its way.
        let writing = number.is_multiple_of(2) && self.wait_for_a_write(interrupt)?;
        self.count_work()?;
        self.server.kill()?;
        let log = self.job.work.join(SERVER_LOG);
        let (server, took) =
            self.job.store.start_ready(&self.data, self.server_address, &log, interrupt)?;
        self.server = server;
        self.restarts.push(took);
        let when = if writing { " while it wrote" } else { "" };
        self.say(format_args!("kill -9 number {number}{when}; ready {} later", milliseconds(took)));
        Ok(())
    }

    /// Deletes some samples of the past, acknowledged.
    pub(super) fn delete(&mut self) -> Result<(), RigError> {
        self.check_alive()?;
        let sent = Counters::read(&mut self.prometheus_client())?.highest_sent_s as i64 * 1000;
        let metrics = deletes::metrics(self.server_address)?;
        let first_ms = self.started_ms + 60_000;
        if let Some(delete) = Delete::choose(&mut self.random, &metrics, first_ms, sent) {
            delete.send(self.server_address)?;
            self.say(format_args!("{delete}"));
            self.deletes.push(delete);
        }
        Ok(())
    }

    /// Adds up what this life of the server has done; a few flushes before a kill may be missed.
    fn count_work(&mut self) -> Result<(), RigError> {
        let mut client = HttpClient::new(self.server_address, READ_TIMEOUT);
        let page = client.get("/metrics").map_err(RigError::io("Siltstone's /metrics"))?;
        let page = String::from_utf8_lossy(&page.body).into_owned();
        self.work_done.flushes += counter(&page, "siltstone_flushes_total");
        self.work_done.merges += counter(&page, "siltstone_merges_total");
        Ok(())
    }

    /// Waits until the server's files grow: a request has been written and is about to be synced and
    /// acknowledged, and others follow. False if that does not happen within a few scrapes.
    fn wait_for_a_write(&self, interrupt: &Interrupt) -> Result<bool, RigError> {
        let (before, waiting) = (disk_use(&self.data), Instant::now());
        while waiting.elapsed() < self.job.interval * WRITE_WITHIN_INTERVALS {
            interrupt.check()?;
            if disk_use(&self.data).length > before.length {
                return Ok(true);
            }
            std::thread::sleep(WRITE_POLL);
        }
        Ok(false)
    }

    /// Lets a target vanish for a while, so that stale markers stand in the middle too.
    pub(super) fn restart_exporter(
        &mut self,
        program: &Path,
        interrupt: &Interrupt,
    ) -> Result<(), RigError> {
        self.check_alive()?;
        self.exporter.kill()?;
        interrupt.sleep(self.job.interval * EXPORTER_AWAY_INTERVALS)?;
        self.exporter = start_exporter(program, self.exporter_address, &self.job.work)?;
        self.say(format_args!("node exporter restarted (its series went stale for a while)"));
        Ok(())
    }

    /// A process that ended by itself is a failure at the moment it is seen.
    pub(super) fn check_alive(&mut self) -> Result<(), RigError> {
        for process in [&mut self.server, &mut self.prometheus, &mut self.exporter] {
            if let Some(status) = process.ended()? {
                return Err(process.failed(&format!("ended by itself ({status})")));
            }
        }
        Ok(())
    }

    fn prometheus_client(&self) -> HttpClient {
        HttpClient::new(self.prometheus_address, READ_TIMEOUT)
    }

    /// Takes the targets away and lets Prometheus write the stale markers of all series.
    pub(super) fn stop_scraping(&mut self, interrupt: &Interrupt) -> Result<(), RigError> {
        write(&self.targets_path, &targets_text(&[]))?;
        interrupt.sleep(TARGETS_SEEN_WITHIN + self.job.interval * STALE_INTERVALS)
    }

    /// Waits until Prometheus has sent everything by its own counters.
    pub(super) fn drain(&mut self, interrupt: &Interrupt) -> Result<Counters, RigError> {
        let waiting = Instant::now();
        let mut drained_since = None;
        loop {
            let counters = Counters::read(&mut self.prometheus_client())?;
            if !counters.is_drained() {
                drained_since = None;
            } else if drained_since.get_or_insert_with(Instant::now).elapsed() >= DRAINED_FOR {
                return Ok(counters);
            }
            if waiting.elapsed() > DRAIN_TIMEOUT {
                let log = self.server.failed("took no more samples").to_string();
                return Err(RigError::failed(format!(
                    "Prometheus could not send everything within {DRAIN_TIMEOUT:?}: \
                     {counters:?}\n{log}"
                )));
            }
            self.check_alive()?;
            interrupt.sleep(Duration::from_millis(250))?;
        }
    }

    /// Reads both sides, compares and reports.
    pub(super) fn judge(&mut self, counters: &Counters) -> Result<Verdict, RigError> {
        // The counters have whole seconds; drained, the last second was sent whole.
        let end_ms = counters.highest_sent_s as i64 * 1000 + 999;
        let range = self.started_ms..=end_ms;
        let mut expected = remote_read::read_all(&mut self.prometheus_client(), range.clone())?;
        let deleted = deletes::apply(&self.deletes, &mut expected);
        let mut client = HttpClient::new(self.server_address, READ_TIMEOUT);
        let actual = export::read_all(&mut client, "{__name__=~\".+\"}")?;
        let exported = (actual.len(), actual.samples());
        let found = compare(expected, actual, range);
        self.count_work()?;
        self.report(counters, exported, &found);
        let mut verdict = Verdict::default();
        if self.job.delete_every.is_some() {
            println!("deletes           {} hide {} samples", self.deletes.len(), grouped(deleted));
            verdict.require(deleted > 0, "no delete hid a sample");
            verdict.require(found.extra == 0, "samples are there that were deleted or never sent");
        }
        if let Some(reader) = self.reader.take() {
            let report = reader.finish();
            let (rounds, samples) = (grouped(report.rounds), grouped(report.samples));
            println!("reader            {rounds} rounds of another process, {samples} samples");
            report.judge(&mut verdict);
        }
        let usage = self.server.usage()?;
        let status = self.server.terminate(END_TIMEOUT)?;
        let disk = disk_use(&self.data);
        println!(
            "server            {:.1} CPU s since the last start, RssAnon {}; after SIGTERM: {status}, \
             {} on disk",
            usage.cpu_seconds,
            megabytes(usage.rss_anon_bytes),
            megabytes(disk.length)
        );
        verdict.require(found.samples > 0, "Prometheus holds no samples of the range");
        verdict.require(found.stale_markers > 0, "there was no stale marker to compare");
        verdict.require(found.missing == 0, "samples are missing");
        verdict.require(found.different == 0, "samples are different");
        verdict.require(
            counters.samples_failed == 0.0,
            "Prometheus gave up samples that the server refused",
        );
        verdict.require(
            self.restarts.len() == self.job.kills as usize,
            "the server was not killed as often as planned",
        );
        verdict.require(status.success(), "the server did not end cleanly after SIGTERM");
        server_log::require_calm(&self.job.work.join(SERVER_LOG), &mut verdict)?;
        Ok(verdict)
    }
}

/// The value of a counter without labels on a metrics page; 0 without it.
fn counter(page: &str, name: &str) -> u64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn start_exporter(program: &Path, address: SocketAddr, work: &Path) -> Result<Process, RigError> {
    let arguments = [format!("--web.listen-address={address}").into(), "--log.level=warn".into()];
    Process::start("node exporter", program, &arguments, &work.join("node-exporter.log"))
}

/// Replaces a file in one step; Prometheus watches one of them.
fn write(path: &Path, text: &str) -> Result<(), RigError> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(RigError::io(format!("writing {}", path.display())))
}

/// The first line of what a program says with `--version`.
fn first_line(program: &Path) -> String {
    let output = std::process::Command::new(program).arg("--version").output();
    let text = output.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("version unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let page = "# HELP n_total x\nn_total_of 3\nn_total 41\n";
        assert_eq!((counter(page, "n_total"), counter(page, "absent")), (41, 0));
    }
}
