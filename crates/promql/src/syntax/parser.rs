//! The state of a parse, its limits, and what every rule of the grammar uses.

use siltstone::Patterns;

use super::lexer::Lexer;
use super::token::{Token, TokenKind};
use crate::ast::{Ast, Binary, Expr, ExprId, ExprKind, Span, UnaryOp, ValueType};
use crate::error::{Fault, ParseError};
use crate::flags::Features;

/// Longest query that is parsed, in bytes.
pub const QUERY_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of parentheses, calls and aggregations, and of operands in lengths of time.
pub const DEPTH_MAX: usize = 512;

/// Most nodes of a query's tree, those of its lengths of time included.
pub const NODES_MAX: usize = 100_000;

/// Parses a query and checks its types.
///
/// ```
/// use siltstone_promql::{Features, parse, print};
/// let ast = parse("sum(rate(http_requests_total[5m])) by (job)", &Features::default())?;
/// assert_eq!(print(&ast), "sum by (job) (rate(http_requests_total[5m]))");
/// let error = parse("sum(http_requests_total[5m])", &Features::default()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "1:5: parse error: expected type instant vector in aggregation expression, got range vector"
/// );
/// # Ok::<(), siltstone_promql::ParseError>(())
/// ```
///
/// # Errors
/// [`ParseError`] says where and why `text` is not a query, which part of it `features` does not
/// allow, or which limit it exceeds: [`QUERY_BYTES_MAX`], [`DEPTH_MAX`], [`NODES_MAX`],
/// [`MATCHERS_MAX`](super::MATCHERS_MAX), [`REGEXES_MAX`](super::REGEXES_MAX).
pub fn parse(text: &str, features: &Features) -> Result<Ast, ParseError> {
    parse_with(text, features, &mut Patterns::default())
}

/// As [`parse`], for a request that has other regular expressions as well: `patterns` compiles those of this
/// query with them, within their bound.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    text: &str,
    features: &Features,
    patterns: &mut Patterns,
) -> Result<Ast, ParseError> {
    within("query", text, QUERY_BYTES_MAX)
        .and_then(|()| Parser::new(text, *features, patterns).query())
        .map_err(|fault| ParseError::new(text, fault))
}

/// Bytes of a tree for each token of its text: the largest node with what it points to, in a `Vec` that grows.
const TREE_BYTES_PER_TOKEN: u64 = 512;

/// The most bytes that the tree of `text` takes while [`parse`] makes it and afterwards, regular expressions
/// apart, which [`Patterns`] bounds: for whoever counts memory before it is taken. Looks at each byte once and
/// takes no memory itself. 0 for a text that is too long to be parsed.
///
/// Each node begins with a token of its own, so tokens are counted, up to where the text is no query.
///
/// ```
/// use siltstone_promql::tree_bytes_max;
/// assert!(tree_bytes_max("rate(http_requests_total[5m])") < 10_000);
/// // A long text has a large tree only if it has many parts.
/// assert!(tree_bytes_max(&format!("up{{pod=~\"{}\"}}", "web|".repeat(10_000))) < 100_000);
/// assert!(tree_bytes_max(&format!("1{}", "+1".repeat(10_000))) > 1_000_000);
/// ```
#[must_use]
pub fn tree_bytes_max(text: &str) -> u64 {
    if text.len() > QUERY_BYTES_MAX {
        return 0;
    }
    let mut lexer = Lexer::new(text);
    // A node of an operator comes with its right operand, so that there is never more than one behind.
    let ends = |token: &Token| token.kind == TokenKind::End;
    let tokens = (0..=NODES_MAX).take_while(|_| lexer.next().is_ok_and(|token| !ends(&token)));
    (tokens.count() as u64 + 1) * TREE_BYTES_PER_TOKEN + text.len() as u64
}

/// Refuses a text of more than `bytes_max` bytes; `what` names it.
pub(super) fn within(what: &str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let message = format!("the {what} is longer than the limit of {bytes_max} bytes");
    Err(Fault::new(Span::new(bytes_max, text.len()), message))
}

/// The rule that an unexpected token breaks: what it is a part of, and what it takes there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// As in `unexpected .. in CONTEXT`; empty for none.
    pub(super) context: &'static str,
    /// As in `.., expected EXPECTED`; empty for none.
    pub(super) expected: &'static str,
}

/// An operator whose right operand is not complete.
#[derive(Debug)]
pub(super) enum Pending {
    Unary {
        op: UnaryOp,
        span: Span,
    },
    /// Its right operand is not set.
    Binary(Box<Binary>),
}

