//! Clients joined to a real router through ports, in virtual time.

mod flow;
mod messages;
mod opening;
mod streams;
mod world;
