//! Random selectors: series, ranges, offsets, and the lengths of time in them.
//!
//! [`query`](super) writes them where an expression ends, and subqueries where one is a range vector.

use siltstone_promql::ast::ValueType;

use super::Generator;

impl Generator<'_> {
    pub(super) fn matrix(&mut self, deep: bool) {
        if deep || !self.one_in(4) {
            self.series();
            self.write("[");
            self.length();
            self.write("]");
            self.mode();
        } else {
            let is_primary = self.one_in(2);
            if is_primary {
                self.selector()
            } else {
                self.parens(ValueType::Vector)
            }
            self.write("[");
            self.length();
            self.write(":");
            if self.one_in(2) {
                self.length();
            }
            self.write("]");
        }
        self.shift();
    }

    pub(super) fn selector(&mut self) {
        self.series();
        self.shift();
        self.mode();
    }

    fn series(&mut self) {
        let named = !self.one_in(4);
        if named {
            self.pick_text(self.words.metrics);
        }
        if named && self.one_in(2) {
            return;
        }
        self.write("{");
        let count = (self.choose)(3);
        let mut separator = "";
        if !named {
            self.pick_text(self.words.unnamed);
            separator = ",";
        }
        for _ in 0..count {
            self.write(separator);
            self.pick_text(self.words.labels);
            self.pick_text(&["=", " != "]);
            self.pick_text(self.words.texts);
            separator = " , ";
        }
        if self.one_in(3) && !separator.is_empty() {
            self.write(",");
        }
        self.write("}");
    }

    fn shift(&mut self) {
        let order = (self.choose)(6);
        // Half of the selectors have no shift, a third has both parts, in either order.
        for part in [order % 2, 1 - order % 2] {
            match (order, part) {
                (0..=2, _) => {}
                (_, 0) => {
                    self.write(" offset ");
                    self.offset();
                }
                (4.., _) => {
                    self.pick_text(self.words.at);
                }
                _ => {}
            }
        }
    }

    fn mode(&mut self) {
        if self.features.extended_ranges && self.one_in(6) {
            self.pick_text(&[" anchored", " SMOOTHED"]);
        }
    }

    fn offset(&mut self) {
        let lengths = self.features.duration_expressions;
        match (self.choose)(if lengths { 6 } else { 2 }) {
            0 => self.pick_text(self.words.lengths),
            1 => {
                self.pick_text(&["-", "+ "]);
                self.pick_text(self.words.lengths);
            }
            2 => self.pick_text(&["step()", "-range()", "min_of(step(), 5m)", "-max_of(1,2)"]),
            _ => {
                self.pick_text(&["", "-", "+"]);
                self.write("(");
                self.length_expression();
                self.write(")");
            }
        }
    }

    fn length(&mut self) {
        self.pick_text(self.words.lengths);
        // Behind an operator, because a negative literal alone is refused.
        if self.features.duration_expressions && self.one_in(4) {
            self.pick_text(&["+", " - ", "*", "/", "%", "^"]);
            self.length_expression();
        }
    }

    fn length_expression(&mut self) {
        self.depth += 1;
        match if self.depth > self.words.depth_max { 0 } else { (self.choose)(6) } {
            0 => self.pick_text(self.words.lengths),
            1 => self.pick_text(&["step()", "RANGE()", "1.5", "2", "1e3"]),
            2 => {
                self.pick_text(&["-", "+"]);
                self.length_expression();
            }
            3 => {
                self.write("(");
                self.length_expression();
                self.write(")");
            }
            4 => {
                self.pick_text(&["min_of(", "max_of("]);
                self.length_expression();
                self.write(",");
                self.length_expression();
                self.write(")");
            }
            _ => {
                self.length_expression();
                self.pick_text(&["+", " - ", "*", "/", "%", "^"]);
                self.length_expression();
            }
        }
        self.depth -= 1;
    }
}
