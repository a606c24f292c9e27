//! All input and output of the router: sockets, TLS, TCP services, HTTP for operators, and the clock.
//!
//! ```text
//!  amqp::{listener, connector} --> amqp::driver --- router_engine::port::AmqpPort
//!                                      |                        |
//!                                  transport (plain | tls)   mailbox, streams, core
//!                                      |                        |
//!  tcp::{listener, connector} --> tcp::flow ------- router_engine::stream
//!
//!  http::listener --> http::connection --- hyper --- pages of the router, files
//! ```
//!
//! AMQP and HTTP listeners differ in what becomes of their connections, and share the rest: [`listening`].
//!
//! One task owns one socket; only listening ones ([`sockets`]) are shared. Tasks meet only in mailboxes and
//! body streams of `router-engine`; octets read into a pooled segment travel as shared views to the task
//! that writes them. Every task has an owner in [`tasks`].

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests have tasks of their own"))]

pub mod amqp;
pub mod clock;
pub mod figures;
pub mod files;
pub mod health;
pub mod histogram;
pub mod http;
pub mod http_service;
pub mod listening;
pub mod net;
pub mod observe;
pub mod pool;
pub mod proxy_protocol;
pub mod random;
pub mod resolver;
mod retry;
pub mod runtime;
pub mod sasl;
mod service_socket;
pub mod sockets;
mod start;
pub mod tasks;
pub mod tcp;
pub mod tls;
pub mod transport;
