//! The figures of a store that is served read-only, and how its view is doing.
//!
//! What only the owner counts (writes, flushes, merges, what is not durable yet) is left out: a 0 would say that
//! there were none.

use std::fmt::{self, Write};

use siltstone::Stats;

use super::{Page, held, open_files, stored};
use crate::app::App;
use crate::store::ViewFigures;

pub(super) fn write(
    page: &mut Page,
    stats: &Stats,
    figures: &ViewFigures,
    app: &App,
) -> fmt::Result {
    page.gauge("siltstone_read_only", "1 if the store is served read-only.", 1)?;
    stored(page, stats)?;
    page.gauge("siltstone_tombstones", "Deletes not erased everywhere yet.", stats.tombstones)?;
    let help = "Damage that the last reading of the store found.";
    page.gauge("siltstone_view_findings", help, stats.corruption)?;
    for (name, help, time) in [
        ("age", "For how long the view may have lacked what was written.", figures.age),
        ("refresh", "How long the last refresh of the view took.", figures.took),
    ] {
        page.head(&format!("siltstone_view_{name}_seconds"), "gauge", help)?;
        writeln!(page.0, "siltstone_view_{name}_seconds {}", time.as_secs_f64())?;
    }
    for (name, help, count) in [
        ("refreshes", "Refreshes of the view that found something new.", figures.refreshes),
        ("refresh_failures", "Refreshes of the view that failed.", figures.failures),
        ("retries", "Queries that ran again since files were replaced.", figures.retries),
    ] {
        page.counter(&format!("siltstone_view_{name}_total"), help, count)?;
    }
    open_files(page, stats)?;
    held(page, stats, app, &[])
}
