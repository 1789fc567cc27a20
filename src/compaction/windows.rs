//! Windows of time: the grid that merges cut by, and the choice of a merge's output windows.
//!
//! Pure. A [`Grid`] divides all of time into base windows of `Options::window`; a [`Window`] is
//! 2^`level` neighbouring ones, aligned, so that two windows either nest or have no tick in
//! common. The *root* covers every tick: it alone straddles time 0.
//!
//! A merge job surveys its inputs with a [`Survey`] (bytes per base window) and cuts its rows by
//! the [`Cuts`] that the survey yields. Called by the picker, the plan and the merge job.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::segment;
use crate::types::Timestamp;

/// The level of the window that covers all of time.
const ROOT: u8 = 64;

/// Windows that a chunk may cross to be counted in each of them: as many as one of a flush does.
const SPREAD_MAX: i64 = 64;

/// Most entries of a survey; the base is doubled when there would be more.
const ENTRIES_MAX: usize = 4096;

/// Time divided into base windows, counted from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    window_ticks: i64,
}

/// 2^`level` base windows of a grid, or all of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    level: u8,
    /// Counts windows of this level from the epoch.
    index: i64,
}

impl Grid {
    /// The grid of base windows of `window_ticks` ticks.
    ///
    /// # Panics
    /// If a window is shorter than 2 ticks.
    #[must_use]
    pub fn new(window_ticks: i64) -> Self {
        assert!(window_ticks >= 2, "a window has at least two ticks");
        Self { window_ticks }
    }

    /// The smallest window that holds both ticks.
    #[must_use]
    pub fn window_of(&self, first: Timestamp, last: Timestamp) -> Window {
        Window::common(self.base(first), self.base(last))
    }

    /// The base window of a tick.
    fn base(&self, at: Timestamp) -> Window {
        Window { level: 0, index: at.div_euclid(self.window_ticks) }
    }

    /// The first and the last tick of `window`, without the limits of [`Timestamp`].
    fn ends(&self, window: Window) -> (i128, i128) {
        if window.level == ROOT {
            return (i128::from(i64::MIN), i128::from(i64::MAX));
        }
        // |index| <= 2^(62 - level) and window_ticks < 2^63: the product is below 2^126.
        let ticks = i128::from(self.window_ticks) << window.level;
        let start = i128::from(window.index) * ticks;
        (start, start + ticks - 1)
    }

    /// The first tick of `window`.
    #[must_use]
    pub fn first(&self, window: Window) -> Timestamp {
        self.ends(window).0.max(i128::from(i64::MIN)) as Timestamp
    }

    /// The last tick of `window`.
    #[must_use]
    pub fn last(&self, window: Window) -> Timestamp {
        self.ends(window).1.min(i128::from(i64::MAX)) as Timestamp
    }

    /// Whether the clock is more than `grace_ticks` past the end of `window`, so that hardly
    /// anything will be written there again.
    #[must_use]
    pub fn is_closed(&self, window: Window, now: Timestamp, grace_ticks: i64) -> bool {
        i128::from(now) > self.ends(window).1 + i128::from(grace_ticks)
    }

    /// Ticks of a base window.
    #[must_use]
    pub fn window_ticks(&self) -> i64 {
        self.window_ticks
    }

    /// The ticks that the chunks of a segment of `window` are cut from: its length, as far as that
    /// can be said.
    #[must_use]
    pub fn chunk_ticks(&self, window: Window) -> i64 {
        let (first, last) = self.ends(window);
        i64::try_from(last - first + 1).unwrap_or(i64::MAX)
    }

    /// `window` as a segment's footer states it; `None` if it reaches beyond either end of time.
    #[must_use]
    pub fn in_footer(&self, window: Window) -> Option<segment::Window> {
        let (first, last) = self.ends(window);
        Some(segment::Window {
            start: Timestamp::try_from(first).ok()?,
            ticks: u64::try_from(last - first + 1).ok()?,
        })
    }
}

