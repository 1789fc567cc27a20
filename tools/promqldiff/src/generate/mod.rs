//! Random queries that mostly have answers: typed, over the metrics and labels that are stored.
//!
//! The parser's own tests have a generator that writes everything the grammar allows
//! (`siltstone-promql-reference`); over stored series nearly all of its queries are
//! empty. This one knows what a metric is, which labels an expression has, and which functions suit
//! it; a small share of what it writes is wrong on purpose.
//!
//! | Module | Writes |
//! |---|---|
//! | `vocabulary` | what there is to choose from |
//! | `selector` | selectors, ranges, subqueries, offsets and `@` |
//! | `vector` | instant vectors: functions of each sort |
//! | `aggregate` | aggregations |
//! | `binary` | operators and matching |
//! | `scalar` | numbers |
//! | `spoil` | breaks a finished query |
//! | `times` | what a query is evaluated at |

mod aggregate;
mod binary;
mod scalar;
mod selector;
mod spoil;
mod times;
mod vector;
mod vocabulary;

pub(crate) use spoil::spoil;
pub(crate) use times::times;
pub(crate) use vocabulary::Vocabulary;

use crate::random::Random;

/// Deepest nesting.
const DEPTH_MAX: u32 = 4;

/// An instant vector: its text, and labels that its series probably have.
#[derive(Debug, Clone, Default)]
struct Vector {
    text: String,
    labels: Vec<String>,
}

impl Vector {
    /// The text in parentheses, with the same labels.
    fn wrapped(self, before: &str, after: &str) -> Self {
        Self { text: format!("{before}{}{after}", self.text), labels: self.labels }
    }
}

struct Generator<'a> {
    random: Random,
    vocabulary: &'a Vocabulary,
    depth: u32,
    /// Of 100 expressions so many have a wrong type.
    wrong: u64,
}

/// A query over the vocabulary.
pub(crate) fn query(vocabulary: &Vocabulary, random: &mut Random) -> String {
    let wrong = if random.chance(5) { 8 } else { 0 };
    let seed = random.between(0, i64::MAX).cast_unsigned();
    let mut generator = Generator { random: Random::new(seed), vocabulary, depth: 0, wrong };
    let text = match generator.random.weighted(&[88, 6, 5, 1]) {
        0 => generator.vector().text,
        1 => generator.scalar(),
        2 => generator.matrix().0,
        _ => generator.string(),
    };
    if random.chance(4) { spoil(&text, random) } else { text }
}

impl Generator<'_> {
    fn pick(&mut self, of: &[&str]) -> String {
        (*self.random.pick(of)).to_owned()
    }

    /// Whether an expression is to have a wrong type.
    fn errs(&mut self) -> bool {
        self.wrong > 0 && self.random.chance(self.wrong)
    }

    fn string(&mut self) -> String {
        self.pick(&["\"job\"", "\"instance\"", "'x'", "\"le\"", "`a b`", "\"\"", "\"__name__\""])
    }

    /// Runs `write` one level deeper.
    fn deeper<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let written = write(self);
        self.depth -= 1;
        written
    }

    fn is_deep(&mut self) -> bool {
        // Half of the queries end early, so that shapes of all sizes come.
        self.depth >= DEPTH_MAX || (self.depth >= 1 && self.random.chance(25))
    }
}
