"""Asks the server at the URL of the first argument by `prometheus-api-client`; prints the answers as JSON."""

import json
import sys
from datetime import datetime, timezone

from prometheus_api_client import PrometheusConnect

URL = sys.argv[1]
START, END = (datetime.fromtimestamp(s, timezone.utc) for s in (1767225600, 1767225660))


def answers(method):
    """All answers to requests of one HTTP method."""
    client = PrometheusConnect(url=URL, timeout=60, method=method)
    return {
        "connected": client.check_prometheus_connection(),
        "all_metrics": sorted(client.all_metrics()),
        "label_names": sorted(client.get_label_names()),
        "label_values": sorted(client.get_label_values("job")),
        "series": client.get_series(START, END, params={"match[]": "requests_total"}),
        "query": client.custom_query("sum by (job) (requests_total)", params={"time": 1767225660}),
        "range": client.custom_query_range("requests_total", START, END, "30s"),
        "raw": client.get_metric_range_data("requests_total", {"job": "db"}, START, END),
        "metadata": client.get_metric_metadata("requests_total"),
    }


print(json.dumps([answers(method) for method in ("GET", "POST")]))
