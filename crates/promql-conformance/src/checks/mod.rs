//! Tests of the runner itself: that it reads scripts as the format says, and that it complains of
//! everything that is wrong.

mod reading;
mod running;
mod whole;
