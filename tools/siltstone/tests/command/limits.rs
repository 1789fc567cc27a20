//! Every limit of the server, in each row one kind of client that goes beyond it: what it is answered, by how
//! much the server's memory grows meanwhile, and whether a healthy client is served beside it ([`beside`]).
//!
//! How long the healthy client waits is printed and not judged. What many kinds do at the same time, and for
//! longer, is in `tools/siege`; a disk that is full or fails is in `failing`.

mod beside;
mod messages;
mod promql;
mod requests;
mod sizes;
mod slow;
mod wrong;
