//! Columns of `i64` as divisor, predictor, packed residuals and patches: what decimal values,
//! ordered values and timestamps have in common.
//!
//! The encoder tries the orders that it is given and keeps the cheapest. The decoder works a run of
//! 64 rows at a time on the stack: unpack, patch, integrate, hand on. FORMAT.md, "Residuals".

use super::SUB_BLOCK_ROWS;
use super::bitpack::{self, RUN, Unpacker, WIDTH_MAX};
use super::divisor::{common_divisor, quotients};
use super::planes::{self, PlaneReader};
use super::predict::{Integrator, Order, residuals};
use super::window::{Window, WindowChooser};
use crate::types::DecodeError;
use crate::types::varint::{get_i64, get_u64, put_i64, put_u64, take, take_array, zigzag};

/// How residuals are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Bit-packed: the smallest on its own and the fastest. What a flush writes.
    #[default]
    Packed,
    /// Byte-aligned planes: larger on their own, smaller where a group of chunks is compressed
    /// together.
    Planes,
}

const ORDER_MASK: u8 = 0b11;
const HAS_DIVISOR: u8 = 1 << 2;
const HAS_PATCHES: u8 = 1 << 3;
const IS_PLANES: u8 = 1 << 4;
const FLAGS: u8 = ORDER_MASK | HAS_DIVISOR | HAS_PATCHES | IS_PLANES;

/// The fields in front of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) order: Order,
    pub(super) form: Form,
    /// Bits a residual.
    pub(super) width: usize,
    /// At least 1.
    pub(super) divisor: u64,
    first: i64,
    slope: i64,
    base: i64,
    /// Residuals outside the window.
    pub(super) patches: usize,
}

impl Head {
    fn put(&self, out: &mut Vec<u8>) {
        let mut flags = self.order as u8;
        flags |= if self.divisor > 1 { HAS_DIVISOR } else { 0 };
        flags |= if self.patches > 0 { HAS_PATCHES } else { 0 };
        flags |= if self.form == Form::Planes { IS_PLANES } else { 0 };
        out.extend_from_slice(&[flags, self.width as u8]);
        if self.divisor > 1 {
            put_u64(out, self.divisor);
        }
        put_i64(out, self.first);
        if self.order.has_slope() {
            put_i64(out, self.slope);
        }
        put_i64(out, self.base);
        if self.patches > 0 {
            put_u64(out, self.patches as u64);
        }
    }

    fn take(input: &mut &[u8], count: usize) -> Result<Self, DecodeError> {
        let [flags, width] = take_array(input, "head of residuals")?;
        if flags & !FLAGS != 0 {
            return Err(DecodeError::Invalid("flags of residuals"));
        }
        let order = Order::from_code(flags & ORDER_MASK)?;
        let form = if flags & IS_PLANES == 0 { Form::Packed } else { Form::Planes };
        let width = usize::from(width);
        if width > WIDTH_MAX {
            return Err(DecodeError::Invalid("width of residuals"));
        }
        let divisor = if flags & HAS_DIVISOR == 0 { 1 } else { get_u64(input)? };
        if divisor > i64::MAX as u64 || (flags & HAS_DIVISOR != 0 && divisor < 2) {
            return Err(DecodeError::Invalid("divisor of residuals"));
        }
        let first = get_i64(input)?;
        let slope = if order.has_slope() { get_i64(input)? } else { 0 };
        let base = get_i64(input)?;
        let patches = if flags & HAS_PATCHES == 0 { 0 } else { get_u64(input)? };
        if patches > count as u64 || (flags & HAS_PATCHES != 0 && patches == 0) {
            return Err(DecodeError::Invalid("number of patches"));
        }
        Ok(Self { order, form, width, divisor, first, slope, base, patches: patches as usize })
    }

    fn payload_len(&self, count: usize) -> usize {
        match self.form {
            Form::Packed => bitpack::packed_len(count, self.width),
            Form::Planes => planes::planes_len(count, self.width),
        }
    }
}