impl Window {
    /// Base windows in the window, as a power of two; 64 for all of time.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The window `levels` higher that holds this one.
    #[must_use]
    pub fn ancestor(&self, levels: u8) -> Self {
        let level = self.level + levels;
        // Above 62 levels the indexes are 0 and -1: the two halves of all time.
        if level > 62 {
            return Self { level: ROOT, index: 0 };
        }
        Self { level, index: self.index >> levels }
    }

    /// Whether `other` lies in this window.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.level == ROOT
            || (other.level <= self.level
                && other.index >> (self.level - other.level) == self.index)
    }

    /// The smallest window that holds two base windows.
    fn common(a: Self, b: Self) -> Self {
        let differing = 64 - (a.index ^ b.index).leading_zeros();
        let level = u8::try_from(differing).unwrap_or(ROOT);
        Window { level: 0, index: a.index }.ancestor(level)
    }

    /// The smallest window that holds two windows.
    fn join(a: Self, b: Self) -> Self {
        if a.level == ROOT || b.level == ROOT {
            return Self { level: ROOT, index: 0 };
        }
        let level = a.level.max(b.level);
        let (a, b) = (a.ancestor(level - a.level), b.ancestor(level - b.level));
        let differing = 64 - (a.index ^ b.index).leading_zeros();
        a.ancestor(u8::try_from(differing).unwrap_or(ROOT))
    }
}

/// Bytes per window of what a merge reads: exact while it touches at most 4,096 base windows,
/// coarser by powers of two beyond.
#[derive(Debug, Clone)]
pub struct Survey {
    grid: Grid,
    level: u8,
    bytes: BTreeMap<i64, u64>,
}

impl Survey {
    /// A survey of nothing.
    #[must_use]
    pub fn new(grid: Grid) -> Self {
        Self { grid, level: 0, bytes: BTreeMap::new() }
    }

    /// Adds a chunk of `bytes` bytes with samples at `first`, at `last` and nowhere outside them.
    /// A chunk that crosses windows, as those of sparse series do, counts in equal parts along its
    /// time, or half for each of its ends where it crosses very many.
    pub fn add(&mut self, first: Timestamp, last: Timestamp, bytes: u64) {
        let index = |at| self.grid.base(at).index >> self.level.min(63);
        let crossed = index(last).saturating_sub(index(first));
        let steps = if crossed < SPREAD_MAX { crossed } else { 1 };
        let part = bytes / (steps as u64 + 1);
        let took = i128::from(last) - i128::from(first);
        for step in 0..steps {
            let at = i128::from(first) + took * i128::from(step) / i128::from(steps);
            self.add_at(at as Timestamp, part);
        }
        self.add_at(last, bytes - part * steps as u64);
    }

    fn add_at(&mut self, at: Timestamp, bytes: u64) {
        // At level 64 every index is 0 or -1: an arithmetic shift by 63 says the same.
        let index = self.grid.base(at).index >> self.level.min(63);
        let sum = self.bytes.entry(index).or_default();
        *sum = sum.saturating_add(bytes);
        while self.bytes.len() > ENTRIES_MAX {
            self.level += 1;
            let finer = std::mem::take(&mut self.bytes);
            for (index, bytes) in finer {
                let sum = self.bytes.entry(index >> 1).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
    }

    /// The windows that hold something, in order of time, with the bytes in each.
    pub fn iter(&self) -> impl Iterator<Item = (Window, u64)> + '_ {
        self.bytes.iter().map(|(&index, &bytes)| (Window { level: self.level, index }, bytes))
    }

    /// The output windows of a merge of what was surveyed: neighbours are joined while they hold
    /// less than `join_bytes` together, then those with the smallest sums until at most
    /// `windows_max` are left.
    ///
    /// # Panics
    /// If `windows_max` is 0.
    #[must_use]
    pub fn cuts(&self, join_bytes: u64, windows_max: usize) -> Cuts {
        assert!(windows_max > 0, "a merge has an output");
        let leaves: Vec<(Window, u64)> = self.iter().collect();
        let mut tree = Tree { nodes: Vec::with_capacity(leaves.len() * 2), whole: 0 };
        if !leaves.is_empty() {
            tree.build(&leaves, join_bytes);
            tree.reduce(windows_max);
        }
        let mut windows = tree.windows();
        windows.sort_unstable_by_key(|&(window, _)| self.grid.ends(window));
        Cuts { grid: self.grid, windows }
    }
}

/// The windows that a merge cuts its rows by: one output each, in order of time.
#[derive(Debug, Clone)]
pub struct Cuts {
    grid: Grid,
    windows: Vec<(Window, u64)>,
}

impl Cuts {
    /// The windows in order of time, with the surveyed bytes of each.
    #[must_use]
    pub fn windows(&self) -> &[(Window, u64)] {
        &self.windows
    }

