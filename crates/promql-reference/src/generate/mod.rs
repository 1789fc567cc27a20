//! Random queries and series.
//!
//! The source of choices is the caller's: random bytes of a property test, which shrink, or those of
//! a fuzzer. Each choice takes one byte, so that a change of one byte changes one choice.

mod case;
mod query;
mod vocabulary;

pub use case::{Case, case};
pub use query::{query, query_of_type};
pub use vocabulary::{ANY_TEXT, OF_SERIES, Vocabulary, WILD};

/// Answers a number below its argument, which is from 1 to 256.
pub type Choose<'a> = &'a mut dyn FnMut(usize) -> usize;

/// Choices from bytes, 0 behind their end.
pub fn choices(bytes: &[u8]) -> impl FnMut(usize) -> usize {
    let mut at = 0;
    move |below| {
        let byte = bytes.get(at).copied().unwrap_or(0);
        at += 1;
        usize::from(byte) % below
    }
}
