//! The memory in which bodies are decoded and their samples collected, and how many do so at a time.
//!
//! A body that is complete waits here for all that its decoding needs, holding nothing but itself, and gets it at
//! once or not at all; who came first is served first. Nothing is asked for later: if a body turns out to hold
//! more samples than its length let expect, its work ends, gives everything back and comes again for the most
//! that a body can need (`most` of [`Decoding::take`]).
//!
//! An import is decoded step by step ([`Decoding::take_step`]), and its steps have turns of their own, as many as
//! there are processors, before they wait for the rest like a body. So however many imports there are, and
//! however much their bodies expand to, they keep no more than that busy, and a body waits for one short step of
//! each at most: between two of its steps an import waits behind all that came meanwhile.
//!
//! # Invariants
//!
//! - What is decoded at a time stays within `bytes_max`, and at most one of it is large ([`LARGE_BYTES`]).
//! - Whoever holds memory here waits for no client, so that it comes back.
//! - The largest body that is accepted fits ([`Decoding::largest`]).
//! - Steps of imports hold at most half of the turns and half of the memory, or what one step needs.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::turns::{Turn, Turns};
use crate::refusal::Refusal;

/// Above it a body is large.
pub(super) const LARGE_BYTES: usize = 4 << 20;
/// Unit in which memory is counted, so that a semaphore can.
const UNIT: usize = 1 << 10;
/// Most bytes of a batch for one sample: handle, length of a run, time and value.
pub(crate) const SAMPLE_BYTES: usize = 28;
/// What a step of an import counts as: a batch with its labels, the values of a line, and buffers.
const STEP_BYTES: usize = 1 << 20;
/// So many times its decoded length is what a body may need for its batch, unless its samples are very short.
const BATCH_FACTOR: usize = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Decoding {
    turns: Turns,
    memory: Turns,
    large: Turns,
    /// Steps of imports at a time.
    imports: Turns,
    units_max: usize,
    samples_max: usize,
}

/// The turn of a body, and the memory in which it is decoded.
#[derive(Debug)]
pub(crate) struct Decode {
    pub(crate) turn: Turn,
    _memory: OwnedSemaphorePermit,
    _large: Option<Turn>,
    _import: Option<Turn>,
    /// Most samples of its batch.
    pub(crate) samples_max: usize,
}

impl Decoding {
    /// `turns` at a time, of which `imports` may be steps of imports, in `bytes_max` together; a request has at
    /// most `samples_max` samples.
    pub(crate) fn new(
        (turns, imports): (usize, usize),
        bytes_max: usize,
        samples_max: usize,
        patience: Duration,
    ) -> Self {
        let units_max = (bytes_max / UNIT).max(2);
        let step_units = STEP_BYTES * (1 + BATCH_FACTOR) / UNIT;
        let imports = imports.min(turns / 2).min(units_max / 2 / step_units).max(1);
        Self {
            turns: Turns::new(turns, "writes", patience),
            memory: Turns::new(units_max, "writes", patience),
            large: Turns::new(1, "large writes", patience),
            imports: Turns::new(imports, "imports", patience),
            units_max,
            samples_max: samples_max.min(units_max / 2 * UNIT / SAMPLE_BYTES),
        }
    }

    /// The largest decoded body for which there is always room.
    pub(crate) fn largest(&self) -> usize {
        self.units_max / 2 * UNIT
    }

    /// Most samples of a request, for which there is always room.
    pub(crate) fn samples_max(&self) -> usize {
        self.samples_max
    }

    /// What all may hold.
    pub(crate) fn bytes_max(&self) -> usize {
        self.units_max * UNIT
    }

    /// What all hold.
    pub(crate) fn bytes_held(&self) -> usize {
        (self.units_max - self.memory.free().min(self.units_max)) * UNIT
    }

