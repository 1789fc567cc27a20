//! The grammar: a loop over the pattern and a stack of the groups that are open.

use regex_syntax::hir::{ClassUnicode, Dot, Hir, Look};

use super::class::{CharSet, read_bracketed};
use super::escape::read_escape;
use super::fold;
use super::group::{Flags, Opening, read_opening};
use super::input::{Fault, Input};
use super::node::{NEST_MAX, Node, REPEAT_MAX};
use super::repeat::{Count, read_count};
use super::sets::read_perl;
use super::unicode;

/// Most ranges of characters that the classes of a pattern have together, 4 MiB, and characters that
/// are folded for them.
const CLASS_RANGES_MAX: usize = 1 << 19;

/// A pattern that was read.
#[derive(Debug)]
pub(in crate::types) struct Parsed {
    /// What it matches. Captures have numbers from 1 on and no names.
    pub(in crate::types) hir: Hir,
    /// The names of its captures from the first on. Names may come more than once.
    pub(in crate::types) names: Vec<Option<String>>,
}

/// Reads `pattern`.
///
/// # Errors
/// [`Fault`]: the first thing that is wrong, from the left.
pub(in crate::types) fn parse(pattern: &str) -> Result<Parsed, Fault> {
    let mut parser = Parser {
        input: Input::new(pattern),
        flags: Flags::START,
        outer: Vec::new(),
        group: Group::new(0, Flags::START, None),
        names: Vec::new(),
        class_ranges: 0,
    };
    parser.read()?;
    if !parser.outer.is_empty() {
        let start = parser.group.start;
        return Err(Fault { span: start..start + 1, message: "missing closing )" });
    }
    let hir = parser.finish_group()?.hir;
    Ok(Parsed { hir, names: parser.names })
}

struct Parser<'p> {
    input: Input<'p>,
    flags: Flags,
    /// The groups around the innermost one.
    outer: Vec<Group>,
    /// The innermost open group, or the whole pattern.
    group: Group,
    names: Vec<Option<String>>,
    /// How many ranges the classes took so far.
    class_ranges: usize,
}

/// A group that is open.
struct Group {
    /// Where its parenthesis is.
    start: usize,
    /// The flags in force before it.
    flags_before: Flags,
    /// The number of the capture, if it is one.
    capture: Option<u32>,
    /// The branches before the last `|`.
    branches: Vec<Node>,
    /// The parts of the branch that is being read.
    sequence: Vec<Node>,
    /// Literal characters after those parts.
    text: String,
}

impl Group {
    fn new(start: usize, flags_before: Flags, capture: Option<u32>) -> Self {
        let (branches, sequence) = (Vec::new(), Vec::new());
        Self { start, flags_before, capture, branches, sequence, text: String::new() }
    }

    fn push(&mut self, node: Node) {
        self.flush_text();
        self.sequence.push(node);
    }

    fn flush_text(&mut self) {
        if !self.text.is_empty() {
            self.sequence.push(Node::literal(&self.text));
            self.text.clear();
        }
    }

    /// What a repetition operator repeats: the last character or part.
    fn pop(&mut self) -> Option<Node> {
        match self.text.pop() {
            Some(c) => {
                self.flush_text();
                Some(Node::literal(c.encode_utf8(&mut [0; 4])))
            }
            None => self.sequence.pop(),
        }
    }

    fn finish_branch(&mut self) {
        self.flush_text();
        let branch = Node::sequence(std::mem::take(&mut self.sequence));
        // Of empty branches in a row one is enough.
        if !(branch.is_empty() && self.branches.last().is_some_and(Node::is_empty)) {
            self.branches.push(branch);
        }
    }
}

