//! Every bound of the engine, in one place.

use std::time::Duration;

pub use crate::frame::MIN_MAX_FRAME_SIZE;

/// The largest SASL frame that is tolerated on input: some peers send long mechanism lists.
pub const MAX_SASL_FRAME_IN: u32 = 16 * 1024;

/// Frame size that peers may assume before the open exchange, and the bound of what is read before it.
pub const MAX_FRAME_BEFORE_OPEN: u32 = 64 * 1024;

/// The handle-max that is advertised (spec `amqp-endpoint.md` 5.2).
pub const HANDLE_MAX: u32 = 0x7fff_ffff;

/// The outgoing-window that is advertised (spec `amqp-endpoint.md` 5.3).
pub const OUTGOING_WINDOW: u32 = 0x7fff_ffff;

/// Payload slices below this many octets are copied beside the frame header instead of being chained.
pub const INLINE_MAX: usize = 512;

/// Octets of scratch memory that an empty output may keep.
pub const SCRATCH_KEEP: usize = 512;

/// Octets of scratch memory that are reserved at once at most.
pub const SCRATCH_RESERVE: usize = 64 * 1024;

/// Identifiers below this are looked up in a table, those above in a tree: a peer that picks large
/// handles or channel numbers must not make the table large.
pub const DENSE_IDS: u32 = 256;

/// A delivery table with at least this many positions is compacted when most are vacant.
pub const COMPACT_AT: usize = 256;

/// How long to wait for the answer to a close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