    /// The last tick that belongs to output `output`. All of time is covered: the first output
    /// begins at the first tick, each goes on to where the next window starts, the last to the end.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn last_tick(&self, output: usize) -> Timestamp {
        assert!(output < self.windows.len(), "an output that was cut");
        match self.windows.get(output + 1) {
            Some(&(next, _)) => self.grid.first(next).saturating_sub(1),
            None => i64::MAX,
        }
    }

    /// The output that a tick belongs to.
    #[must_use]
    pub fn output_of(&self, at: Timestamp) -> usize {
        self.windows.partition_point(|&(window, _)| self.grid.first(window) <= at).saturating_sub(1)
    }
}

/// A node of the tree of windows with something in them: a leaf, or the smallest window around two
/// nodes.
#[derive(Debug)]
struct Node {
    window: Window,
    bytes: u64,
    parent: Option<usize>,
    children: Option<(usize, usize)>,
    /// Whether the window stays in one piece.
    whole: bool,
}

/// Windows with something in them and the windows around those.
struct Tree {
    nodes: Vec<Node>,
    /// Nodes that are whole while their parents are not: outputs.
    whole: usize,
}

impl Tree {
    /// Adds the nodes of `leaves`, which are sorted; joins what is small. Returns the topmost. The
    /// depth of the recursion is that of the levels, 64.
    fn build(&mut self, leaves: &[(Window, u64)], join_bytes: u64) -> usize {
        let (first, last) = (leaves[0], leaves[leaves.len() - 1]);
        let at = self.nodes.len();
        let leaf =
            |(window, bytes)| Node { window, bytes, parent: None, children: None, whole: true };
        if leaves.len() == 1 {
            self.nodes.push(leaf(first));
            self.whole += 1;
            return at;
        }
        let window = Window::join(first.0, last.0);
        let split = leaves.partition_point(|(leaf, _)| Window::join(first.0, *leaf) != window);
        let left = self.build(&leaves[..split], join_bytes);
        let right = self.build(&leaves[split..], join_bytes);
        let bytes = self.nodes[left].bytes.saturating_add(self.nodes[right].bytes);
        let at = self.nodes.len();
        let joined = bytes < join_bytes && self.nodes[left].whole && self.nodes[right].whole;
        self.whole -= usize::from(joined);
        let children = Some((left, right));
        self.nodes.push(Node { window, bytes, parent: None, children, whole: joined });
        self.nodes[left].parent = Some(at);
        self.nodes[right].parent = Some(at);
        at
    }

    /// Whether the node is in two pieces that are whole.
    fn can_join(&self, node: usize) -> bool {
        let whole = |child: usize| self.nodes[child].whole;
        !self.nodes[node].whole
            && self.nodes[node].children.is_some_and(|(left, right)| whole(left) && whole(right))
    }

    /// Joins pairs, the smallest first, until at most `windows_max` windows are left.
    fn reduce(&mut self, windows_max: usize) {
        let pairs = (0..self.nodes.len()).filter(|&node| self.can_join(node));
        let mut smallest: BinaryHeap<Reverse<(u64, usize)>> =
            pairs.map(|node| Reverse((self.nodes[node].bytes, node))).collect();
        while self.whole > windows_max {
            let Some(Reverse((_, node))) = smallest.pop() else { break };
            self.nodes[node].whole = true;
            self.whole -= 1;
            if let Some(parent) = self.nodes[node].parent
                && self.can_join(parent)
            {
                smallest.push(Reverse((self.nodes[parent].bytes, parent)));
            }
        }
    }

