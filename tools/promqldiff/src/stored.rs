//! A series as both sides are given it.

use std::sync::Arc;

use siltstone_promql::LabelSet;

use crate::native::Native;

/// The bits by which Prometheus marks the end of a series.
pub(crate) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// A value of a series.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    Float(f64),
    Native(Arc<Native>),
}

/// A series in time order.
#[derive(Debug, Clone)]
pub(crate) struct StoredSeries {
    pub(crate) labels: LabelSet,
    pub(crate) samples: Vec<(i64, Stored)>,
}