/// Encodes columns; owns the scratch.
pub(super) struct ResidualEncoder {
    quotients: Vec<i64>,
    candidate: Vec<i64>,
    best: Vec<i64>,
    /// (index of the residual, residual - base)
    patches: Vec<(u32, i64)>,
    chooser: WindowChooser,
}

impl ResidualEncoder {
    pub(super) fn new() -> Self {
        let column = || Vec::with_capacity(SUB_BLOCK_ROWS);
        Self {
            quotients: column(),
            candidate: column(),
            best: column(),
            patches: Vec::with_capacity(SUB_BLOCK_ROWS / 32),
            chooser: WindowChooser::new(),
        }
    }

    /// Appends `ints` (1 to [`SUB_BLOCK_ROWS`] of them) under the cheapest of `orders`. What is
    /// written for the rows in `holes` (ascending) is free: they follow their neighbours.
    pub(super) fn encode(
        &mut self,
        ints: &[i64],
        holes: &[u32],
        orders: &[Order],
        form: Form,
        out: &mut Vec<u8>,
    ) -> Head {
        assert!((1..=SUB_BLOCK_ROWS).contains(&ints.len()), "the caller cuts sub-blocks");
        let divisor = common_divisor(ints);
        self.quotients.clear();
        quotients(ints, divisor, &mut self.quotients);
        fill_holes(&mut self.quotients, holes);
        let (order, slope, window) = self.choose(orders, form);
        self.split_patches(window, form);
        let (base, width) = (window.base, window.width);
        let patches = self.patches.len();
        let head = Head { order, form, width, divisor, first: ints[0], slope, base, patches };
        head.put(out);
        match form {
            Form::Packed => bitpack::pack(self.best.iter().map(|&r| r as u64), width, out),
            Form::Planes => planes::pack(&self.best, width, out),
        }
        let mut next = 0;
        for &(index, distance) in &self.patches {
            put_u64(out, u64::from(index - next));
            put_i64(out, distance);
            next = index + 1;
        }
        head
    }

    /// Leaves the residuals of the cheapest order in `best`.
    fn choose(&mut self, orders: &[Order], form: Form) -> (Order, i64, Window) {
        let mut chosen: Option<(Order, i64, Window)> = None;
        for &order in orders {
            let slope = slope_of(&self.quotients, order, &mut self.candidate);
            residuals(&self.quotients, order, slope, &mut self.candidate);
            let mut window = match form {
                Form::Packed => self.chooser.packed(&self.candidate),
                Form::Planes => self.chooser.planes(&self.candidate),
            };
            window.cost += if order.has_slope() { 12 } else { 0 };
            if chosen.is_none_or(|(.., best)| window.cost < best.cost) {
                chosen = Some((order, slope, window));
                std::mem::swap(&mut self.best, &mut self.candidate);
            }
        }
        chosen.expect("there is at least one order to try")
    }

    /// Takes the base off the residuals in `best` and moves those outside the window to `patches`.
    fn split_patches(&mut self, window: Window, form: Form) {
        self.patches.clear();
        let mask = if window.width == WIDTH_MAX { 0 } else { u64::MAX << window.width };
        for (index, residual) in self.best.iter_mut().enumerate() {
            let distance = residual.wrapping_sub(window.base);
            let written = if form == Form::Packed { distance as u64 } else { zigzag(distance) };
            *residual = distance;
            if written & mask != 0 {
                self.patches.push((index as u32, distance));
                *residual = 0;
            }
        }
    }
}

/// The slope that `order` keeps beside the residuals of `quotients`.
fn slope_of(quotients: &[i64], order: Order, scratch: &mut Vec<i64>) -> i64 {
    match order {
        Order::Plain | Order::Delta => 0,
        // As if the second difference of row 2 had been there before, so that row 1 fits as well.
        Order::DeltaOfDelta => match *quotients {
            [first, second, ..] => {
                first.wrapping_sub(second.wrapping_sub(first).wrapping_sub(first))
            }
            [first] => first,
            [] => 0,
        },
        Order::Grid => {
            residuals(quotients, Order::Delta, 0, scratch);
            let middle = scratch.len() / 2;
            match scratch.is_empty() {
                true => 0,
                false => *scratch.select_nth_unstable(middle).1,
            }
        }
    }
}

