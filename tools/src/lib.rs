//! `skmanage` and `skstat`: routers managed and watched from the command line.
//!
//! ```text
//!   bin/skmanage    bin/skstat
//!        |               |
//!   skmanage         skstat        what is asked, and how the answers are shown
//!        |    \     /    |
//!        |   network     |         routers, neighbours, costs and edges, as management tells them
//!        |       |    display      cells, tables, CSV, JSON, colours
//!        cli     |       |         options of both, usage errors, completions, man pages
//!          \     |      /
//!            client                one AMQP connection: TLS, SASL, requests, replies, paged queries
//!              |
//!            value                 AMQP values and JSON
//! ```
//!
//! Nothing here knows the router's insides: to it the tools are a client as any other, and they work with the C router
//! as well.

pub mod cli;
pub mod client;
pub mod display;
pub mod error;
pub mod network;
pub mod skmanage;
pub mod skstat;
pub mod value;

pub use error::Error;

/// The release of skupper-router that the tools are compatible with, which `--version` prints.
pub const VERSION: &str = "3.5.0";
