//! A read view as the sources of a read: what snapshots and receipts of deletes read from.

use std::sync::Arc;

use super::read_view::ReadView;
use crate::cursor::SeriesSource;
use crate::db::env::Env;
use crate::db::env::segment_files::BrokenSegment;
use crate::deletes::Tombstones;
use crate::read::{MemtableView, Memtables, Sources};
use crate::segment::Segment;
use crate::series::Registry;
use crate::sys::{Clock, Executor};

/// What a snapshot is taken of.
pub(in crate::db) struct Pinned<'a> {
    pub(in crate::db) segments: &'a [Arc<Segment>],
    pub(in crate::db) broken: &'a [Arc<BrokenSegment>],
    /// Each registry with its memtables, those of one registry together.
    pub(in crate::db) memtables: Views,
    pub(in crate::db) tombstones: Tombstones,
    pub(in crate::db) executor: Executor,
    pub(in crate::db) clock: Arc<dyn Clock>,
    pub(in crate::db) ticks_per_second: u64,
    /// Bytes of a query that does not say how many it may hold.
    pub(in crate::db) query_bytes_max: u64,
}

impl Pinned<'_> {
    /// The segments, in order, then the memtables of each registry.
    pub(in crate::db) fn into_sources(self) -> Sources {
        let segments = self.segments.iter().map(|s| Arc::clone(s) as Arc<dyn SeriesSource>);
        let memtables = self.memtables.into_iter().map(|(registry, views)| {
            Arc::new(Memtables::new(registry, views)) as Arc<dyn SeriesSource>
        });
        let sources = segments.chain(memtables).collect();
        Sources::new(sources, self.executor, self.clock).without(self.tombstones)
    }
}

/// What a moment's readers see of the memtables: each registry with its own.
pub(in crate::db) type Views = Vec<(Arc<Registry>, Vec<MemtableView>)>;

/// Everything of one moment of an open store.
pub(in crate::db) fn pinned<'a>(view: &'a ReadView, memtables: Views, env: &Env) -> Pinned<'a> {
    Pinned {
        segments: &view.segments,
        broken: &view.broken,
        memtables,
        tombstones: view.tombstones(),
        executor: env.executor.clone(),
        clock: Arc::clone(&env.options.clock),
        ticks_per_second: env.ticks_per_second,
        query_bytes_max: env.options.query_bytes_max(),
    }
}

/// The sources of one moment of an open store: its segments, in order, then its memtables.
pub(in crate::db) fn sources_of(view: &ReadView, env: &Env) -> Arc<Sources> {
    Arc::new(pinned(view, views(view), env).into_sources())
}

/// The memtables of a moment, those of one registry together.
pub(in crate::db) fn views(view: &ReadView) -> Views {
    let mut found: Views = Vec::new();
    for generation in view.generations() {
        let Some(rows) = MemtableView::now(Arc::clone(&generation.memtable)) else { continue };
        match found.iter_mut().find(|(registry, _)| Arc::ptr_eq(registry, &generation.registry)) {
            Some((_, views)) => views.push(rows),
            None => found.push((Arc::clone(&generation.registry), vec![rows])),
        }
    }
    found
}
