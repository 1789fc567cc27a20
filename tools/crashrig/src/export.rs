//! Reads what Siltstone exports over HTTP.

use std::io;

use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, query_value};
use siltstone_rig::json_line;

use crate::compare::{Sample, SeriesLabels, SeriesSet};

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_line(line: &[u8]) -> Result<(SeriesLabels, Vec<Sample>), String> {
    let line = json_line::parse(line)?;
    Ok((SeriesLabels::new(line.labels), line.samples))
}

/// Calls `visit` with each line of an export of the series that `selector` matches.
///
/// # Errors
/// If the export does not come whole or a line cannot be read.
pub(crate) fn for_each_line(
    client: &mut HttpClient,
    selector: &str,
    mut visit: impl FnMut(SeriesLabels, Vec<Sample>),
) -> Result<(), RigError> {
    let target = format!("/api/v1/export?match[]={}", query_value(selector));
    let mut number = 0u64;
    let answer = client
        .get_lines(&target, &mut |line| {
            number += 1;
            let (labels, samples) = parse_line(line).map_err(|what| {
                let start = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number}: {what}: {start}"),
                )
            })?;
            visit(labels, samples);
            Ok(())
        })
        .map_err(RigError::io(format!("exporting {selector}")))?;
    answer.map_err(|response| RigError::failed(format!("exporting {selector}: {response}")))
}

/// Everything that `selector` matches.
///
/// # Errors
/// As [`for_each_line`].
pub(crate) fn read_all(client: &mut HttpClient, selector: &str) -> Result<SeriesSet, RigError> {
    let mut set = SeriesSet::default();
    for_each_line(client, selector, |labels, samples| set.add(labels, samples))?;
    Ok(set)
}
