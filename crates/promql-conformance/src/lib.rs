//! Runs Prometheus's own test scripts over an implementation of its query language.
//!
//! Two test programs use it: that of `siltstone-promql`, over series in memory, and that of
//! `siltstone-query`, over stores. An implementation is a [`language::Language`]; [`run::run_script`]
//! runs a script over it in every [`language::Setting`] and reports the cases that it misses.
//!
//! The scripts are not part of the project. They are read from the directory that
//! `SILTSTONE_PROMQLTEST` names, or else from `../shared/promqltest` beside the project.

#[cfg(test)]
mod checks;
mod compare;
mod expect;
mod histogram;
pub mod language;
pub mod model;
mod nhcb;
pub mod run;
mod scan;
mod script;
pub mod scripts;
mod series;
pub mod store;
mod times;
pub mod under_test;
pub mod verdict;
