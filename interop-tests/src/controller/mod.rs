//! A management client that puts octets on the wire as Skupper's controllers do, and takes only what they take.
//!
//! Their client is written in Go, and particular: it begins without SASL, asks for a dynamic address with an empty one,
//! selects attributes by an array of no strings, sends whatever width its integers have, and cannot decode arrays or keys
//! that are symbols. Everything here is made by hand from the AMQP standard, so that an error in the router's own codec is not
//! answered by the same error.

mod client;
mod value;

pub use client::{Controller, Reply};
pub use value::{Value, int, long, map, string};
