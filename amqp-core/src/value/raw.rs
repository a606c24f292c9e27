//! Maps that are relayed and not looked at.

use super::Map;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use bytes::{Bytes, BytesMut};

/// A map as it is on the wire, known to be well formed.
///
/// Decoded, a map takes many times the octets that a peer has to spend on it; this takes the octets and is cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMap(Bytes);

// === impl RawMap ===

impl RawMap {
    /// The encoded map, constructor included.
    #[must_use]
    pub const fn octets(&self) -> &Bytes {
        &self.0
    }
}

impl From<&Map> for RawMap {
    fn from(map: &Map) -> Self {
        Self(map.to_bytes())
    }
}

impl Decode for RawMap {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // Other peers must not be bothered with what this one has malformed.
        Map::decode(&mut r.clone())?;
        let octets = r.raw_value()?;
        Ok(Self(r.share(octets)))
    }
}

impl Encode for RawMap {
    fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.0);
    }
}
