//! Selectors of the Prometheus query language.
