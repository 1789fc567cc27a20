//! Lost samples as JSON, for the commands that list them.

use serde_json::{Map, Value, json};
use siltstone::LostSamples;

/// What is lost; times are in ticks. `series` is null if the labels cannot be read.
pub(crate) fn lost_json(lost: &LostSamples) -> Value {
    let series = lost.labels.as_ref().map(|labels| {
        let pairs = labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        pairs.collect::<Map<String, Value>>()
    });
    json!({
        "series": series,
        "first": lost.first,
        "last": lost.last,
        "samples": lost.samples,
        "times_are_known": lost.times_are_known,
        "file": lost.path.to_string_lossy(),
        "offset": lost.offset,
    })
}
