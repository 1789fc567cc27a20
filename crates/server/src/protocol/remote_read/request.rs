//! `prometheus.ReadRequest`: which series, in which time, and how the answer may be written.
//!
//! Everything is bounded before it is kept: the number of queries and of their matchers, and by one
//! [`PatternBudget`](siltstone::PatternBudget) for the request what their regular expressions compile to.

use std::fmt;

use siltstone::{MatchOp, Matcher, MatcherError, Patterns};

use crate::protocol::WireError;
use crate::protocol::protobuf::{self, Reader, Tag, WireType};

/// Most queries of one request.
pub const QUERIES_MAX: usize = 100;
/// Most matchers of one query.
pub const MATCHERS_MAX: usize = 100;

/// The matcher types, in the order of their numbers.
const MATCH_OPS: [MatchOp; 4] =
    [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

/// A request, decoded.
#[derive(Debug, Clone, Default)]
pub struct ReadRequest {
    /// At most [`QUERIES_MAX`]; each is answered by itself, in this order.
    pub queries: Vec<Query>,
    /// How the answer may be written, the preferred way first; those that are not known are left out.
    pub accepted: Vec<ResponseType>,
    /// Whether the request names a way that is not known.
    accepts_others: bool,
}

/// Which series in which time.
#[derive(Debug, Clone)]
pub struct Query {
    /// First millisecond since the epoch.
    pub start_ms: i64,
    /// Last millisecond since the epoch, which is included.
    pub end_ms: i64,
    /// At most [`MATCHERS_MAX`], which a series must satisfy all; without any, all series are meant.
    pub matchers: Vec<Matcher>,
}

/// A way to write the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// `SAMPLES`: all samples in one message.
    Samples = 0,
    /// `STREAMED_XOR_CHUNKS`: a stream of frames with compressed chunks.
    StreamedXorChunks = 1,
}

/// Why a request was refused; queries and matchers are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadRequestError {
    /// Not well-formed on the wire.
    Wire(WireError),
    /// More than [`QUERIES_MAX`] queries.
    TooManyQueries,
    /// More than [`MATCHERS_MAX`] matchers.
    TooManyMatchers {
        /// Which query.
        query: usize,
    },
    /// The name or value of a matcher is not UTF-8.
    NotUtf8 {
        /// Which query.
        query: usize,
        /// Which of its matchers.
        matcher: usize,
    },
    /// A comparison that does not exist.
    MatcherType {
        /// Which query.
        query: usize,
        /// Which of its matchers.
        matcher: usize,
        /// The number found.
        found: u64,
    },
    /// A regular expression was refused.
    Matcher {
        /// Which query.
        query: usize,
        /// Which of its matchers.
        matcher: usize,
        /// What is wrong.
        source: MatcherError,
    },
    /// The request accepts only kinds of answers that are not known here.
    NoResponseType,
}

impl fmt::Display for ReadRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(source) => source.fmt(f),
            Self::TooManyQueries => {
                write!(f, "more than {QUERIES_MAX} queries in one request: send several requests")
            }
            Self::TooManyMatchers { query } => {
                write!(f, "query {query}: more than {MATCHERS_MAX} matchers")
            }
            Self::NotUtf8 { query, matcher } => {
                write!(f, "query {query}, matcher {matcher}: the name or value is not valid UTF-8")
            }
            Self::MatcherType { query, matcher, found } => write!(
                f,
                "query {query}, matcher {matcher}: the type {found} is none of 0 (=), 1 (!=), \
                 2 (=~) and 3 (!~)"
            ),
            Self::Matcher { query, matcher, source } => {
                write!(f, "query {query}, matcher {matcher}: {source}")
            }
            Self::NoResponseType => f.write_str(
                "none of the accepted response types is known: ask for STREAMED_XOR_CHUNKS or \
                 SAMPLES",
            ),
        }
    }
}

