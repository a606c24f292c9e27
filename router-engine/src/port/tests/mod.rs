//! Clients joined to a real router through ports, in virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod egress;
mod flow;
mod fuzz;
mod messages;
mod opening;
mod policy;
mod streams;
mod world;
