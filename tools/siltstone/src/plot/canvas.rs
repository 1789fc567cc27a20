//! Cells of eight dots: braille characters (U+2800), two dots wide and four high, each in one colour.

/// The bits of the dots of a cell, by row and column.
const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Dots and marks. Colours are numbers of series; the last that is drawn in a cell has it.
#[derive(Debug)]
pub(super) struct Canvas {
    columns: usize,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    dots: u8,
    /// Drawn in place of the dots.
    mark: Option<char>,
    colour: usize,
}

/// A dot: columns from the left, rows from the top.
pub(super) type Dot = (usize, usize);

impl Canvas {
    /// An empty canvas; neither side is 0.
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        Self { columns, cells: vec![Cell::default(); columns * rows] }
    }

    /// Dots in a row, and rows of dots.
    pub(super) fn dots(&self) -> Dot {
        (self.columns * 2, self.cells.len() / self.columns * 4)
    }

    /// Sets a dot; one outside is left out.
    pub(super) fn dot(&mut self, (x, y): Dot, colour: usize) {
        let (columns, rows) = self.dots();
        if x < columns && y < rows {
            let cell = &mut self.cells[y / 4 * self.columns + x / 2];
            cell.dots |= BITS[y % 4][x % 2];
            cell.colour = colour;
        }
    }

    /// Sets the dots from one to another, both included (Bresenham).
    pub(super) fn line(&mut self, from: Dot, to: Dot, colour: usize) {
        let signed = |(x, y): Dot| (x as i64, y as i64);
        let ((mut x, mut y), (to_x, to_y)) = (signed(from), signed(to));
        let (width, height) = ((to_x - x).abs(), -(to_y - y).abs());
        let (right, down) = ((to_x - x).signum(), (to_y - y).signum());
        let mut error = width + height;
        loop {
            self.dot((x as usize, y as usize), colour);
            if (x, y) == (to_x, to_y) {
                return;
            }
            let twice = 2 * error;
            if twice >= height {
                error += height;
                x += right;
            }
            if twice <= width {
                error += width;
                y += down;
            }
        }
    }

    /// Draws a character over the cell of a dot, unless one is there already; whether it was drawn.
    pub(super) fn mark(&mut self, (x, y): Dot, mark: char, colour: usize) -> bool {
        let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) else { return false };
        if cell.mark.is_some() {
            return false;
        }
        (cell.mark, cell.colour) = (Some(mark), colour);
        true
    }

    /// The cells of a row: what is drawn, and in which colour unless nothing is.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (char, Option<usize>)> {
        let cells = &self.cells[row * self.columns..(row + 1) * self.columns];
        cells.iter().map(|cell| {
            let dots = char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' ');
            match cell.mark {
                Some(mark) => (mark, Some(cell.colour)),
                None if cell.dots == 0 => (' ', None),
                None => (dots, Some(cell.colour)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(canvas: &Canvas) -> Vec<String> {
        let rows = canvas.dots().1 / 4;
        (0..rows).map(|row| canvas.row(row).map(|(cell, _)| cell).collect()).collect()
    }

    #[test]
    fn dots_are_bits_of_their_cell() {
        // Dot 1 is at the upper left, dot 8 at the lower right; the code chart of Unicode has both.
        for (dot, character) in [
            ((0, 0), '⠁'),
            ((0, 1), '⠂'),
            ((0, 2), '⠄'),
            ((0, 3), '⡀'),
            ((1, 0), '⠈'),
            ((1, 1), '⠐'),
            ((1, 2), '⠠'),
            ((1, 3), '⢀'),
        ] {
            let mut canvas = Canvas::new(1, 1);
            canvas.dot(dot, 3);
            assert_eq!(canvas.row(0).collect::<Vec<_>>(), [(character, Some(3))], "{dot:?}");
        }
        let mut canvas = Canvas::new(2, 1);
        canvas.dot((2, 1), 0);
        canvas.dot((3, 2), 1);
        canvas.dot((4, 0), 1);
        canvas.dot((0, 4), 1);
        assert_eq!(canvas.row(0).collect::<Vec<_>>(), [(' ', None), ('⠢', Some(1))]);
    }

    #[test]
    fn lines_touch_both_ends_in_every_direction() {
        let (left, right) = (0, 7);
        for (from, to) in [((left, 0), (right, 7)), ((right, 7), (left, 0))] {
            let mut canvas = Canvas::new(4, 2);
            canvas.line(from, to, 0);
            assert_eq!(text(&canvas), ["⠑⢄  ", "  ⠑⢄"]);
        }
        let mut canvas = Canvas::new(4, 1);
        canvas.line((7, 2), (0, 2), 0);
        assert_eq!(text(&canvas), ["⠤⠤⠤⠤"]);
        let mut canvas = Canvas::new(1, 2);
        canvas.line((1, 7), (1, 0), 0);
        assert_eq!(text(&canvas), ["⢸", "⢸"]);
        let mut canvas = Canvas::new(1, 1);
        canvas.line((1, 1), (1, 1), 0);
        assert_eq!(text(&canvas), ["⠐"]);
    }

    #[test]
    fn marks_are_over_dots_and_stay() {
        let mut canvas = Canvas::new(2, 1);
        canvas.line((0, 0), (3, 0), 0);
        assert!(canvas.mark((1, 3), 'A', 1));
        assert!(!canvas.mark((0, 0), 'B', 0));
        canvas.dot((2, 1), 2);
        assert_eq!(canvas.row(0).collect::<Vec<_>>(), [('A', Some(1)), ('⠋', Some(2))]);
        assert!(!canvas.mark((0, 4), 'C', 1));
    }
}
