//! The series of both sides of an operator, brought together by the labels that must be equal.

use crate::value::Series;

use super::signature::{MatchKey, Signatures};

/// A series of one side.
#[derive(Debug)]
pub(super) struct Member<S> {
    signature: u32,
    /// Its place in the vector.
    pub(super) place: usize,
    pub(super) series: S,
}

/// Both sides in order of signatures. It is made once for all steps.
#[derive(Debug)]
pub(super) struct Join<'a> {
    /// The side whose labels the result has.
    pub(super) many: Vec<Member<Series>>,
    pub(super) one: Vec<Member<&'a Series>>,
}

/// All series with one signature, those of each side in the order of the vector.
#[derive(Debug)]
pub(super) struct Group<'g, 'a> {
    pub(super) many: &'g mut [Member<Series>],
    pub(super) one: &'g [Member<&'a Series>],
}

impl<'a> Join<'a> {
    /// Brings the two vectors together. Costs time and memory linear in the number of series, but
    /// for a sort by numbers.
    pub(super) fn new(key: &MatchKey, many: Vec<Series>, one: &'a [Series]) -> Self {
        let mut signatures = Signatures::new(key, many.len().max(one.len()));
        let many: Vec<_> = many.into_iter().map(|s| (signatures.number(&s), s)).collect();
        let one: Vec<_> = one.iter().map(|s| (signatures.number(s), s)).collect();
        Self { many: in_order(many), one: in_order(one) }
    }

    /// The series of the "many" side, in the order in which they were given.
    pub(super) fn into_many(self) -> Vec<Series> {
        let mut many = self.many;
        many.sort_unstable_by_key(|member| member.place);
        many.into_iter().map(|member| member.series).collect()
    }

    /// The series of the "one" side by signature.
    pub(super) fn one_groups(&self) -> impl Iterator<Item = &[Member<&'a Series>]> {
        self.one.chunk_by(|a, b| a.signature == b.signature)
    }

    /// The groups, in order of signatures.
    pub(super) fn groups(&mut self) -> Vec<Group<'_, 'a>> {
        let (mut many, mut one) = (self.many.as_mut_slice(), self.one.as_slice());
        let mut groups = Vec::new();
        loop {
            let firsts = many.first().map(|m| m.signature).into_iter();
            let Some(next) = firsts.chain(one.first().map(|o| o.signature)).min() else {
                return groups;
            };
            let own = many.iter().take_while(|m| m.signature == next).count();
            let others = one.iter().take_while(|o| o.signature == next).count();
            let (group_many, rest) = std::mem::take(&mut many).split_at_mut(own);
            let (group_one, rest_one) = one.split_at(others);
            groups.push(Group { many: group_many, one: group_one });
            (many, one) = (rest, rest_one);
        }
    }
}

fn in_order<S>(series: Vec<(u32, S)>) -> Vec<Member<S>> {
    let member = |(place, (signature, series))| Member { signature, place, series };
    let mut members: Vec<Member<S>> = series.into_iter().enumerate().map(member).collect();
    // Stable: the order of the vector stays within a signature.
    members.sort_by_key(|member| member.signature);
    members
}
