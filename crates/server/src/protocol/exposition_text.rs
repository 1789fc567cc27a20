//! The text exposition formats as they are written: what `/federate` answers.
//!
//! The counterpart of [`super::exposition`]. Two formats, Prometheus 0.0.4 and OpenMetrics 1.0, and two
//! ways to write names that the old format has no letters for: `underscores` puts `_` in their place,
//! `allow-utf-8` writes them in quotes. Numbers look as Go writes them (`%g`), and so as in Prometheus.

use std::borrow::Cow;

use siltstone_promql::go_float::format_g;

use super::exposition::Dialect;
use super::number::write_integer;

/// Writes samples, those of one metric one after the other.
#[derive(Debug, Clone)]
pub struct ExpositionWriter {
    dialect: Dialect,
    /// Names that the old format has no letters for are written in quotes.
    utf8: bool,
    /// The metric whose head was written last.
    metric: String,
}

impl ExpositionWriter {
    /// A writer of `dialect`; `utf8` is the escaping `allow-utf-8`.
    #[must_use]
    pub fn new(dialect: Dialect, utf8: bool) -> Self {
        Self { dialect, utf8, metric: String::new() }
    }

    /// Appends a sample of the metric `name` with `labels`, after the line of its type (unknown)
    /// where the metric is another than before. `timestamp_ms` is in milliseconds since the Unix
    /// epoch.
    pub fn sample<'a>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        (timestamp_ms, value): (i64, f64),
        out: &mut Vec<u8>,
    ) {
        let name = self.escaped(name, true);
        let is_quoted = !is_word(&name, true);
        if self.metric != name {
            self.metric.clear();
            self.metric.push_str(&name);
            out.extend_from_slice(b"# TYPE ");
            if is_quoted {
                push_quoted(&name, out)
            } else {
                out.extend_from_slice(name.as_bytes())
            }
            out.extend_from_slice(match self.dialect {
                Dialect::Prometheus => b" untyped\n",
                Dialect::OpenMetrics => b" unknown\n",
            });
        }
        let mut separator = b'{';
        if is_quoted {
            out.push(separator);
            push_quoted(&name, out);
            separator = b',';
        } else {
            out.extend_from_slice(name.as_bytes());
        }
        for (label, value) in labels {
            out.push(separator);
            separator = b',';
            let label = self.escaped(label, false);
            if is_word(&label, false) {
                out.extend_from_slice(label.as_bytes());
            } else {
                push_quoted(&label, out);
            }
            out.push(b'=');
            push_quoted(value, out);
        }
        if separator == b',' {
            out.push(b'}');
        }
        out.push(b' ');
        self.push_value(value, out);
        out.push(b' ');
        self.push_time(timestamp_ms, out);
        out.push(b'\n');
    }

    /// Appends what ends a page.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.dialect == Dialect::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    /// A name as the client can read it.
    fn escaped<'a>(&self, name: &'a str, is_metric: bool) -> Cow<'a, str> {
        if self.utf8 || is_word(name, is_metric) {
            return name.into();
        }
        let letter = |(at, c): (usize, char)| {
            let is_fine = is_letter(c, is_metric) || (c.is_ascii_digit() && at > 0);
            if is_fine { c } else { '_' }
        };
        name.char_indices().map(letter).collect::<String>().into()
    }

    fn push_value(&self, value: f64, out: &mut Vec<u8>) {
        let text = format_g(value);
        out.extend_from_slice(text.as_bytes());
        // Numbers of OpenMetrics are floats to the eye, too.
        let is_integer = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if self.dialect == Dialect::OpenMetrics && is_integer {
            out.extend_from_slice(b".0");
        }
    }

    /// Milliseconds, or for OpenMetrics seconds with three digits behind the point.
    fn push_time(&self, ms: i64, out: &mut Vec<u8>) {
        match self.dialect {
            Dialect::Prometheus => write_integer(ms, out),
            Dialect::OpenMetrics => {
                let size = ms.unsigned_abs();
                let sign = if ms < 0 { "-" } else { "" };
                let text = format!("{sign}{}.{:03}", size / 1000, size % 1000);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// Whether the old format has this name; colons are for metrics only.
fn is_word(name: &str, is_metric: bool) -> bool {
    let starts_well = name.chars().next().is_some_and(|c| is_letter(c, is_metric));
    starts_well && name.chars().all(|c| is_letter(c, is_metric) || c.is_ascii_digit())
}

fn is_letter(c: char, is_metric: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || (is_metric && c == ':')
}

fn push_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::exposition::parse_line;
    use super::*;

    fn page(dialect: Dialect, utf8: bool) -> String {
        let mut out = Vec::new();
        let mut writer = ExpositionWriter::new(dialect, utf8);
        let labels = [("job", "a\"b\\c\nd"), ("شهر", "یزد")];
        writer.sample("up", labels.into_iter(), (-1, 1.0), &mut out);
        writer.sample("up", [].into_iter(), (1_700_000_000_123, 1e21), &mut out);
        writer.sample("a:b", [("c:d", "")].into_iter(), (0, f64::NEG_INFINITY), &mut out);
        writer.sample("7 m", [].into_iter(), (5, 0.5), &mut out);
        writer.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_formats_and_both_escapings() {
        assert_eq!(
            page(Dialect::Prometheus, false),
            "# TYPE up untyped\nup{job=\"a\\\"b\\\\c\\nd\",___=\"یزد\"} 1 -1\n\
             up 1e+21 1700000000123\n\
             # TYPE a:b untyped\na:b{c_d=\"\"} -Inf 0\n\
             # TYPE __m untyped\n__m 0.5 5\n"
        );
        assert_eq!(
            page(Dialect::OpenMetrics, true),
            "# TYPE up unknown\nup{job=\"a\\\"b\\\\c\\nd\",\"شهر\"=\"یزد\"} 1.0 -0.001\n\
             up 1e+21 1700000000.123\n\
             # TYPE a:b unknown\na:b{\"c:d\"=\"\"} -Inf 0.000\n\
             # TYPE \"7 m\" unknown\n{\"7 m\"} 0.5 0.005\n# EOF\n"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
            let page = page(dialect, true);
            let lines = page.lines().map(|line| parse_line(line.as_bytes(), 1, dialect).unwrap());
            let samples: Vec<_> = lines.flatten().collect();
            assert_eq!(samples.len(), 4);
            assert_eq!(samples[0].labels[1], ("job".into(), "a\"b\\c\nd".into()));
            assert_eq!(samples[0].labels[2], ("شهر".into(), "یزد".into()));
            assert_eq!((samples[0].value, samples[0].timestamp_ms), (1.0, Some(-1)));
            assert_eq!(
                (samples[1].value, samples[1].timestamp_ms),
                (1e21, Some(1_700_000_000_123))
            );
            assert_eq!(samples[3].labels, [("__name__".into(), "7 m".into())]);
        }
    }
}