impl std::error::Error for ReadRequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Wire(source) => Some(source),
            Self::Matcher { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<WireError> for ReadRequestError {
    fn from(source: WireError) -> Self {
        Self::Wire(source)
    }
}

impl ReadRequest {
    /// A request to be sent, which accepts these ways to answer.
    #[must_use]
    pub fn new(queries: Vec<Query>, accepted: Vec<ResponseType>) -> Self {
        Self { queries, accepted, accepts_others: false }
    }

    /// Reads `body`, a request after snappy.
    ///
    /// # Errors
    /// [`ReadRequestError`] says what is wrong and where.
    pub fn decode(body: &[u8]) -> Result<Self, ReadRequestError> {
        Self::decode_with(body, &mut Patterns::default())
    }

    /// As [`ReadRequest::decode`]; `patterns` compiles the regular expressions of all queries.
    ///
    /// # Errors
    /// As [`ReadRequest::decode`].
    pub fn decode_with(body: &[u8], patterns: &mut Patterns) -> Result<Self, ReadRequestError> {
        let mut request = Self::default();
        let mut reader = Reader::new(body);
        while let Some(tag) = reader.tag()? {
            match tag.number {
                1 => {
                    tag.expect(WireType::Bytes, "ReadRequest.queries")?;
                    if request.queries.len() == QUERIES_MAX {
                        return Err(ReadRequestError::TooManyQueries);
                    }
                    let number = request.queries.len() + 1;
                    let query = Query::decode(reader.message()?, number, patterns)?;
                    request.queries.push(query);
                }
                2 => request.read_accepted(&mut reader, tag)?,
                _ => reader.skip(tag)?,
            }
        }
        Ok(request)
    }

    /// Reads one accepted response type, or a packed list of them.
    fn read_accepted(&mut self, reader: &mut Reader<'_>, tag: Tag) -> Result<(), WireError> {
        if tag.wire_type != WireType::Bytes {
            tag.expect(WireType::Varint, "ReadRequest.accepted_response_types")?;
            self.accept(reader.varint()?);
            return Ok(());
        }
        let mut packed = reader.message()?;
        while !packed.rest().is_empty() {
            self.accept(packed.varint()?);
        }
        Ok(())
    }

    fn accept(&mut self, number: u64) {
        let known = [ResponseType::Samples, ResponseType::StreamedXorChunks]
            .into_iter()
            .find(|kind| *kind as u64 == number);
        match known {
            // A list of repetitions takes no memory.
            Some(kind) if !self.accepted.contains(&kind) => self.accepted.push(kind),
            Some(_) => {}
            None => self.accepts_others = true,
        }
    }

    /// The first way to answer that is accepted; without a list it is [`ResponseType::Samples`].
    ///
    /// # Errors
    /// [`ReadRequestError::NoResponseType`] if there is a list of others only.
    pub fn response_type(&self) -> Result<ResponseType, ReadRequestError> {
        match self.accepted.first() {
            Some(kind) => Ok(*kind),
            None if self.accepts_others => Err(ReadRequestError::NoResponseType),
            None => Ok(ResponseType::Samples),
        }
    }

    /// The message, as a client sends it after snappy.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (mut out, mut query, mut matcher) = (Vec::new(), Vec::new(), Vec::new());
        for Query { start_ms, end_ms, matchers } in &self.queries {
            query.clear();
            protobuf::write_integer(1, start_ms.cast_unsigned(), &mut query);
            protobuf::write_integer(2, end_ms.cast_unsigned(), &mut query);
            for condition in matchers {
                matcher.clear();
                let number = MATCH_OPS.iter().position(|op| *op == condition.op()).unwrap_or(0);
                protobuf::write_integer(1, number as u64, &mut matcher);
                protobuf::write_bytes(2, condition.name().as_bytes(), &mut matcher);
                protobuf::write_bytes(3, condition.value().as_bytes(), &mut matcher);
                protobuf::write_bytes(3, &matcher, &mut query);
            }
            protobuf::write_bytes(1, &query, &mut out);
        }
        for kind in &self.accepted {
            protobuf::write_integer(2, *kind as u64, &mut out);
        }
        out
    }
}

impl Query {
    fn decode(
        mut message: Reader<'_>,
        number: usize,
        patterns: &mut Patterns,
    ) -> Result<Self, ReadRequestError> {
        let mut query = Self { start_ms: 0, end_ms: 0, matchers: Vec::new() };
        while let Some(tag) = message.tag()? {
            match tag.number {
                1 => {
                    tag.expect(WireType::Varint, "Query.start_timestamp_ms")?;
                    query.start_ms = message.varint()?.cast_signed();
                }
                2 => {
                    tag.expect(WireType::Varint, "Query.end_timestamp_ms")?;
                    query.end_ms = message.varint()?.cast_signed();
                }
                3 => {
                    tag.expect(WireType::Bytes, "Query.matchers")?;
                    if query.matchers.len() == MATCHERS_MAX {
                        return Err(ReadRequestError::TooManyMatchers { query: number });
                    }
                    let place = (number, query.matchers.len() + 1);
                    query.matchers.push(matcher(message.message()?, place, patterns)?);
                }
                _ => message.skip(tag)?,
            }
        }
        Ok(query)
    }
}

/// Reads a matcher; `place` is its query's number and its own.
fn matcher(
    mut message: Reader<'_>,
    place: (usize, usize),
    patterns: &mut Patterns,
) -> Result<Matcher, ReadRequestError> {
    let (query, matcher) = place;
    let (mut op, mut name, mut value) = (0, &[][..], &[][..]);
    while let Some(tag) = message.tag()? {
        match tag.number {
            1 => {
                tag.expect(WireType::Varint, "LabelMatcher.type")?;
                op = message.varint()?;
            }
            2 => {
                tag.expect(WireType::Bytes, "LabelMatcher.name")?;
                name = message.bytes()?;
            }
            3 => {
                tag.expect(WireType::Bytes, "LabelMatcher.value")?;
                value = message.bytes()?;
            }
            _ => message.skip(tag)?,
        }
    }
    let found = op;
    let op = usize::try_from(found).ok().and_then(|number| MATCH_OPS.get(number).copied());
    let op = op.ok_or(ReadRequestError::MatcherType { query, matcher, found })?;
    let text = |bytes| {
        std::str::from_utf8(bytes).map_err(|_| ReadRequestError::NotUtf8 { query, matcher })
    };
    let refused = |source| ReadRequestError::Matcher { query, matcher, source };
    patterns.matcher(op, text(name)?, text(value)?).map_err(refused)
}
