//! A listed selection in Prometheus's order of labels.

use siltstone::{Outline, ReadCost};

use super::meter::Meter;
use super::outline::is_enough;
use super::share::share_of_top;
use crate::query_error::QueryError;
use crate::source::{KeptList, Queryable, SampleColumns, SelectRequest, SeriesList, SourceError};
use crate::value::LabelSet;

/// What a source calls with the samples of a series.
type SourceVisit<'v> = dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError> + 'v;

/// A listed selection in Prometheus's order.
pub(super) struct OrderedList<'a> {
    list: Box<dyn SeriesList + 'a>,
    /// The series numbers in order of labels; empty if the list knows it.
    order: Vec<u32>,
    meter: &'a Meter,
}

impl<'a> OrderedList<'a> {
    /// Lists a selection.
    pub(super) fn list(
        source: &'a dyn Queryable,
        selection: &SelectRequest<'_>,
        meter: &'a Meter,
    ) -> Result<Self, QueryError> {
        let list = source.list(selection, &meter.control());
        let list = list.map_err(|error| meter.source_error(error))?;
        let count = list.kept().map_or(list.labels().len(), |kept| kept.order().len());
        meter.list_series(count)?;
        Ok(Self::ordered(list, meter))
    }

    fn ordered(list: Box<dyn SeriesList + 'a>, meter: &'a Meter) -> Self {
        if list.kept().is_some() {
            return Self { list, order: Vec::new(), meter };
        }
        let labels = list.labels();
        let mut order: Vec<u32> = (0..u32::try_from(labels.len()).unwrap_or(u32::MAX)).collect();
        let by_labels = |a: &u32, b: &u32| labels[*a as usize].cmp(&labels[*b as usize]);
        if !order.is_sorted_by(|a, b| by_labels(a, b).is_le()) {
            order.sort_unstable_by(by_labels);
        }
        Self { list, order, meter }
    }

    /// What reading all series takes, if that is known.
    pub(super) fn cost(&self, outline: Option<&Outline>) -> Option<ReadCost> {
        self.list.cost(outline)
    }

    pub(super) fn len(&self) -> usize {
        self.order().len()
    }

    /// The series numbers in order of labels. The *rank* of a series is its place there.
    pub(super) fn order(&self) -> &[u32] {
        self.list.kept().map_or(&self.order, KeptList::order)
    }

    /// Hands the samples of all series to `visit`, in order.
    pub(super) fn fold_all(
        &self,
        mut visit: impl FnMut(&LabelSet, &SampleColumns<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.fold(self.order(), |number, columns| visit(self.labels_of(number), columns))
    }

    /// Hands the samples of the series with these numbers to `visit`.
    pub(super) fn fold(
        &self,
        numbers: &[u32],
        visit: impl FnMut(u32, &SampleColumns<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.passing_errors(visit, |visit| self.list.fold(numbers, visit))
    }

    /// The same with as much of the samples as `outline` needs.
    pub(super) fn outline(
        &self,
        numbers: &[u32],
        outline: &Outline,
        mut visit: impl FnMut(u32, &SampleColumns<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let visit_enough = |number: u32, columns: &SampleColumns<'_>| {
            if is_enough(outline, columns) {
                visit(number, columns)
            } else {
                self.fold(&[number], &mut visit)
            }
        };
        self.passing_errors(visit_enough, |visit| self.list.outline(numbers, outline, visit))
    }

    /// Calls `read` with a visitor that calls `visit`, and answers with the error of either.
    fn passing_errors(
        &self,
        mut visit: impl FnMut(u32, &SampleColumns<'_>) -> Result<(), QueryError>,
        read: impl FnOnce(&mut SourceVisit<'_>) -> Result<(), SourceError>,
    ) -> Result<(), QueryError> {
        // The source passes our errors on as its own: this keeps what they were.
        let mut failure = None;
        let done = read(&mut |number, columns| {
            visit(number, &columns).map_err(|error| {
                failure = Some(error);
                SourceError::from("the evaluation ended")
            })
        });
        match failure {
            Some(error) => Err(error),
            None => done.map_err(|error| self.meter.source_error(error)),
        }
    }

    /// The label sets, by what [`key`](Self::key) says. Each series has one of its own, unless
    /// [little of them is kept](Self::keeps_little).
    pub(super) fn sets(&self) -> &[LabelSet] {
        self.list.kept().map_or(self.list.labels(), KeptList::sets)
    }

    /// The place of the labels of a series.
    pub(super) fn key(&self, rank: u32) -> usize {
        let number = self.order()[rank as usize];
        self.list.kept().map_or(number as usize, |kept| kept.set_of(number))
    }

    /// Whether there is of labels only what the result keeps.
    pub(super) fn keeps_little(&self) -> bool {
        self.list.kept().is_some()
    }

    /// The share of a series of which only little of the labels is kept.
    pub(super) fn share(&self, rank: u32) -> Option<usize> {
        let number = self.order()[rank as usize];
        self.list.kept().map(|kept| share_of_top(kept.hash_top(number)))
    }

    fn labels_of(&self, number: u32) -> &LabelSet {
        match self.list.kept() {
            Some(kept) => &kept.sets()[kept.set_of(number)],
            None => &self.list.labels()[number as usize],
        }
    }
}
