//! Two engines talking to each other in virtual time.

mod alloc;
mod flow;
mod fuzz;
mod limits;
mod links;
mod liveness;
mod opening;
mod pair;
mod streaming;
