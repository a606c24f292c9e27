//! HTTP listeners: pages that the router makes, such as its health and its figures, documents, and files.
//!
//! ```text
//!  listener --socket--> connection --(hyper)--> Site::answer --+--> pages (a thread that may wait for the core)
//!  [`listening`]        TLS, limits                            +--> documents (which are there already)
//!                                                              '--> files (threads that may wait for a disk)
//! ```
//!
//! A peer that asks for WebSocket becomes an AMQP connection ([`websocket`]), and is the workers' from then on.
//!
//! All other connections are tasks of one thread, which moves no other traffic and never waits. What a peer can make it hold:
//! 1,000 connections a listener ([`seats`]), of each 16 KiB of input and 64 KiB of output.
//!
//! [`listening`]: crate::listening

mod body;
mod connection;
mod documents;
mod files;
mod io;
mod listener;
mod seats;
mod site;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod timer;
mod websocket;

pub use documents::{Document, Documents, fingerprint};
pub use listener::{CreateError, Http, HttpParams, Listener};
pub use site::Page;
