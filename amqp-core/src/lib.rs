//! Sans-IO AMQP 1.0 engine.
//!
//! Bytes in, bytes out, events out: no sockets, no clock, no threads. Layers, bottom up:
//! [`codec`] (primitive encodings) and [`value`] (owned values for cold paths), [`frame`] and
//! [`performative`] (what travels in frames), [`message`] (sections inside a payload), [`sasl`],
//! and on top the [`engine`]: connection, session, link and delivery state machines.
//! The crate knows nothing of routers.

pub mod codec;
pub mod engine;
pub mod frame;
pub mod message;
pub mod performative;
pub mod sasl;
pub mod time;
pub mod value;

pub use time::Instant;
pub use value::Value;
