//! Every bound of a port, in one place.

use crate::stream::StreamLimits;

/// A turn stops filling the output at this many octets.
pub const OUTPUT_TARGET: usize = 256 * 1024;

/// Payload octets that one link may send before the others get their turn.
pub const LINK_SHARE: usize = 64 * 1024;

/// Events of the engine that one turn handles.
pub const EVENTS_PER_TURN: usize = 1024;

/// Received octets that wait to be looked at before reading pauses.
pub const INPUT_MAX: usize = 256 * 1024;

/// An incomplete message is forwarded as a stream once this many octets of it are held
/// (spec `amqp-endpoint.md` 16.3).
pub const HOLD_MAX: usize = 256 * 1024;

/// A message whose first sections are not complete by then is refused as malformed.
pub const SECTIONS_MAX: usize = 1024 * 1024;

/// Bounds of a stream that asks for no back-pressure per message: its own end-to-end window keeps
/// it below, so these only catch a peer that does not honour the window.
pub const UNBOUNDED_STREAM: StreamLimits = StreamLimits { high: 4 * 1024 * 1024, low: 2 * 1024 * 1024 };

/// Octets in the window of a session whose only link carries a stalled stream.
pub const STALLED_WINDOW: u32 = 1024 * 1024;
