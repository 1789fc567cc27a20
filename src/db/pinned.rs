//! What a moment's readers see, and making the sources of a read of it.

use std::sync::Arc;

use super::core::{Broken, Core, Live};
use crate::cursor::SeriesSource;
use crate::deletes::Tombstones;
use crate::read::{MemtableView, Memtables, Sources};
use crate::segment::Segment;
use crate::series::Registry;
use crate::sys::{Clock, Executor};

/// What a snapshot is taken of.
pub(super) struct Pinned<'a> {
    pub(super) segments: &'a [Arc<Segment>],
    pub(super) broken: &'a [Arc<Broken>],
    /// Each registry with its memtables, those of one registry together.
    pub(super) memtables: Views,
    pub(super) tombstones: Tombstones,
    pub(super) executor: Executor,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ticks_per_second: u64,
}

impl Pinned<'_> {
    /// The segments, in order, then the memtables of each registry.
    pub(super) fn into_sources(self) -> Sources {
        let segments = self.segments.iter().map(|s| Arc::clone(s) as Arc<dyn SeriesSource>);
        let memtables = self.memtables.into_iter().map(|(registry, views)| {
            Arc::new(Memtables::new(registry, views)) as Arc<dyn SeriesSource>
        });
        let sources = segments.chain(memtables).collect();
        Sources::new(sources, self.executor, self.clock).without(self.tombstones)
    }
}

/// What a moment's readers see of the memtables: each registry with its own.
pub(super) type Views = Vec<(Arc<Registry>, Vec<MemtableView>)>;

/// Everything of one moment of an open store.
pub(super) fn pinned<'a>(live: &'a Live, memtables: Views, core: &Core) -> Pinned<'a> {
    Pinned {
        segments: &live.segments,
        broken: &live.broken,
        memtables,
        tombstones: live.tombstones(),
        executor: core.executor.clone(),
        clock: Arc::clone(&core.options.clock),
        ticks_per_second: core.ticks_per_second,
    }
}

/// The sources of one moment of an open store: its segments, in order, then its memtables.
pub(super) fn sources_of(live: &Live, core: &Core) -> Arc<Sources> {
    Arc::new(pinned(live, views(live), core).into_sources())
}

/// The memtables of a moment, those of one registry together.
pub(super) fn views(live: &Live) -> Views {
    let mut found: Views = Vec::new();
    for generation in live.sealed.iter().chain([&live.active]) {
        let Some(view) = MemtableView::now(Arc::clone(&generation.memtable)) else { continue };
        match found.iter_mut().find(|(registry, _)| Arc::ptr_eq(registry, &generation.registry)) {
            Some((_, views)) => views.push(view),
            None => found.push((Arc::clone(&generation.registry), vec![view])),
        }
    }
    found
}
