//! The words of Prometheus 3.5 for what 3.14 says in others: messages of errors, formatted queries.
//!
//! `known` compares with them the errors of evaluation, `judge` refusals of the parser and what
//! `format_query` answers.

/// The message about two series of one match group, with the series in order.
pub(super) fn match_series(message: &str) -> Option<(String, [String; 2])> {
    let (start, rest) = message.split_once(" hand-side of the operation: [")?;
    let (series, end) = rest.split_once("];many-to-many")?;
    let (first, second) = series.split_once("}, {")?;
    let mut series = [format!("{first}}}"), format!("{{{second}")];
    series.sort();
    Some((format!("{start}{end}"), series))
}

/// Whether both sides refuse a text for one reason, or 3.5 for one that is known to be its own.
pub(crate) fn same_refusal(theirs: &str, ours: &str) -> bool {
    // Its lexer of lengths has words of its own.
    let own = ["in duration expression: ", "unexpected colon "];
    parse_error(theirs) == parse_error(ours)
        || own.iter().any(|own| theirs.contains(own))
        || ours.contains("expected ':'")
        || theirs.ends_with("unexpected error")
}

/// A parse error with the words of 3.5 for those of 3.14.
fn parse_error(message: &str) -> String {
    let message = message.strip_prefix("invalid parameter \"query\": ").unwrap_or(message);
    let message = message
        .replace("number, duration, step(), or range()", "number or duration")
        .replace("number, duration, step(), range(), or ", "number or duration or ")
        .replace(" in grouping opts, expected \"(\"", "")
        .replace("subquery or range selector", "subquery selector");
    let mut out = String::new();
    let mut rest = message.as_str();
    while let Some((start, end)) = rest.split_once("\"<Item ") {
        out.push_str(start);
        rest = end.split_once(">\" ").map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// A formatted query without what 3.14 formats in another way: names in quotes in lists of labels (and
/// the lines that they make too long), `ignoring ()`, infinity, the empty second argument of `info`.
pub(crate) fn formatted(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    let mut out = String::new();
    let mut rest = text.as_str();
    // 3.5 loses the group of `ignoring ()`.
    while let Some((before, behind)) = rest.split_once("ignoring()") {
        out.push_str(before);
        let group = ["group_left(", "group_right("].iter().find_map(|g| behind.strip_prefix(g));
        rest = group.and_then(|group| group.split_once(')')).map_or(behind, |(_, rest)| rest);
    }
    (out + rest).replace("+Inf", "Inf").replace(",{})", ",)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_series_are_compared_in_any_order() {
        let message = |series: &str| {
            format!(
                "found duplicate series for the match group {{}} on the right hand-side of the \
                 operation: [{series}];many-to-many matching not allowed"
            )
        };
        let one = match_series(&message("{a=\"1\"}, {a=\"2\"}"));
        assert!(one.is_some());
        assert_eq!(one, match_series(&message("{a=\"2\"}, {a=\"1\"}")));
        assert_ne!(one, match_series(&message("{a=\"2\"}, {a=\"3\"}")));
    }

    #[test]
    fn words_of_older_parsers_are_exchanged() {
        let theirs =
            "invalid parameter \"query\": 1:1: parse error: unexpected \"<Item 57400>\" <op:@>";
        assert!(same_refusal(theirs, "1:1: parse error: unexpected <op:@>"));
        assert!(!same_refusal(theirs, "1:2: parse error: unexpected <op:@>"));
        assert_eq!(formatted("a + b"), formatted("a + ignoring () group_left (\"x\") b"));
        assert_ne!(formatted("a + b"), formatted("a + on () b"));
    }
}
