//! Numbers.

use super::Generator;

impl Generator<'_> {
    pub(super) fn scalar(&mut self) -> String {
        if self.errs() {
            return self.deeper(Self::vector).text;
        }
        let deep = self.is_deep();
        match self.random.weighted(if deep { &[1] } else { &[60, 6, 10, 14, 4, 4] }) {
            0 => self.number(),
            1 => self.pick(&["time()", "pi()"]),
            2 => self.deeper(|g| {
                let operand = g.vector();
                format!("scalar({})", operand.text)
            }),
            3 => self.deeper(|g| {
                let (left, right) = (g.scalar(), g.scalar());
                let op = g.pick(&[
                    "+", "-", "*", "/", "%", "^", "atan2", "== bool", "< bool", ">= bool",
                    "!= bool",
                ]);
                format!("({left} {op} {right})")
            }),
            4 => self.deeper(|g| format!("-({})", g.scalar())),
            _ => self.deeper(|g| format!("({})", g.scalar())),
        }
    }

    fn number(&mut self) -> String {
        let small = self.random.between(-5, 20);
        match self.random.weighted(&[40, 30, 12, 6]) {
            0 => small.to_string(),
            1 => self.pick(&["0.5", "1.5", "2", "10", "100", "0.1", "1e3", "3", "50", "0.25"]),
            2 => self.pick(&["NaN", "Inf", "-Inf", "0", "-0", "1e-9", "1e300", "-1e17"]),
            _ => self.pick(&["5m", "0x1F", "1h", "017", "30s", "1_000", "1e9", "-.5"]),
        }
    }

    /// A quantile: between 0 and 1 mostly.
    pub(super) fn quantile(&mut self) -> String {
        match self.random.weighted(&[80, 15, 5]) {
            0 => self.pick(&["0.5", "0.9", "0.99", "0.1", "0.25", "0.333", "1", "0"]),
            1 => self.pick(&["-1", "2", "NaN", "Inf", "-Inf", "-0.1", "1.0001"]),
            _ => self.scalar(),
        }
    }
}
