//! What Prometheus answers about rules, alerts and targets, from a server that has none: it neither
//! scrapes nor evaluates rules. The shapes are those of a Prometheus without any, so that clients find
//! the lists that they expect.

use siltstone::{Cancel, Patterns};
use siltstone_promql::parse_selector_with;

use super::query::{flag, invalid, malformed, number};
use crate::call::Call;
use crate::envelope::success;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// `/api/v1/rules`: its filters are checked, and leave nothing out.
pub(crate) async fn rules(call: Call) -> Result<Reply, Refusal> {
    let params = checked(call, |params, patterns| {
        if let Some(kind) = params.get("type").filter(|kind| !matches!(*kind, "alert" | "record")) {
            return Err(invalid("type", format!("not supported value {kind:?}")));
        }
        flag(params, "exclude_alerts")?;
        number(params, "group_limit")?;
        params.all("match[]").try_for_each(|text| selector("match[]", text, patterns))
    });
    params.await?;
    Ok(success("{\"groups\":[]}"))
}

/// `/api/v1/alerts`
pub(crate) async fn alerts(_call: Call) -> Result<Reply, Refusal> {
    Ok(success("{\"alerts\":[]}"))
}

/// `/api/v1/targets`: the counts of dropped targets belong to the states that show them.
pub(crate) async fn targets(call: Call) -> Result<Reply, Refusal> {
    let params = checked(call, |_, _| Ok(())).await?;
    let state = params.get("state").unwrap_or("any").to_ascii_lowercase();
    let counts = if matches!(&*state, "any" | "dropped") { "{}" } else { "null" };
    Ok(success(format!(
        "{{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{counts}}}"
    )))
}

/// `/api/v1/targets/metadata`
pub(crate) async fn targets_metadata(call: Call) -> Result<Reply, Refusal> {
    let params = checked(call, |params, patterns| {
        number(params, "limit")?;
        params.get("match_target").map_or(Ok(()), |text| selector("match_target", text, patterns))
    });
    params.await?;
    Ok(success("[]"))
}

/// `/api/v1/scrape_pools`
pub(crate) async fn scrape_pools(_call: Call) -> Result<Reply, Refusal> {
    Ok(success("{\"scrapePools\":[]}"))
}

/// `/api/v1/alertmanagers`
pub(crate) async fn alertmanagers(_call: Call) -> Result<Reply, Refusal> {
    Ok(success("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}"))
}

/// The parameters of a request, if `check` accepts them.
async fn checked(
    call: Call,
    check: impl FnOnce(&Params, &mut Patterns) -> Result<(), Refusal> + Send + 'static,
) -> Result<Params, Refusal> {
    let Call { app, params, place, .. } = call;
    let work = move || {
        // Regular expressions are compiled.
        let mut patterns = app.compiler(&Cancel::default(), app.query_deadline());
        check(&params, &mut patterns).map(|()| params)
    };
    place.run(work).await?
}

fn selector(name: &str, text: &str, patterns: &mut Patterns) -> Result<(), Refusal> {
    parse_selector_with(text, patterns)
        .map(|_| ())
        .map_err(|error| malformed(name, error, patterns))
}
