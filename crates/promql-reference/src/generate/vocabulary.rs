//! What random queries are made of.

/// The names, numbers and texts of random queries.
#[derive(Debug)]
pub struct Vocabulary {
    /// Deepest nesting.
    pub depth_max: u32,
    /// Whether what is about native histograms and `info` is left out.
    pub floats_only: bool,
    /// Names of metrics.
    pub metrics: &'static [&'static str],
    /// First matchers of selectors without a name; none matches the empty text.
    pub unnamed: &'static [&'static str],
    /// Labels in matchers.
    pub labels: &'static [&'static str],
    /// Values in matchers.
    pub texts: &'static [&'static str],
    /// Labels that make groups.
    pub groups: &'static [&'static str],
    /// Labels that make matches; none is among `copied`.
    pub keys: &'static [&'static str],
    /// Labels that `group_left` and `group_right` copy.
    pub copied: &'static [&'static str],
    /// Texts as arguments.
    pub strings: &'static [&'static str],
    /// Numbers.
    pub numbers: &'static [&'static str],
    /// Lengths of time, without a sign.
    pub lengths: &'static [&'static str],
    /// `@` modifiers.
    pub at: &'static [&'static str],
}

/// For parsers and printers: words that are also names, escapes, all kinds of numbers.
pub const ANY_TEXT: Vocabulary = Vocabulary {
    depth_max: 6,
    floats_only: false,
    metrics: &[
        "a",
        "b_total",
        "job:x:rate5m",
        "sum",
        "offset",
        "and",
        "start",
        "anchored",
        "fill",
        "by",
    ],
    unnamed: &["\"a.b\"", "x=\"1\"", "'دما'", "x!=\"\"", "__name__=~\"a.+\""],
    labels: &["a", "sum", "by", "\"a b\"", "inf", "_x1"],
    texts: &["\"\"", "'v'", "`\\d`", "\"\\u0645\\n\"", "\"a\\\"b\""],
    groups: &["a", "offset", "\"a.b\"", "le", "bool"],
    keys: &["a", "job", "by", "\"a b\""],
    copied: &["x", "sum", "'دما'"],
    strings: &["\"s\"", "'it\\'s'", "`raw\\`", "\"a\\xc5z\"", "\"دما\\t\"", "\"\""],
    numbers: &[
        "0", "1", "1.5", ".5", "1e10", "1e-9", "0x1F", "017", "1_000", "Inf", "NaN", "5m", "1h30m",
        "1ms",
    ],
    lengths: &["1s", "5m", "1h30m", "300", "1.5", "1y2w3d4h5m6s7ms", "0x10", "90d"],
    at: &[" @ 1.5", " @ -3", "@start()", "@ end( )", " @ 1e9", "@5m"],
};

/// For evaluators: what finds something in the series of [`case`](super::case), and lengths that
/// suit their times.
pub const OF_SERIES: Vocabulary = Vocabulary {
    depth_max: 4,
    floats_only: true,
    metrics: &["a", "a", "b_total", "c_bucket", "a", "b_total", "c_bucket", "nothing"],
    unnamed: &[
        "x=\"1\"",
        "x!=\"\"",
        "__name__=~\"a|b.*\"",
        "y=~\"u|v\"",
        "__name__!=\"a\",x=~\".+\"",
    ],
    labels: &["x", "y", "z"],
    texts: &["\"1\"", "\"\"", "\"u\""],
    groups: &["x", "y", "z", "le", "none"],
    keys: &["x", "y", "z", "none"],
    copied: &["le", "new"],
    strings: &[
        "\"x\"",
        "\"y\"",
        "\"$1\"",
        "\"(.*)\"",
        "\"__name__\"",
        "\"u\"",
        "\"\"",
        "\"new\"",
        "\".+\"",
    ],
    numbers: &["1", "2", "0", "0.5", "0.9", "3", "-1", "0.25", "100", "Inf", "NaN", "-Inf", "1.5"],
    lengths: &["1m", "30s", "5m", "15s", "2m", "20s", "7s", "90s", "10m", "1s"],
    at: &[" @ 60", " @ -30", " @ start()", " @ end()", " @ 100.5", " @ 1000"],
};

/// For evaluators that must not fall over: numbers and times at all ends.
pub const WILD: Vocabulary = Vocabulary {
    depth_max: 6,
    floats_only: false,
    numbers: &[
        "1",
        "0",
        "-1",
        "0.5",
        "1e30",
        "-1e30",
        "1e-300",
        "Inf",
        "NaN",
        "-Inf",
        "1e308",
        "9223372036854775807",
        "-9223372036854775808",
        "4294967296",
    ],
    lengths: &["1m", "1ms", "5m", "292y", "1y", "0.001", "1e9", "9e9", "100y", "1s"],
    at: &[
        " @ 60",
        " @ -1e15",
        " @ 1e15",
        " @ start()",
        " @ end()",
        " @ 9.2e15",
        " @ -9.2e15",
        " @ 0.0005",
    ],
    ..OF_SERIES
};
