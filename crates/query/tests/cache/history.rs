//! Random histories of a store, and the panels that somebody looks at meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{Clock, SimClock, SimFs};
use siltstone::{Background, Db, Labels, Matcher, Options, TimeRange, WriteBatch};
use siltstone_query::{Features, Query};

use crate::compare::{Panel, Random, all_series};
use crate::{MINUTE, QUERIES, SECOND};

/// The store keeps samples for so long.
pub(crate) const KEPT: Duration = Duration::from_secs(3 * 3600);
pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

pub(crate) struct History {
    pub(crate) clock: Arc<SimClock>,
    /// Ticks of a millisecond.
    pub(crate) ticks: i64,
    pub(crate) options: Options,
    pub(crate) db: Db,
    pub(crate) random: Random,
    pub(crate) series: Vec<Labels>,
    pub(crate) counters: Vec<f64>,
    pub(crate) attached: u32,
    pub(crate) panels: Vec<Panel>,
}

impl History {
    pub(crate) fn new(seed: u64) -> Self {
        let (fs, clock) = (SimFs::new(), Arc::new(SimClock::new(1_700_000_000_000)));
        let options = Options {
            background: Background::Manual,
            query_threads: 0,
            vfs: Arc::new(fs.clone()),
            clock: Arc::clone(&clock) as _,
            retention: Some(KEPT),
            level0_merge: 4,
            ticks_per_second: if seed % 5 == 3 { 1_000_000 } else { 1000 },
            ..Options::default()
        };
        let db = Db::open("/store", options.clone()).unwrap();
        let series = all_series();
        let counters = vec![0.0; series.len()];
        let random = Random(seed);
        let (attached, panels) = (0, Vec::new());
        let ticks = db.ticks_per_second() as i64 / 1000;
        Self { clock, ticks, options, db, random, series, counters, attached, panels }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// The next value of a series; gauges are fractions, whole numbers and zeros.
    pub(crate) fn value(&mut self, number: usize) -> u64 {
        let random = &mut self.random;
        if random.below(40) == 0 {
            return STALE;
        }
        let is_gauge = (5..10).contains(&number);
        let value = match random.below(12) {
            0 => 3.0,
            1 => 0.0,
            2 if is_gauge => -0.0,
            3 if !is_gauge => {
                self.counters[number] = 0.0;
                0.1
            }
            _ if is_gauge => random.below(1000) as f64 / 7.0,
            _ => {
                self.counters[number] += random.below(1000) as f64 / 13.0;
                self.counters[number]
            }
        };
        value.to_bits()
    }

    pub(crate) fn scrape(&mut self) {
        self.clock.advance(Duration::from_secs(15 + self.random.below(3) * 15));
        let now = self.now();
        let mut batch = WriteBatch::new();
        for number in 0..self.series.len() {
            if self.random.below(8) == 0 {
                continue;
            }
            let handle = self.db.series(&self.series[number]).unwrap();
            let bits = self.value(number);
            let time = now * self.ticks - self.random.between(0, 2000 * self.ticks);
            batch.push_bits(handle, time, bits).unwrap();
        }
        self.db.write(&batch).unwrap();
    }

    /// A few samples of any time, on top of others or between them.
    pub(crate) fn late(&mut self, db: &Db) {
        let mut batch = WriteBatch::new();
        let (at, length) = (self.random.between(-200, 2) * MINUTE, self.random.between(1, 300));
        for _ in 0..self.random.below(5) + 1 {
            let number = self.random.below(self.series.len() as u64) as usize;
            let handle = db.series(&self.series[number]).unwrap();
            let time = self.now() + at + self.random.between(0, length) * SECOND;
            let time = time * self.ticks + self.random.between(0, self.ticks);
            batch.push_bits(handle, time, self.value(number)).unwrap();
        }
        db.write(&batch).unwrap();
    }

    pub(crate) fn delete(&mut self) {
        let matcher = match self.random.below(4) {
            0 => Matcher::equal("__name__", "g"),
            1 => Matcher::regex("__name__", ".+").unwrap(),
            _ => Matcher::equal("x", self.random.below(3).to_string()),
        };
        let start = self.now() - self.random.between(0, 200) * MINUTE;
        let end = start + self.random.between(1, 40) * MINUTE;
        let range = TimeRange::new(start * self.ticks, end * self.ticks);
        self.db.delete(&[matcher], range).unwrap();
    }

    pub(crate) fn step(&mut self) {
        match self.random.below(40) {
            0..=17 => self.scrape(),
            18..=21 => self.late(&self.db.clone()),
            22..=23 => self.delete(),
            24..=25 => self.db.flush().unwrap(),
            26 => {
                let go_on = &mut |_: &_| ControlFlow::Continue(());
                drop(self.db.compact(TimeRange::ALL, go_on).unwrap());
            }
            27..=28 => self.db.tick().unwrap(),
            29 => {
                // Retention moves on.
                self.clock.advance(Duration::from_secs(60 * (1 + self.random.below(30))));
                self.db.tick().unwrap();
            }
            30 if self.random.below(3) == 0 => {
                self.db.close().unwrap();
                self.db = Db::open("/store", self.options.clone()).unwrap();
            }
            31 if self.random.below(2) == 0 => self.attach(),
            _ => {}
        }
    }

    pub(crate) fn attach(&mut self) {
        self.attached += 1;
        let dir = format!("/other{}", self.attached);
        let options = Options { retention: None, ..self.options.clone() };
        let other = Db::open(&dir, options).unwrap();
        self.late(&other);
        other.flush().unwrap();
        other.close().unwrap();
        self.db.attach(&dir).unwrap();
    }

    /// A panel, moved, resized or new.
    pub(crate) fn next_panel(&mut self) -> usize {
        let now = self.now();
        let random = &mut self.random;
        if self.panels.len() < 24 || random.below(60) == 0 {
            let text = QUERIES[random.below(QUERIES.len() as u64) as usize];
            let query = Query::parse(text, Features::default()).unwrap();
            let step = [30, 60, 45, 17][random.below(4) as usize] * SECOND;
            let end = now + random.between(-170, 5) * MINUTE * random.between(0, 2);
            let start = end - random.between(5, 60) * step;
            self.panels.push(Panel { query, start, end, step });
            if self.panels.len() > 24 {
                self.panels.swap_remove(random.below(24) as usize);
            }
            return self.panels.len() - 1;
        }
        let number = random.below(24) as usize;
        let panel = &mut self.panels[number];
        match random.below(12) {
            0..=4 => {
                // Up to now.
                let moved = (now - panel.end).div_euclid(panel.step) * panel.step;
                (panel.start, panel.end) = (panel.start + moved, panel.end + moved);
            }
            5..=6 => {
                let moved = random.between(-3, 8) * panel.step;
                (panel.start, panel.end) = (panel.start + moved, panel.end + moved);
            }
            7 => panel.start -= random.between(0, 20) * panel.step,
            8 => panel.end -= ((panel.end - panel.start) / panel.step / 2) * panel.step,
            9 => panel.end += random.between(0, 9) * panel.step,
            10 => {
                // Other steps of the same query.
                let moved = random.between(-40, 40) * SECOND;
                (panel.start, panel.end) = (panel.start + moved, panel.end + moved);
            }
            _ => {}
        }
        panel.start = panel.start.max(panel.end - 120 * panel.step);
        number
    }
}
