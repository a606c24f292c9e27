//! Every bound of a port, in one place.

use crate::stream::StreamLimits;

/// A turn stops filling the output at this many octets.
pub const OUTPUT_TARGET: usize = 256 * 1024;

/// Octets that wait for an ordinary peer beside shared payload: answers, credit and dispositions, which nothing else
/// bounds. Beyond that the peer is sent away: it asks and does not read. To stop reading from it instead would not do, as
/// two peers that do so can block each other for good. Router peers are trusted.
pub const UNREAD_MAX: usize = 16 * 1024 * 1024;

/// Payload octets that one link may send before the others get their turn.
pub const LINK_SHARE: usize = 64 * 1024;

/// Events of the engine that one turn handles.
pub const EVENTS_PER_TURN: usize = 1024;

/// Received octets that wait to be looked at before reading pauses.
pub const INPUT_MAX: usize = 256 * 1024;

/// The same while it is found out who the peer is: the next message of its login.
pub const INPUT_BEFORE_AUTH: usize = 4 * 1024;

/// An incomplete message is forwarded as a stream once this many octets of it are held
/// (spec `amqp-endpoint.md` 16.3).
pub const HOLD_MAX: usize = 256 * 1024;

/// A message whose first sections are not complete by then is refused as malformed.
pub const SECTIONS_MAX: usize = 1024 * 1024;

/// A routing protocol message is read whole; one that is larger is refused. Room for the addresses of a router at their
/// limit, with long names.
pub const CONTROL_MAX: usize = 32 * 1024 * 1024;

/// Bounds of a stream that asks for no back-pressure per message: its own end-to-end window keeps
/// it below, so these only catch a peer that does not honour the window.
pub const UNBOUNDED_STREAM: StreamLimits = StreamLimits { high: 4 * 1024 * 1024, low: 2 * 1024 * 1024 };

/// Octets of incomplete and of waiting messages that the port of an ordinary peer holds; beyond that the peer is sent
/// away. Far above what sessions with full windows come to in practice: it stops who opens sessions and links only to
/// fill memory. Router peers are trusted and carry other people's streams.
pub const ARRIVING_MAX: usize = 128 * 1024 * 1024;

/// Octets of the messages of one incoming link of an ordinary peer that may wait in the router before the peer is told to
/// stop. What it has sent by then still comes. Only messages of more than [`WEIGHED_FROM`] octets count; of smaller
/// ones the link's credit does not let many wait.
pub const WAITING_MAX: usize = 1024 * 1024;

/// See [`WAITING_MAX`]: what fits in one frame of usual size.
pub const WEIGHED_FROM: usize = 16 * 1024;

/// The same while memory is scarce.
pub const WEIGHED_FROM_SCARCE: usize = 512;

/// Octets in the window of a session between routers whose only link carries a stalled stream.
pub const STALLED_WINDOW: u32 = 1024 * 1024;

/// Links that were refused, or ended here, and are kept until the peer acknowledges that. One that has more attached to be
/// refused is sent away.
pub const UNACKNOWLEDGED_MAX: usize = 1024;