/// Draws a straight line across each run of holes. `quotients` are of rows 1..; row 0 is zero.
fn fill_holes(quotients: &mut [i64], holes: &[u32]) {
    for run in holes.chunk_by(|a, b| *b == *a + 1) {
        let (start, end) = (run[0] as usize, run[0] as usize + run.len());
        if start == 0 {
            // Row 0 repeats the first value that is no hole: all of these quotients are zero.
            continue;
        }
        let before = start.checked_sub(2).map_or(0, |k| quotients[k]);
        let after = quotients.get(end - 1).copied().unwrap_or(before);
        let rise = i128::from(after) - i128::from(before);
        for (k, quotient) in quotients[start - 1..end - 1].iter_mut().enumerate() {
            let share = rise * (k as i128 + 1) / (run.len() as i128 + 1);
            *quotient = (i128::from(before) + share) as i64;
        }
    }
}

/// Takes a column of `rows` values (1 to [`SUB_BLOCK_ROWS`]) from the front of `input` and hands
/// row 0, then the others in runs, to `emit`: each call has the rows after the last one's.
pub(super) fn decode(
    input: &mut &[u8],
    rows: usize,
    mut emit: impl FnMut(&[i64]),
) -> Result<Head, DecodeError> {
    let count = rows - 1;
    let head = Head::take(input, count)?;
    let payload = take(input, head.payload_len(count), "packed residuals")?;
    emit(&[head.first]);
    let integrator = Integrator::new(head.order, head.first, head.divisor, head.slope, head.base);
    let patches = Patches::new(head.patches, input)?;
    match head.form {
        Form::Packed => {
            let mut unpacker = Unpacker::new(payload, count, head.width)?;
            decode_runs(count, |run| unpacker.run(run), patches, integrator, emit)?;
        }
        Form::Planes => {
            let mut reader = PlaneReader::new(payload, count, head.width)?;
            decode_runs(count, |run| reader.run(run), patches, integrator, emit)?;
        }
    }
    Ok(head)
}

#[inline(always)]
fn decode_runs(
    count: usize,
    mut unpack: impl FnMut(&mut [i64; RUN]),
    mut patches: Patches<'_, '_>,
    mut integrator: Integrator,
    mut emit: impl FnMut(&[i64]),
) -> Result<(), DecodeError> {
    let mut buffer = [0i64; RUN];
    for start in (0..count).step_by(RUN) {
        unpack(&mut buffer);
        let run = &mut buffer[..RUN.min(count - start)];
        patches.apply(start, run)?;
        integrator.run(run);
        emit(run);
    }
    patches.finish()
}

/// The patches of one column, read in step with its runs.
struct Patches<'a, 'b> {
    input: &'a mut &'b [u8],
    left: usize,
    /// Index of the residual that the next patch replaces; `usize::MAX` if there is none.
    index: usize,
}

impl<'a, 'b> Patches<'a, 'b> {
    fn new(count: usize, input: &'a mut &'b [u8]) -> Result<Self, DecodeError> {
        let mut patches = Self { input, left: count, index: usize::MAX };
        patches.advance(0)?;
        Ok(patches)
    }

    /// Reads where the next patch goes: at or after residual `from`.
    fn advance(&mut self, from: usize) -> Result<(), DecodeError> {
        if self.left == 0 {
            self.index = usize::MAX;
            return Ok(());
        }
        let gap = get_u64(self.input)?;
        if gap >= SUB_BLOCK_ROWS as u64 {
            return Err(DecodeError::Invalid("place of a patch"));
        }
        self.index = from + gap as usize;
        Ok(())
    }

    /// Replaces the residuals of the run that starts at `start`.
    #[inline]
    fn apply(&mut self, start: usize, run: &mut [i64]) -> Result<(), DecodeError> {
        while let Some(residual) = run.get_mut(self.index.wrapping_sub(start)) {
            *residual = get_i64(self.input)?;
            self.left -= 1;
            self.advance(self.index + 1)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), DecodeError> {
        if self.left == 0 { Ok(()) } else { Err(DecodeError::Invalid("place of a patch")) }
    }
}
