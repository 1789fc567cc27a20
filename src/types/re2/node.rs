//! A part of a pattern that was read, with the measures by which RE2 limits patterns.

use regex_syntax::hir::{Capture, Class, ClassUnicode, Dot, Hir, HirKind, Look, Repetition};

/// Deepest nesting of groups, repetitions, sequences and alternations. Go allows 1,000; what walks
/// the tree of a pattern recursively, here and in `regex_automata`, has a smaller stack than Go's.
pub(super) const NEST_MAX: u32 = 250;

/// The most copies of one part that repetitions, and repetitions in repetitions, may ask for; RE2's.
pub(super) const REPEAT_MAX: u32 = 1000;

/// A part of a pattern.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) hir: Hir,
    /// Levels of nesting, at least 1.
    pub(super) height: u32,
    /// How many copies of its innermost part its counted repetitions ask for, at least 1.
    pub(super) copies: u32,
}

impl Node {
    fn leaf(hir: Hir) -> Self {
        Self { hir, height: 1, copies: 1 }
    }

    pub(super) fn literal(text: &str) -> Self {
        Self::leaf(Hir::literal(text.as_bytes()))
    }

    /// One character of `class`; nothing if it is empty.
    pub(super) fn class(class: ClassUnicode) -> Self {
        Self::leaf(Hir::class(Class::Unicode(class)))
    }

    /// `.`
    pub(super) fn dot(dot: Dot) -> Self {
        Self::leaf(Hir::dot(dot))
    }

    pub(super) fn look(look: Look) -> Self {
        Self::leaf(Hir::look(look))
    }

    /// The capture with this number, from 1.
    pub(super) fn capture(self, index: u32) -> Self {
        let capture = Capture { index, name: None, sub: Box::new(self.hir) };
        Self { hir: Hir::capture(capture), height: self.height + 1, copies: self.copies }
    }

    /// `min` to `max` times this part, without bound if `max` is `None`.
    pub(super) fn repeat(self, min: u32, max: Option<u32>, greedy: bool) -> Self {
        // RE2 does not look into what is repeated no times.
        let copies = match max.unwrap_or(min) {
            0 if max.is_some() => 1,
            times => self.copies.saturating_mul(times.max(1)),
        };
        let repetition = Repetition { min, max, greedy, sub: Box::new(self.hir) };
        Self { hir: Hir::repetition(repetition), height: self.height + 1, copies }
    }

    /// `parts` one after the other.
    pub(super) fn sequence(parts: Vec<Self>) -> Self {
        Self::join(parts, Hir::concat)
    }

    /// Any of `branches`, the first ones first; at least one.
    pub(super) fn alternation(branches: Vec<Self>) -> Self {
        Self::join(branches, Hir::alternation)
    }

    fn join(mut parts: Vec<Self>, join: impl FnOnce(Vec<Hir>) -> Hir) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let height = parts.iter().map(|part| part.height).max().map_or(1, |highest| highest + 1);
        let copies = parts.iter().map(|part| part.copies).max().unwrap_or(1);
        Self { hir: join(parts.into_iter().map(|part| part.hir).collect()), height, copies }
    }

    /// Whether it is the empty sequence.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.hir.kind(), HirKind::Empty)
    }
}
