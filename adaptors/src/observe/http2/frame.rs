//! Frames (RFC 9113 section 4), from octets that come in pieces.

use super::Error;
use crate::observe::scratch::Scratch;

/// The octets before the payload of a frame.
const HEAD: usize = 9;

/// The types of frames (RFC 9113 section 6) that an observer looks into, and that of bodies.
pub(super) mod kind {
    pub(in crate::observe::http2) const DATA: u8 = 0;
    pub(in crate::observe::http2) const HEADERS: u8 = 1;
    pub(in crate::observe::http2) const RST_STREAM: u8 = 3;
    pub(in crate::observe::http2) const SETTINGS: u8 = 4;
    pub(in crate::observe::http2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::observe::http2) const GOAWAY: u8 = 7;
    pub(in crate::observe::http2) const CONTINUATION: u8 = 9;
}

/// What comes before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    length: usize,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

/// A frame that is looked into, or a piece of another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// All of it.
    Frame(FrameHead, &'a [u8]),
    /// A part of a body, of so many octets; maybe the last of its frame.
    Data { head: FrameHead, octets: usize, last: bool },
    /// Nothing that matters.
    Nothing,
}

/// Puts frames together. One that comes whole is not copied.
#[derive(Debug)]
pub(super) struct FrameReader {
    /// The beginning of a head or of a payload, or all of the payload that was read last.
    kept: Scratch,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    /// A payload of which so many octets are still to come; at least one.
    Payload(FrameHead, usize),
    /// The payload in `kept` was given away.
    Given,
}

// === impl FrameHead ===

impl FrameHead {
    const fn parse(octets: [u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = octets;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7FFF_FFFF,
        }
    }

    /// Whether the payload is needed whole.
    const fn is_gathered(self) -> bool {
        use kind::{CONTINUATION, GOAWAY, HEADERS, PUSH_PROMISE, RST_STREAM, SETTINGS};
        matches!(self.kind, HEADERS | RST_STREAM | SETTINGS | PUSH_PROMISE | GOAWAY | CONTINUATION)
    }

    /// `END_STREAM` of HEADERS and DATA; `ACK` of SETTINGS.
    pub(super) const fn ends_stream(self) -> bool {
        self.flags & 0x1 != 0
    }

    /// `END_HEADERS`.
    pub(super) const fn ends_headers(self) -> bool {
        self.flags & 0x4 != 0
    }

    /// The fragment of a header block in the payload of HEADERS or PUSH_PROMISE: without padding, and the fields before.
    pub(super) fn fragment(self, payload: &[u8]) -> Result<&[u8], Error> {
        let too_short = Error::TooShort(self.kind);
        let (padding, rest) = match (self.flags & 0x8 != 0, payload.split_first()) {
            (false, _) => (0, payload),
            (true, Some((padding, rest))) => (usize::from(*padding), rest),
            (true, None) => return Err(too_short),
        };
        let before = match self.kind {
            kind::PUSH_PROMISE => 4,
            kind::HEADERS if self.flags & 0x20 != 0 => 5,
            _ => 0,
        };
        let end = rest.len().checked_sub(padding).ok_or(too_short)?;
        rest.get(before..end).ok_or(too_short)
    }
}

// === impl FrameReader ===

impl FrameReader {
    pub(super) const fn new() -> Self {
        Self { kept: Scratch::new(), stage: Stage::Head }
    }

