//! Tests of the conformance runner itself: that it reads scripts as the format says, and that it
//! complains of everything that is wrong.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod checks_of_reading;
mod checks_of_running;
mod checks_of_the_whole;
mod compare;
mod expect;
mod histogram;
mod language;
mod model;
mod nhcb;
mod run;
mod scan;
mod script;
mod series;
mod store;
mod times;
mod under_test;
mod verdict;