    /// Waits for the turn of a body that decodes to `decoded` bytes; with `most`, for as many samples as a body
    /// may have.
    ///
    /// # Errors
    /// 503 when it took too long.
    pub(crate) async fn take(&self, decoded: usize, most: bool) -> Result<Decode, Refusal> {
        let expected = (decoded * BATCH_FACTOR / SAMPLE_BYTES).max(1);
        let samples_max = if most { self.samples_max } else { expected.min(self.samples_max) };
        let bytes = decoded + samples_max * SAMPLE_BYTES;
        // In this order: whoever waits for memory has all the rest, and whoever has memory waits for nothing.
        let large =
            if most || decoded > LARGE_BYTES { Some(self.large.take().await?) } else { None };
        let turn = self.turns.take().await?;
        let units = bytes.div_ceil(UNIT).min(self.units_max);
        let memory = self.memory.take_many(u32::try_from(units).unwrap_or(u32::MAX)).await?;
        Ok(Decode { turn, _memory: memory, _large: large, _import: None, samples_max })
    }

    /// Waits for the turns of a step of an import, and for its memory.
    ///
    /// # Errors
    /// 503 when it took too long.
    pub(crate) async fn take_step(&self) -> Result<Decode, Refusal> {
        let import = self.imports.take().await?;
        let decode = self.take(STEP_BYTES, false).await?;
        Ok(Decode { _import: Some(import), ..decode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_large_body_at_a_time_and_small_ones_beside_it() {
        let decoding = Decoding::new((8, 2), 64 << 20, 1_000_000, Duration::from_secs(10));
        let large = decoding.take(8 << 20, false).await.unwrap();
        assert_eq!(decoding.take(5 << 20, false).await.unwrap_err().status.as_u16(), 503);
        let small = decoding.take(1 << 20, false).await.unwrap();
        drop(large);
        let largest = decoding.take(decoding.largest(), true).await;
        drop(small);
        assert!(largest.is_ok() || decoding.take(decoding.largest(), true).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_had_in_the_order_of_asking() {
        let decoding =
            std::sync::Arc::new(Decoding::new((8, 2), 8 << 20, 1_000_000, Duration::from_secs(10)));
        let held = decoding.take(1 << 20, false).await.unwrap();
        assert_eq!(decoding.bytes_held(), 4 << 20);
        let ask = |decoded: usize| {
            let decoding = std::sync::Arc::clone(&decoding);
            tokio::spawn(async move { decoding.take(decoded, false).await })
        };
        let second = ask(3 << 19);
        tokio::task::yield_now().await;
        let third = ask(1 << 10);
        tokio::time::sleep(Duration::from_secs(1)).await;
        // It would fit, and does not go before the one that came first.
        assert!(!second.is_finished() && !third.is_finished());
        drop(held);
        let second = second.await.unwrap().unwrap();
        third.await.unwrap().unwrap();
        drop(second);
        assert_eq!(decoding.bytes_held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn imports_leave_turns_and_memory_to_writes() {
        let decoding =
            std::sync::Arc::new(Decoding::new((8, 2), 64 << 20, 1000, Duration::from_secs(10)));
        let first = decoding.take_step().await.unwrap();
        let second = decoding.take_step().await.unwrap();
        let ask = || {
            let decoding = std::sync::Arc::clone(&decoding);
            tokio::spawn(async move { decoding.take_step().await })
        };
        let third = ask();
        tokio::task::yield_now().await;
        let fourth = ask();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!third.is_finished() && !fourth.is_finished());
        let write = decoding.take(1 << 20, false).await;
        assert!(write.is_ok(), "a write does not wait for imports");
        // Who waits longest is next; a step that ends and comes again is behind both.
        drop(first);
        let again = ask();
        let third = third.await.unwrap().unwrap();
        assert!(!fourth.is_finished() && !again.is_finished());
        drop(second);
        let _fourth = fourth.await.unwrap().unwrap();
        assert!(!again.is_finished());
        drop(third);
        again.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_import_has_its_turn_in_the_smallest_server() {
        let decoding = Decoding::new((1, 1), 1 << 10, 1, Duration::ZERO);
        assert!(decoding.take_step().await.is_ok());
    }

    #[test]
    fn the_largest_body_has_room_for_its_samples() {
        for bytes_max in [1 << 20, 32 << 20, 64 << 20, 1 << 30] {
            let decoding = Decoding::new((4, 2), bytes_max, 1_000_000, Duration::ZERO);
            let most = decoding.largest() + decoding.samples_max() * SAMPLE_BYTES;
            assert!(most <= decoding.bytes_max(), "{bytes_max}");
        }
    }
}
