//! Cutting the received octets into frames.
//!
//! A frame that lies within one chunk is a slice of it. A frame that is spread over chunks is
//! copied together; at most one frame is ever held that way.

use crate::frame::{FrameError, FrameHeader, HEADER_LEN};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;

/// Octets reserved at once for a frame that is spread over chunks.
const RESERVE_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Input {
    /// The start of an incomplete frame; precedes `chunk`.
    carry: BytesMut,
    /// Precedes `more`. May be empty while `more` is not: it is refilled when it is read.
    chunk: Bytes,
    /// Chunks that came before `chunk` was used up.
    more: VecDeque<Bytes>,
}

// === impl Input ===

impl Input {
    /// Adds octets behind what is there.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
        } else if self.chunk.is_empty() && self.more.is_empty() {
            self.chunk = data;
        } else {
            self.more.push_back(data);
        }
    }

    /// Octets held.
    pub(super) fn len(&self) -> usize {
        self.carry.len() + self.chunk.len() + self.more.iter().map(Bytes::len).sum::<usize>()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first octets, at least `want` of them unless fewer are there.
    pub(super) fn head(&mut self, want: usize) -> &[u8] {
        while !self.carry.is_empty() || self.chunk.len() < want {
            if self.carry.len() >= want || !self.refill() {
                break;
            }
            let taken = self.chunk.len().min(want.saturating_sub(self.carry.len()));
            self.move_to_carry(taken);
        }
        if self.carry.is_empty() { &self.chunk } else { &self.carry }
    }

    /// Drops the first `n` octets, which [`Self::head`] has shown.
    pub(super) fn skip(&mut self, n: usize) {
        if self.carry.is_empty() {
            self.chunk.advance(n.min(self.chunk.len()));
            self.refill();
        } else {
            self.carry.advance(n.min(self.carry.len()));
            if self.carry.is_empty() {
                self.carry = BytesMut::new();
            }
        }
    }

    /// Takes the next frame: its header and its body. `None` when more octets are needed.
    #[inline]
    pub(super) fn next_frame(&mut self, max: u32) -> Result<Option<(FrameHeader, Bytes)>, FrameError> {
        if self.carry.is_empty() {
            if !self.refill() {
                return Ok(None);
            }
            if let Some(header) = FrameHeader::parse(&self.chunk, max)?
                && self.chunk.len() >= header.size as usize
            {
                let size = header.size as usize;
                let mut body =
                    if self.chunk.len() == size { std::mem::take(&mut self.chunk) } else { self.chunk.split_to(size) };
                body.advance(header.body_offset());
                return Ok(Some((header, body)));
            }
        }
        self.assemble(max)
    }

    /// Copies together the frame that starts in `carry`, or at the end of `chunk`.
    fn assemble(&mut self, max: u32) -> Result<Option<(FrameHeader, Bytes)>, FrameError> {
        loop {
            let header = FrameHeader::parse(&self.carry, max)?;
            let want = header.map_or(HEADER_LEN, |h| h.size as usize);
            if let Some(header) = header
                && self.carry.len() == want
            {
                let mut body = std::mem::take(&mut self.carry).freeze();
                body.advance(header.body_offset());
                return Ok(Some((header, body)));
            }
            if !self.refill() {
                return Ok(None);
            }
            self.carry.reserve((want - self.carry.len()).min(RESERVE_MAX));
            self.move_to_carry((want - self.carry.len()).min(self.chunk.len()));
        }
    }

    fn move_to_carry(&mut self, n: usize) {
        self.carry.extend_from_slice(&self.chunk[..n]);
        self.chunk.advance(n);
    }

    /// Makes `chunk` non-empty if possible. An empty one must not keep its buffer alive.
    #[inline]
    fn refill(&mut self) -> bool {
        if self.chunk.is_empty() {
            self.chunk = self.more.pop_front().unwrap_or_default();
        }
        !self.chunk.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameType, write_header};
    use proptest::prelude::*;

    fn frame(len: usize, fill: u8) -> Vec<u8> {
        let mut out = BytesMut::new();
        write_header(&mut out, FrameType::Amqp, 3, len);
        out.extend_from_slice(&vec![fill; len]);
        out.to_vec()
    }

    #[test]
    fn frames_come_out_whatever_the_chunks() {
        let stream: Vec<u8> = (0..20_u8).flat_map(|n| frame(usize::from(n) * 7, n)).collect();
        for step in [1, 2, 7, 8, 9, 64, 1000, stream.len()] {
            for batch in [1, 3] {
                let mut input = Input::default();
                let mut bodies = Vec::new();
                for (n, chunk) in stream.chunks(step).enumerate() {
                    input.push(Bytes::copy_from_slice(chunk));
                    if n % batch == 0 {
                        while let Some((header, body)) = input.next_frame(512).unwrap() {
                            assert_eq!((header.channel, header.body_len()), (3, body.len()));
                            bodies.push(body);
                        }
                    }
                }
                while let Some((_, body)) = input.next_frame(512).unwrap() {
                    bodies.push(body);
                }
                assert_eq!(bodies.len(), 20);
                assert!(
                    bodies.iter().enumerate().all(|(n, b)| b.len() == n * 7 && b.iter().all(|o| usize::from(*o) == n))
                );
                assert_eq!(input.len(), 0);
            }
        }
    }

    #[test]
    fn what_comes_late_stays_behind_what_waits() {
        let mut input = Input::default();
        input.push(frame(5, 1).into());
        input.push(frame(5, 2).into());
        let mut next = |late: Option<Vec<u8>>| {
            late.into_iter().for_each(|data| input.push(data.into()));
            input.next_frame(512).unwrap().unwrap().1[0]
        };
        assert_eq!([next(None), next(Some(frame(5, 3))), next(None)], [1, 2, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// `cuts` are the lengths of the chunks, each with the number of frames asked for after it.
        #[test]
        fn frames_keep_their_order(
            lens in proptest::collection::vec(0..60_usize, 1..40),
            whole in any::<bool>(),
            cuts in proptest::collection::vec((1..90_usize, 0..4_usize), 1..60),
        ) {
            let frames: Vec<Vec<u8>> = lens.iter().zip(0_u8..).map(|(len, n)| frame(*len, n)).collect();
            let stream = frames.concat();
            let mut rest = stream.as_slice();
            let mut ends = frames.iter().map(Vec::len);
            let mut input = Input::default();
            let mut bodies = Vec::new();
            for (cut, asked) in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let cut = if whole { ends.next().unwrap() } else { (*cut).min(rest.len()) };
                let (chunk, behind) = rest.split_at(cut);
                rest = behind;
                input.push(Bytes::copy_from_slice(chunk));
                for _ in 0..*asked {
                    bodies.extend(input.next_frame(512).unwrap().map(|(_, body)| body));
                }
            }
            while let Some((_, body)) = input.next_frame(512).unwrap() {
                bodies.push(body);
            }
            prop_assert_eq!(bodies, frames.iter().map(|f| Bytes::copy_from_slice(&f[8..])).collect::<Vec<_>>());
            prop_assert_eq!(input.len(), 0);
        }
    }

    #[test]
    fn whole_frames_are_not_copied() {
        let data = Bytes::from([frame(40, 1), frame(50, 2)].concat());
        let mut input = Input::default();
        input.push(data.clone());
        let (_, first) = input.next_frame(512).unwrap().unwrap();
        assert_eq!(first.as_ptr(), data[8..].as_ptr());
    }

    #[test]
    fn head_over_chunks() {
        let mut input = Input::default();
        for octet in b"AMQP" {
            input.push(Bytes::copy_from_slice(&[*octet]));
        }
        assert_eq!(input.head(8), b"AMQP");
        input.push(Bytes::from_static(b"\0\x01\0\0rest"));
        assert_eq!(input.head(8), b"AMQP\0\x01\0\0");
        input.skip(8);
        assert_eq!(input.head(4), b"rest");
    }

    #[test]
    fn oversize_is_refused_before_it_is_held() {
        let mut input = Input::default();
        input.push(Bytes::from_static(b"\x7f\0\0\0\x02\0\0\0"));
        assert!(input.next_frame(512).is_err());
    }
}
