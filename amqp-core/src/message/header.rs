//! The header section (part 3, 3.2.1).

use crate::codec::format::descriptor as d;
use crate::codec::{self, Decode, DecodeError, Encode, Reader, put_list};
use bytes::BytesMut;

/// The priority of a message that names none (part 3, 3.2.1).
pub const DEFAULT_PRIORITY: u8 = 4;

/// The highest priority that is told apart from lower ones.
pub const MAX_PRIORITY: u8 = 9;

/// The header of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Survive a restart of the node.
    pub durable: bool,
    /// Absent means [`DEFAULT_PRIORITY`].
    pub priority: Option<u8>,
    /// Time to live in milliseconds.
    pub ttl: Option<u32>,
    /// No other link has acquired the message.
    pub first_acquirer: bool,
    /// Earlier attempts at delivery that failed.
    pub delivery_count: Option<u32>,
}

/// The priority that the header section with the value `value` (from its constructor on) asks
/// for: 0 to [`MAX_PRIORITY`], any greater one counting as that. [`DEFAULT_PRIORITY`] if it is
/// absent, null or not an unsigned integer.
#[must_use]
pub fn priority(value: &[u8]) -> u8 {
    let read = || {
        let mut fields = Reader::new(value).read_list()?;
        fields.skip(1)?;
        fields.opt(read_unsigned)
    };
    match read() {
        Ok(Some(priority)) => u8::try_from(priority).map_or(MAX_PRIORITY, |p| p.min(MAX_PRIORITY)),
        _ => DEFAULT_PRIORITY,
    }
}

/// The header section with the value `value` asks for durability; false if that is malformed.
#[must_use]
pub fn durable(value: &[u8]) -> bool {
    let read = || Reader::new(value).read_list()?.flag();
    read().unwrap_or(false)
}

/// An unsigned integer of any width: peers are not strict about the width of a priority.
fn read_unsigned(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    use crate::codec::format as f;
    match r.peek()? {
        f::UBYTE => r.read_ubyte().map(u64::from),
        f::USHORT => r.read_ushort().map(u64::from),
        f::UINT0 | f::SMALLUINT | f::UINT => r.read_uint().map(u64::from),
        _ => r.read_ulong(),
    }
}

// === impl Header ===

/// Reads the value of the section, without descriptor.
impl Decode for Header {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut f = r.read_list()?;
        Ok(Self {
            durable: f.flag()?,
            priority: f.opt(Reader::read_ubyte)?,
            ttl: f.opt(Reader::read_uint)?,
            first_acquirer: f.flag()?,
            delivery_count: f.opt(Reader::read_uint)?,
        })
    }
}

/// Appends the section, with descriptor. `durable` is always written.
impl Encode for Header {
    fn encode(&self, out: &mut BytesMut) {
        codec::put_descriptor(out, d::HEADER);
        put_list(out, |list| {
            list.bool(self.durable);
            list.opt(self.priority.as_ref());
            list.opt_uint(self.ttl);
            list.flag(self.first_acquirer);
            list.opt_uint(self.delivery_count);
        });
    }
}
