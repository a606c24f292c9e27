//! Performatives and frame bodies in the notation of protocol traces.

use super::Performative;
use crate::codec::{Decode, Encode, Reader};
use crate::value::{Payload, Quoted, Value};
use std::fmt;

/// A frame body as it is on the wire, for protocol traces: the performative and the head of the
/// payload, or `(EMPTY FRAME)`. Works for SASL frames too. A body that cannot be decoded appears
/// as quoted octets.
#[derive(Debug, Clone, Copy)]
pub struct FrameBody<'a>(pub &'a [u8]);

// === impl FrameBody ===

impl fmt::Display for FrameBody<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_str("(EMPTY FRAME)");
        }
        let mut r = Reader::new(self.0);
        match Value::decode(&mut r) {
            Ok(value) => write!(out, "{value}")?,
            Err(error) => return write!(out, "(MALFORMED FRAME: {error}) {}", Quoted(self.0)),
        }
        if r.is_empty() { Ok(()) } else { write!(out, "{}", Payload(r.remaining())) }
    }
}

// === impl Performative ===

/// The notation of [`FrameBody`], with the fields as this crate encodes them. Meant for traces:
/// it builds the whole encoding.
impl fmt::Display for Performative {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", FrameBody(&self.to_bytes()))
    }
}
