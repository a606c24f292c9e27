//! Frames (part 2, 2.3) and the protocol headers that precede them (part 2, 2.2).

use bytes::{BufMut, BytesMut};

/// Octets of a frame header without extended header, and of a protocol header.
pub const HEADER_LEN: usize = 8;

/// The smallest max-frame-size that a peer may announce, in octets (part 2, 2.3.2).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// Data offset of a frame without extended header, in four-octet words.
const MIN_DOFF: u8 = 2;

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// 0x00: the body is a performative and perhaps a payload.
    Amqp,
    /// 0x01: the body is a SASL frame body.
    Sasl,
}

/// The header at the start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Octets in the whole frame, header included.
    pub size: u32,
    /// Where the body starts, in words of four octets; at least 2.
    pub doff: u8,
    /// The type of the frame.
    pub frame_type: FrameType,
    /// The channel; without meaning in SASL frames.
    pub channel: u16,
}

/// A violation of the framing rules; the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is larger than announced as acceptable.
    #[error("frame of {size} octets is larger than the maximum of {max}")]
    TooLarge {
        /// Octets in the frame.
        size: u32,
        /// Octets allowed.
        max: u32,
    },
    /// The size does not even cover the header.
    #[error("frame size {0} is smaller than a frame header")]
    TooSmall(u32),
    /// The body would start before the end of the header or behind the end of the frame.
    #[error("data offset {doff} does not fit a frame of {size} octets")]
    BadDataOffset {
        /// The data offset, in words of four octets.
        doff: u8,
        /// Octets in the frame.
        size: u32,
    },
    /// The frame is of a type unknown here.
    #[error("unknown frame type {0:#04x}")]
    UnknownType(u8),
    /// The connection does not start with a protocol header.
    #[error("not an AMQP 1.0 protocol header: {0:02x?}")]
    BadPreface([u8; HEADER_LEN]),
}

/// A frame being composed in a buffer; see [`start_frame`].
#[derive(Debug)]
#[must_use = "the frame has no size until finish_frame"]
pub struct OpenFrame {
    start: usize,
}

/// The protocol that a protocol header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preface {
    /// Protocol id 0.
    Amqp,
    /// Protocol id 2.
    Tls,
    /// Protocol id 3.
    Sasl,
}

// === impl FrameHeader ===

impl FrameHeader {
    /// Reads the header of the frame that `input` starts with; `None` when more octets are
    /// needed. The body need not be there yet. `max_frame_size` is in octets.
    ///
    /// # Errors
    ///
    /// The framing rule that is violated.
    #[inline]
    pub const fn parse(input: &[u8], max_frame_size: u32) -> Result<Option<Self>, FrameError> {
        let Some(&[s0, s1, s2, s3, doff, frame_type, c0, c1]) = input.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes([s0, s1, s2, s3]);
        if size < HEADER_LEN as u32 {
            return Err(FrameError::TooSmall(size));
        }
        if size > max_frame_size {
            return Err(FrameError::TooLarge { size, max: max_frame_size });
        }
        if doff < MIN_DOFF || doff as u32 * 4 > size {
            return Err(FrameError::BadDataOffset { doff, size });
        }
        let frame_type = match frame_type {
            0 => FrameType::Amqp,
            1 => FrameType::Sasl,
            other => return Err(FrameError::UnknownType(other)),
        };
        Ok(Some(Self { size, doff, frame_type, channel: u16::from_be_bytes([c0, c1]) }))
    }

    /// Where the body starts, in octets from the start of the frame.
    #[must_use]
    pub const fn body_offset(&self) -> usize {
        self.doff as usize * 4
    }

    /// Octets in the body; 0 for an empty frame, which only keeps the connection alive.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        (self.size as usize).saturating_sub(self.body_offset())
    }
}

impl FrameType {
    /// The octet in the frame header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Amqp => 0,
            Self::Sasl => 1,
        }
    }
}

/// Appends the header of a frame whose body has `body_len` octets.
#[inline]
pub fn write_header(out: &mut BytesMut, frame_type: FrameType, channel: u16, body_len: usize) {
    out.put_slice(&header(frame_type, channel, HEADER_LEN + body_len));
}

/// Appends an empty frame, which keeps the connection alive.
pub fn write_empty(out: &mut BytesMut) {
    write_header(out, FrameType::Amqp, 0, 0);
}

/// Starts a frame at the end of `out`. The body may be appended next; [`finish_frame`] then fills
/// in the size.
#[inline]
pub fn start_frame(out: &mut BytesMut, frame_type: FrameType, channel: u16) -> OpenFrame {
    let start = out.len();
    out.put_slice(&header(frame_type, channel, 0));
    OpenFrame { start }
}