    /// Reads a frame, or as much of one as there is, and tells how many octets that was. Payloads that are kept have
    /// `room` octets at most.
    pub(super) fn read<'a>(&'a mut self, octets: &'a [u8], room: usize) -> Result<(Piece<'a>, usize), Error> {
        match self.stage {
            Stage::Head => self.read_head(octets, room),
            Stage::Payload(head, left) => self.read_payload(head, left, octets),
            Stage::Given => {
                self.kept.clear();
                self.stage = Stage::Head;
                self.read_head(octets, room)
            }
        }
    }

    fn read_head(&mut self, octets: &[u8], room: usize) -> Result<(Piece<'static>, usize), Error> {
        let consumed = (HEAD - self.kept.len()).min(octets.len());
        let head = match octets.first_chunk() {
            Some(head) if self.kept.is_empty() => *head,
            _ => {
                self.kept.push(&octets[..consumed]).map_err(|_| Error::TooLarge)?;
                let Some(head) = self.kept.first_chunk() else { return Ok((Piece::Nothing, consumed)) };
                *head
            }
        };
        self.kept.clear();
        Ok((self.on_head(FrameHead::parse(head), room)?, consumed))
    }

    /// A frame begins. One without a payload is complete.
    fn on_head(&mut self, head: FrameHead, room: usize) -> Result<Piece<'static>, Error> {
        if head.is_gathered() && head.length > room {
            return Err(Error::TooLarge);
        }
        if head.length > 0 {
            self.stage = Stage::Payload(head, head.length);
            return Ok(Piece::Nothing);
        }
        Ok(match head.kind {
            kind::DATA => Piece::Data { head, octets: 0, last: true },
            _ if head.is_gathered() => Piece::Frame(head, &[]),
            _ => Piece::Nothing,
        })
    }

    fn read_payload<'a>(
        &'a mut self,
        head: FrameHead,
        left: usize,
        octets: &'a [u8],
    ) -> Result<(Piece<'a>, usize), Error> {
        let consumed = left.min(octets.len());
        let (part, last) = (&octets[..consumed], consumed == left);
        self.stage = if last { Stage::Head } else { Stage::Payload(head, left - consumed) };
        let piece = match head.kind {
            kind::DATA => Piece::Data { head, octets: consumed, last },
            _ if !head.is_gathered() => Piece::Nothing,
            _ if last && self.kept.is_empty() => Piece::Frame(head, part),
            _ => {
                self.kept.push(part).map_err(|_| Error::TooLarge)?;
                if !last {
                    return Ok((Piece::Nothing, consumed));
                }
                self.stage = Stage::Given;
                Piece::Frame(head, &self.kept)
            }
        };
        Ok((piece, consumed))
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn footprint(&self) -> usize {
        self.kept.footprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn head(kind: u8, flags: u8, length: usize) -> FrameHead {
        FrameHead { length, kind, flags, stream: 1 }
    }

    #[test]
    fn fragments() {
        const PADDED: u8 = 0x8;
        const PRIORITY: u8 = 0x20;
        type Case<'a> = (u8, u8, &'a [u8], Option<&'a [u8]>);
        let cases: [Case<'_>; 9] = [
            (kind::HEADERS, 0, b"block", Some(b"block")),
            (kind::HEADERS, PADDED, b"\x02block..", Some(b"block")),
            (kind::HEADERS, PRIORITY, b"12345block", Some(b"block")),
            (kind::HEADERS, PADDED | PRIORITY, b"\x0112345block.", Some(b"block")),
            (kind::HEADERS, PADDED | PRIORITY, b"\x0112345.", Some(b"")),
            (kind::HEADERS, PADDED, b"", None),
            (kind::HEADERS, PADDED, b"\x03..", None),
            (kind::HEADERS, PRIORITY, b"1234", None),
            (kind::PUSH_PROMISE, PADDED | PRIORITY, b"\x011234block.", Some(b"block")),
        ];
        for (kind, flags, payload, fragment) in cases {
            let expected = fragment.ok_or(Error::TooShort(kind));
            assert_eq!(head(kind, flags, payload.len()).fragment(payload), expected, "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn frames_come_in_pieces() {
        let octets =
            b"\0\0\x03\x01\x05\x80\0\0\x01abc\0\0\0\x04\0\0\0\0\0\0\0\x02\0\x01\0\0\0\x01xy\0\0\x01\x16\0\0\0\0\0z";
        for length in 1..=octets.len() {
            let (mut reader, mut frames, mut data) = (FrameReader::new(), Vec::new(), 0);
            for mut piece in octets.chunks(length) {
                while !piece.is_empty() {
                    let (found, consumed) = reader.read(piece, 3).unwrap();
                    match found {
                        Piece::Frame(head, payload) => frames.push((head.kind, head.stream, payload.to_vec())),
                        Piece::Data { head, octets, last } => {
                            data += octets;
                            assert_eq!((last, head.ends_stream()), (data == 2, true));
                        }
                        Piece::Nothing => {}
                    }
                    piece = &piece[consumed..];
                }
            }
            let expected = [(kind::HEADERS, 1, b"abc".to_vec()), (kind::SETTINGS, 0, vec![])];
            assert_eq!((frames, data), (expected.to_vec(), 2), "in pieces of {length}");
        }
    }

    #[test]
    fn frames_that_are_kept_have_a_largest() {
        let whole = b"\0\0\x03\x01\0\0\0\0\x01";
        assert_eq!(FrameReader::new().read(whole, 2), Err(Error::TooLarge));
        let data = b"\xFF\xFF\xFF\0\0\0\0\0\x01";
        assert_eq!(FrameReader::new().read(data, 2), Ok((Piece::Nothing, 9)));
    }
}