impl Parser<'_> {
    fn read(&mut self) -> Result<(), Fault> {
        // Where the repetition operator is that was read last, if nothing was read since.
        let mut operator = None;
        while let Some(c) = self.input.peek() {
            let start = self.input.at();
            if let Some(count) = read_count(&mut self.input)? {
                self.repeat(count, operator, start)?;
                operator = Some(start);
                continue;
            }
            operator = None;
            match c {
                '(' => self.open()?,
                ')' => self.close(start)?,
                '|' => {
                    self.input.next();
                    self.group.finish_branch();
                }
                '[' => {
                    let (fold, ranges) = (self.flags.fold, &mut self.class_ranges);
                    let class = read_bracketed(&mut self.input, fold, |input, count| {
                        charge(ranges, count, input, start)
                    })?;
                    self.group.push(Node::class(class));
                }
                '\\' => self.escape(start)?,
                _ => {
                    self.input.next();
                    self.plain(c);
                }
            }
        }
        Ok(())
    }

    /// Any character that begins nothing longer.
    fn plain(&mut self, c: char) {
        let multi_line = self.flags.multi_line;
        match c {
            '^' if multi_line => self.group.push(Node::look(Look::StartLF)),
            '^' => self.group.push(Node::look(Look::Start)),
            '$' if multi_line => self.group.push(Node::look(Look::EndLF)),
            '$' => self.group.push(Node::look(Look::End)),
            '.' if self.flags.dot_newline => self.group.push(Node::dot(Dot::AnyChar)),
            '.' => self.group.push(Node::dot(Dot::AnyCharExceptLF)),
            _ => self.literal(c),
        }
    }

    fn literal(&mut self, c: char) {
        match self.flags.fold.then(|| fold::folded(c)).flatten() {
            Some(class) => self.group.push(Node::class(class)),
            None => self.group.text.push(c),
        }
    }

    fn escape(&mut self, start: usize) -> Result<(), Fault> {
        let looks = [
            ("\\A", Look::Start),
            ("\\z", Look::End),
            ("\\b", Look::WordAscii),
            ("\\B", Look::WordAsciiNegate),
        ];
        if let Some((_, look)) = looks.iter().find(|(text, _)| self.input.eat(text)) {
            self.group.push(Node::look(*look));
            return Ok(());
        }
        if self.input.eat("\\Q") {
            self.quoted();
            return Ok(());
        }
        let mut set = CharSet::new(self.flags.fold);
        if let Some((class, negated)) = unicode::read_class(&mut self.input)? {
            charge(&mut self.class_ranges, class.ranges().len(), &self.input, start)?;
            set.add_class((class, negated));
        } else if let Some(named) = read_perl(&mut self.input) {
            set.add_named(named);
        } else {
            match char::from_u32(read_escape(&mut self.input)?) {
                Some(c) => self.literal(c),
                // A surrogate: no text holds one.
                None => self.group.push(Node::class(ClassUnicode::empty())),
            }
            return Ok(());
        }
        let (class, work) = set.finish();
        charge(&mut self.class_ranges, work, &self.input, start)?;
        self.group.push(Node::class(class));
        Ok(())
    }

    /// What follows `\Q`, up to `\E` or the end, literally.
    fn quoted(&mut self) {
        let bytes = self.input.rest().find("\\E").unwrap_or(self.input.rest().len());
        for c in self.input.take(bytes).chars() {
            self.literal(c);
        }
        self.input.eat("\\E");
    }

    /// Applies a repetition operator, read since `start`, to what is before it. `operator` is where
    /// one ends directly before this one, which RE2 does not allow.
    fn repeat(&mut self, count: Count, operator: Option<usize>, start: usize) -> Result<(), Fault> {
        let lazy = self.input.eat("?");
        if let Some(operator) = operator {
            return Err(self.input.fault(operator, "invalid nested repetition operator"));
        }
        let Some(node) = self.group.pop() else {
            return Err(self.input.fault(start, "missing argument to repetition operator"));
        };
        let node = node.repeat(count.min, count.max, lazy == self.flags.ungreedy);
        if count.copies() && node.copies > REPEAT_MAX {
            return Err(self.input.fault(start, "invalid repeat count"));
        }
        self.check_height(&node, start)?;
        self.group.push(node);
        Ok(())
    }

    fn open(&mut self) -> Result<(), Fault> {
        let start = self.input.at();
        let before = self.flags;
        let capture = match read_opening(&mut self.input, before)? {
            Opening::Switch(flags) => {
                self.flags = flags;
                return Ok(());
            }
            Opening::Plain(flags) => {
                self.flags = flags;
                None
            }
            Opening::Capture(name) => {
                self.names.push(name.map(str::to_owned));
                // Bounded by the length of a pattern.
                Some(self.names.len() as u32)
            }
        };
        if self.outer.len() >= NEST_MAX as usize {
            return Err(self.input.fault(start, TOO_DEEP));
        }
        self.group.flush_text();
        let group = Group::new(start, before, capture);
        self.outer.push(std::mem::replace(&mut self.group, group));
        Ok(())
    }

    fn close(&mut self, start: usize) -> Result<(), Fault> {
        self.input.next();
        let Some(outer) = self.outer.pop() else {
            return Err(self.input.fault(start, "unexpected )"));
        };
        let mut node = self.finish_group()?;
        let group = std::mem::replace(&mut self.group, outer);
        self.flags = group.flags_before;
        if let Some(index) = group.capture {
            node = node.capture(index);
            self.check_height(&node, group.start)?;
        }
        self.group.push(node);
        Ok(())
    }

    /// What the innermost group matches.
    fn finish_group(&mut self) -> Result<Node, Fault> {
        self.group.finish_branch();
        let node = Node::alternation(std::mem::take(&mut self.group.branches));
        self.check_height(&node, self.group.start)?;
        Ok(node)
    }

    fn check_height(&self, node: &Node, start: usize) -> Result<(), Fault> {
        match node.height <= NEST_MAX {
            true => Ok(()),
            false => Err(self.input.fault(start, TOO_DEEP)),
        }
    }
}

const TOO_DEEP: &str = "expression nests too deeply";

/// Counts `ranges` more in a pattern whose classes took `total` so far.
fn charge(total: &mut usize, ranges: usize, input: &Input<'_>, start: usize) -> Result<(), Fault> {
    *total += ranges;
    match *total <= CLASS_RANGES_MAX {
        true => Ok(()),
        false => Err(input.fault(start, "expression too large")),
    }
}