    /// The outputs.
    fn windows(&self) -> Vec<(Window, u64)> {
        let is_output =
            |node: &&Node| node.whole && node.parent.is_none_or(|parent| !self.nodes[parent].whole);
        self.nodes.iter().filter(is_output).map(|node| (node.window, node.bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn survey(ticks: i64, chunks: &[(i64, i64, u64)]) -> Survey {
        let mut survey = Survey::new(Grid::new(ticks));
        for &(first, last, bytes) in chunks {
            survey.add(first, last, bytes);
        }
        survey
    }

    /// (first tick, last tick, bytes) of each output.
    fn outputs(ticks: i64, cuts: &Cuts) -> Vec<(i64, i64, u64)> {
        let grid = Grid::new(ticks);
        let ends =
            |&(window, bytes): &(Window, u64)| (grid.first(window), grid.last(window), bytes);
        cuts.windows().iter().map(ends).collect()
    }

    #[test]
    fn the_smallest_window_around_two_ticks() {
        let grid = Grid::new(100);
        let around = |first, last| {
            let window = grid.window_of(first, last);
            (window.level(), grid.first(window), grid.last(window))
        };
        assert_eq!(around(100, 199), (0, 100, 199));
        assert_eq!(around(199, 200), (2, 0, 399));
        assert_eq!(around(-1, -1), (0, -100, -1));
        assert_eq!(around(-101, -1), (1, -200, -1));
        assert_eq!(around(-1, 0), (64, i64::MIN, i64::MAX), "only the root straddles time 0");
        assert_eq!(around(0, i64::MAX).0, 57);
        assert_eq!(around(i64::MIN, i64::MIN).1, i64::MIN);
        assert_eq!(around(i64::MAX, i64::MAX).2, i64::MAX);
    }

    #[test]
    fn windows_close_after_their_grace() {
        let grid = Grid::new(100);
        let window = grid.window_of(0, 0);
        assert!(!grid.is_closed(window, 109, 10) && grid.is_closed(window, 110, 10));
        let last = grid.window_of(i64::MAX, i64::MAX);
        assert!(!grid.is_closed(last, i64::MAX, 0), "the last window reaches beyond time");
    }

    #[test]
    fn footers_state_windows_that_end_within_time() {
        let grid = Grid::new(100);
        let window = grid.in_footer(grid.window_of(-1, -1)).unwrap();
        assert_eq!((window.start, window.ticks), (-100, 100));
        assert_eq!(grid.in_footer(grid.window_of(i64::MIN, i64::MIN)), None);
        assert!(Grid::new(2).in_footer(Grid::new(2).window_of(i64::MIN, i64::MIN)).is_some());
        assert_eq!(grid.in_footer(grid.window_of(-1, 0)), None);
    }

    #[test]
    fn neighbours_are_joined_while_they_are_small() {
        let chunks = [(0, 9, MIB / 4), (10, 19, MIB / 4), (20, 29, MIB), (30, 39, 1), (70, 70, 5)];
        let cuts = survey(10, &chunks).cuts(MIB, 16);
        assert_eq!(
            outputs(10, &cuts),
            [(0, 19, MIB / 2), (20, 29, MIB), (30, 39, 1), (70, 79, 5)],
            "30..40 has a large buddy, and 70 belongs to another half"
        );
        assert_eq!((cuts.last_tick(0), cuts.last_tick(2), cuts.last_tick(3)), (19, 69, i64::MAX));
    }

    #[test]
    fn the_smallest_sums_are_joined_until_few_are_left() {
        let chunks: Vec<_> = (0..8).map(|w| (w * 10, w * 10 + 9, (w as u64 + 1) * MIB)).collect();
        let cuts = survey(10, &chunks).cuts(MIB, 5);
        let expected = [(0, 39, 10), (40, 49, 5), (50, 59, 6), (60, 69, 7), (70, 79, 8)];
        assert_eq!(outputs(10, &cuts), expected.map(|(a, b, mib)| (a, b, mib * MIB)));
    }

    #[test]
    fn a_chunk_that_crosses_windows_counts_in_each() {
        let cuts = survey(10, &[(5, 35, 8 * MIB)]).cuts(MIB, 16);
        let each = [(0, 9), (10, 19), (20, 29), (30, 39)].map(|(a, b)| (a, b, 2 * MIB));
        assert_eq!(outputs(10, &cuts), each);
        let cuts = survey(10, &[(5, 9995, 3 * MIB)]).cuts(MIB, 16);
        assert_eq!(outputs(10, &cuts), [(0, 9, 3 * MIB / 2), (9990, 9999, 3 * MIB / 2)], "many");
        let all = survey(10, &[(i64::MIN, i64::MAX, 3)]);
        assert_eq!(all.iter().map(|(_, bytes)| bytes).sum::<u64>(), 3);
    }

    #[test]
    fn nothing_surveyed_is_nothing_cut() {
        assert!(survey(10, &[]).cuts(MIB, 1).windows().is_empty());
    }

    #[test]
    fn a_survey_of_many_windows_is_coarser_but_complete() {
        let chunks: Vec<_> = (-9000..9000).map(|w| (w * 10, w * 10, 7)).collect();
        let survey = survey(10, &chunks);
        assert!(survey.iter().count() <= ENTRIES_MAX);
        assert_eq!(survey.iter().map(|(_, bytes)| bytes).sum::<u64>(), 18_000 * 7);
        assert!(survey.iter().all(|(window, _)| window.level() == 3));
    }

    proptest! {
        #[test]
        fn cuts_cover_what_was_surveyed(
            ticks in prop_oneof![Just(2i64), 3i64..1000, Just(86_400_000), Just(i64::MAX)],
            ends in prop::collection::vec((any::<i64>(), any::<i64>(), 0u64..MIB), 1..60),
            near in prop::collection::vec((-5000i64..5000, 0i64..500, 0u64..MIB), 0..60),
            most in 1usize..20,
        ) {
            let mut chunks: Vec<_> = ends.iter().map(|&(a, b, n)| (a.min(b), a.max(b), n)).collect();
            chunks.extend(near.iter().map(|&(a, len, n)| (a, a + len, n)));
            chunks.extend([(i64::MIN, i64::MIN, 1), (i64::MAX, i64::MAX, 1)]);
            let survey = survey(ticks, &chunks);
            let cuts = survey.cuts(MIB, most);
            let grid = Grid::new(ticks);
            prop_assert!(!cuts.windows().is_empty() && cuts.windows().len() <= most);
            let total: u64 = cuts.windows().iter().map(|(_, bytes)| bytes).sum();
            prop_assert_eq!(total, chunks.iter().map(|chunk| chunk.2).sum::<u64>());
            for pair in cuts.windows().windows(2) {
                prop_assert!(grid.last(pair[0].0) < grid.first(pair[1].0), "in order, apart");
            }
            for at in chunks.iter().flat_map(|chunk| [chunk.0, chunk.1]) {
                let output = cuts.output_of(at);
                let window = cuts.windows()[output].0;
                prop_assert!(grid.first(window) <= at && at <= grid.last(window));
                prop_assert!(at <= cuts.last_tick(output));
                prop_assert!(output == 0 || at > cuts.last_tick(output - 1));
            }
            // No two buddies are left that are small together, and joining stopped in time.
            if cuts.windows().len() > 1 {
                for pair in cuts.windows().windows(2) {
                    let around = Window::join(pair[0].0, pair[1].0);
                    let inside = cuts.windows().iter().filter(|w| around.contains(&w.0)).count();
                    prop_assert!(inside > 2 || pair[0].1 + pair[1].1 >= MIB);
                }
            }
        }

        #[test]
        fn windows_nest(a in any::<(i64, i64)>(), b in any::<(i64, i64)>(), ticks in 2i64..=i64::MAX) {
            let grid = Grid::new(ticks);
            let of = |(x, y): (i64, i64)| grid.window_of(x.min(y), x.max(y));
            let (a, b) = (of(a), of(b));
            let apart = grid.last(a) < grid.first(b) || grid.last(b) < grid.first(a);
            prop_assert_eq!(apart, !a.contains(&b) && !b.contains(&a));
            let join = Window::join(a, b);
            prop_assert!(join.contains(&a) && join.contains(&b));
        }
    }
}