/// Ends the frame at the end of `out`. `payload_len` octets that are not in `out`, but written
/// behind it, belong to the frame too. Returns the size of the frame in octets.
#[inline]
pub fn finish_frame(out: &mut BytesMut, frame: OpenFrame, payload_len: usize) -> usize {
    let size = out.len() - frame.start + payload_len;
    out[frame.start..frame.start + 4].copy_from_slice(&wire_size(size).to_be_bytes());
    size
}

#[inline]
fn header(frame_type: FrameType, channel: u16, size: usize) -> [u8; HEADER_LEN] {
    let [s0, s1, s2, s3] = wire_size(size).to_be_bytes();
    let [c0, c1] = channel.to_be_bytes();
    [s0, s1, s2, s3, MIN_DOFF, frame_type.code(), c0, c1]
}

fn wire_size(size: usize) -> u32 {
    debug_assert!(u32::try_from(size).is_ok(), "frame of 4 GiB or more");
    u32::try_from(size).unwrap_or(u32::MAX)
}

// === impl Preface ===

impl Preface {
    /// The eight octets on the wire: version 1.0.0.
    #[must_use]
    pub const fn octets(self) -> &'static [u8; HEADER_LEN] {
        match self {
            Self::Amqp => b"AMQP\x00\x01\x00\x00",
            Self::Tls => b"AMQP\x02\x01\x00\x00",
            Self::Sasl => b"AMQP\x03\x01\x00\x00",
        }
    }

    /// Reads the protocol header that `input` starts with; `None` when more octets are needed.
    /// Octets that cannot become a protocol header fail at once, however few they are.
    ///
    /// # Errors
    ///
    /// [`FrameError::BadPreface`] with the octets found, filled up with zeros.
    pub fn parse(input: &[u8]) -> Result<Option<Self>, FrameError> {
        let head = &input[..input.len().min(HEADER_LEN)];
        let found = [Self::Amqp, Self::Sasl, Self::Tls].into_iter().find(|p| p.octets().starts_with(head));
        match found {
            Some(preface) if head.len() == HEADER_LEN => Ok(Some(preface)),
            Some(_) => Ok(None),
            None => {
                let mut octets = [0; HEADER_LEN];
                octets[..head.len()].copy_from_slice(head);
                Err(FrameError::BadPreface(octets))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trip() {
        let mut out = BytesMut::new();
        write_header(&mut out, FrameType::Amqp, 7, 100);
        let header = FrameHeader::parse(&out, 512).unwrap().unwrap();
        assert_eq!(header, FrameHeader { size: 108, doff: 2, frame_type: FrameType::Amqp, channel: 7 });
        assert_eq!((header.body_offset(), header.body_len()), (8, 100));
        for len in 0..HEADER_LEN {
            assert_eq!(FrameHeader::parse(&out[..len], 512), Ok(None));
        }
    }

    #[test]
    fn open_frame_counts_payload_outside() {
        let mut out = BytesMut::from(&b"before"[..]);
        let frame = start_frame(&mut out, FrameType::Sasl, 0);
        out.put_slice(b"body");
        assert_eq!(finish_frame(&mut out, frame, 10), 22);
        assert_eq!(&out[6..], b"\0\0\0\x16\x02\x01\0\0body");
    }

    #[test]
    fn extended_header_is_skipped() {
        let header = FrameHeader::parse(b"\0\0\0\x10\x03\0\0\x01", 512).unwrap().unwrap();
        assert_eq!((header.body_offset(), header.body_len()), (12, 4));
    }

    #[test]
    fn violations() {
        assert_eq!(FrameHeader::parse(b"\0\0\0\x07\x02\0\0\0", 512), Err(FrameError::TooSmall(7)));
        assert_eq!(
            FrameHeader::parse(b"\0\0\x02\x01\x02\0\0\0", 512),
            Err(FrameError::TooLarge { size: 513, max: 512 })
        );
        assert_eq!(
            FrameHeader::parse(b"\0\0\0\x08\x01\0\0\0", 512),
            Err(FrameError::BadDataOffset { doff: 1, size: 8 })
        );
        assert_eq!(
            FrameHeader::parse(b"\0\0\0\x08\x03\0\0\0", 512),
            Err(FrameError::BadDataOffset { doff: 3, size: 8 })
        );
        assert_eq!(FrameHeader::parse(b"\0\0\0\x08\x02\x05\0\0", 512), Err(FrameError::UnknownType(5)));
    }

    #[test]
    fn prefaces() {
        for preface in [Preface::Amqp, Preface::Tls, Preface::Sasl] {
            assert_eq!(Preface::parse(preface.octets()), Ok(Some(preface)));
            assert_eq!(Preface::parse(&preface.octets()[..5]), Ok(None));
        }
        assert_eq!(Preface::parse(b""), Ok(None));
        assert_eq!(Preface::parse(b"GET"), Err(FrameError::BadPreface(*b"GET\0\0\0\0\0")));
        assert!(Preface::parse(b"AMQP\x00\x00\x09\x01").is_err());
    }
}
