//! A Prometheus that scrapes `/federate`, and one that scrapes itself and sends its metadata here.

use serde_json::json;
use siltstone_server_testing::client::get;
use siltstone_server_testing::harness::{Server, percent, server};

use crate::program::wait;
use crate::prometheus::Prometheus;

/// A Prometheus that scrapes `/federate` has what is stored here, in each format that it may ask for.
#[test]
fn it_takes_what_is_federated() {
    let server = server();
    let now = server.db.options().clock.wall_ms() / 1000 * 1000;
    let body = format!(
        "up{{job=\"a\",q=\"x\\\"y\\\\z\\nw\"}} 1.5 {now}\nload{{job=\"b\"}} +Inf {now}\n\
         {{\"دما\",\"شهر.نام\"=\"یزد\"}} -3e21 {now}\n"
    );
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status, 204);
    for protocol in ["PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText1.0.0"] {
        let configuration = format!(
            "scrape_configs:\n- job_name: federated\n  honor_labels: true\n  scrape_interval: 1s\n  \
             scrape_timeout: 1s\n  scrape_protocols: [{protocol}]\n  metrics_path: /federate\n  \
             params: {{\"match[]\": ['{{job!=\"\"}}', '{{\"شهر.نام\"!=\"\"}}']}}\n  \
             static_configs: [{{targets: [\"{}\"]}}]\n",
            server.address
        );
        let Some(prometheus) = Prometheus::start(&configuration) else { return };
        let query = |selector: &str| {
            let path = format!("/api/v1/query?query={}", percent(selector));
            get(prometheus.address, &path).json()["data"]["result"].clone()
        };
        // Those that Prometheus makes of each scrape have the job of the scrape.
        let mine = "{__name__=~\".+\",job!=\"federated\"}";
        wait(protocol, || query(mine).as_array().is_some_and(|found| !found.is_empty()));
        let up = query("up{job=\"a\"}");
        assert_eq!(up[0]["metric"]["q"], "x\"y\\z\nw", "{protocol}: {up}");
        assert_eq!(up[0]["metric"].get("instance"), None, "{protocol}: {up}");
        assert_eq!(up[0]["value"][1], "1.5");
        let at = query("timestamp(up{job=\"a\"})");
        assert_eq!(at[0]["value"][1], (now / 1000).to_string(), "{protocol}");
        assert_eq!(query("load{job=\"b\"}")[0]["value"][1], "+Inf", "{protocol}");
        // The old format has no letters for these names.
        let is_old = protocol == "PrometheusText0.0.4";
        let other = if is_old {
            "___{_______=\"یزد\"}"
        } else {
            "{\"دما\",\"شهر.نام\"=\"یزد\"}"
        };
        assert_eq!(query(other)[0]["value"][1], "-3e+21", "{protocol}");
    }
}

/// What it says of its own metrics by remote write comes back from both alike.
#[test]
fn its_metadata_is_known_here() {
    let server = server();
    let Some(prometheus) = Prometheus::start(&scraping_itself(&server)) else { return };
    let wanted = "/api/v1/metadata?metric=prometheus_build_info";
    wait("metadata comes", || server.get(wanted).json()["data"] != json!({}));
    let ours = server.get(wanted).json();
    assert_eq!(ours, get(prometheus.address, wanted).json());
    assert_eq!(ours["data"]["prometheus_build_info"][0]["type"], "gauge");
}

/// A configuration in which Prometheus scrapes itself at the address that it is told, and writes here.
fn scraping_itself(server: &Server) -> String {
    format!(
        "scrape_configs:\n- job_name: itself\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
         static_configs: [{{targets: [\"ADDRESS\"]}}]\n\
         remote_write:\n- url: http://{}/api/v1/write\n  \
         metadata_config: {{send: true, send_interval: 1s}}\n",
        server.address
    )
}