/// One parse of one text.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) features: Features,
    lexer: Lexer<'a>,
    /// The next token, if it has been looked at.
    next: Option<Token>,
    /// The end of the last token that was taken.
    taken_end: u32,
    /// The tree so far, in post-order.
    pub(super) nodes: Vec<Expr>,
    /// Nodes of lengths of time.
    length_nodes: usize,
    /// Operators of all expressions that are open, innermost last.
    pub(super) pending: Vec<Pending>,
    depth: usize,
    /// How many aggregations are open: Prometheus blames the innermost for what it does not expect.
    pub(super) aggregations: usize,
    /// What compiles regular expressions.
    pub(super) patterns: &'a mut Patterns,
    /// Those that were there before.
    pub(super) patterns_before: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, features: Features, patterns: &'a mut Patterns) -> Self {
        Self {
            text,
            features,
            lexer: Lexer::new(text),
            next: None,
            taken_end: 0,
            // Most queries have fewer nodes, and grow once or never.
            nodes: Vec::with_capacity(16),
            length_nodes: 0,
            pending: Vec::new(),
            depth: 0,
            aggregations: 0,
            patterns_before: patterns.count(),
            patterns,
        }
    }

    fn query(mut self) -> Result<Ast, Fault> {
        if self.peek()?.kind == TokenKind::End {
            return Err(Fault::new(Span::default(), "no expression found in input"));
        }
        let root = self.expression()?;
        self.expect_end()?;
        self.check_types(root)?;
        Ok(Ast::new(self.nodes))
    }

    pub(super) fn expect_end(&mut self) -> Result<(), Fault> {
        let token = self.peek()?;
        if token.kind == TokenKind::End { Ok(()) } else { Err(self.unexpected_token(token)) }
    }

    /// The next token, which stays the next.
    pub(super) fn peek(&mut self) -> Result<Token, Fault> {
        match self.next {
            Some(token) => Ok(token),
            None => Ok(*self.next.insert(self.lexer.next()?)),
        }
    }

    /// Takes the next token.
    pub(super) fn bump(&mut self) -> Result<Token, Fault> {
        let token = match self.next.take() {
            Some(token) => token,
            None => self.lexer.next()?,
        };
        self.taken_end = token.span.end;
        Ok(token)
    }

    /// The end of the last token that was taken.
    pub(super) fn taken_end(&self) -> u32 {
        self.taken_end
    }

    /// Takes the next token if it is of this kind.
    pub(super) fn accept(&mut self, kind: TokenKind) -> Result<Option<Token>, Fault> {
        if self.peek()?.kind == kind { self.bump().map(Some) } else { Ok(None) }
    }

    /// Takes the next token, which must be of this kind by `rule`.
    pub(super) fn expect(&mut self, kind: TokenKind, rule: Rule) -> Result<Token, Fault> {
        let token = self.peek()?;
        if token.kind == kind { self.bump() } else { Err(self.unexpected(token, rule)) }
    }

    /// Takes items with commas between them, and the token `close` behind the last one or behind a
    /// comma; returns that token. `rule` is broken by what follows an item and is neither.
    pub(super) fn list(
        &mut self,
        close: TokenKind,
        rule: Rule,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<Token, Fault> {
        loop {
            if let Some(token) = self.accept(close)? {
                return Ok(token);
            }
            item(self)?;
            if self.accept(TokenKind::Comma)?.is_none() {
                return self.expect(close, rule);
            }
        }
    }

    /// What `span` covers of the text.
    pub(super) fn written(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    /// The error of a token that `rule` does not take.
    pub(super) fn unexpected(&self, token: Token, rule: Rule) -> Fault {
        let mut message = format!("unexpected {}", token.kind.describe(self.written(token.span)));
        for (word, what) in [(" in ", rule.context), (", expected ", rule.expected)] {
            if !what.is_empty() {
                message.push_str(word);
                message.push_str(what);
            }
        }
        Fault::new(token.span, message)
    }

    /// The rule of the grammar of expressions.
    pub(super) fn expression_rule(&self) -> Rule {
        Rule { context: if self.aggregations > 0 { "aggregation" } else { "" }, expected: "" }
    }

    /// The error of a token that the grammar of expressions does not take.
    pub(super) fn unexpected_token(&self, token: Token) -> Fault {
        self.unexpected(token, self.expression_rule())
    }

    /// Runs `rule` one level deeper; `span` is what nests.
    pub(super) fn nested<T>(
        &mut self,
        span: Span,
        rule: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            let message = format!("the query is nested deeper than the limit of {DEPTH_MAX}");
            return Err(Fault::new(span, message));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// Appends an expression whose operands stand before it.
    pub(super) fn push(
        &mut self,
        kind: ExprKind,
        span: Span,
        value_type: ValueType,
    ) -> Result<ExprId, Fault> {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.count_node(span)?;
        self.nodes.push(Expr { kind, span, value_type });
        Ok(ExprId(id))
    }

    fn count_node(&self, span: Span) -> Result<(), Fault> {
        if self.nodes.len() + self.length_nodes < NODES_MAX {
            return Ok(());
        }
        let message = format!("the query has more than the limit of {NODES_MAX} parts");
        Err(Fault::new(span, message))
    }

    /// Counts a node of a length of time.
    pub(super) fn count_length_node(&mut self, span: Span) -> Result<(), Fault> {
        self.count_node(span)?;
        self.length_nodes += 1;
        Ok(())
    }

    pub(super) fn node(&self, id: ExprId) -> &Expr {
        &self.nodes[id.index()]
    }

    pub(super) fn node_mut(&mut self, id: ExprId) -> &mut Expr {
        &mut self.nodes[id.index()]
    }
}
