//! Transfers that are encoded ahead. Only what differs is written into them before they are sent.
//!
//! ```text
//!  frame header, transfer with delivery-id and delivery-tag | message with number [| frame header, transfer | message ...]
//!                           ^ patched      ^                                ^
//! ```

use super::message::{NUMBER, Template};
use amqp_core::frame::{FrameType, finish_frame, start_frame};
use amqp_core::performative::{DeliveryTag, Transfer};
use anyhow::{Context, Result};
use bytes::BytesMut;
use std::ops::Range;

/// Octets that are written at once, by and large.
const OCTETS: usize = 256 * 1024;
/// Messages that are written at once at most.
const MESSAGES: usize = 1024;
/// What the delivery-id and the tag are while there is none. A delivery-id of this size has four octets of its own.
const NO_ID: u32 = 0xfedc_ba98;
const NO_TAG: [u8; NUMBER] = [0xe7; NUMBER];

/// Transfers of messages, one behind the other.
#[derive(Debug)]
pub(crate) struct Batch {
    octets: Vec<u8>,
    layout: Layout,
    /// What is to be written yet.
    unwritten: Range<usize>,
}

/// Where things are in one message with its transfers.
#[derive(Debug, Clone, Copy)]
struct Layout {
    octets: usize,
    frames: u32,
    id: usize,
    tag: usize,
    number: Option<usize>,
}

// === impl Batch ===

impl Batch {
    /// Messages on the link with handle 0, in frames of at most `max_frame` octets.
    pub(crate) fn new(template: &Template, max_frame: u32, settled: bool) -> Result<Self> {
        let (message, layout) = encode(template, max_frame as usize, settled)?;
        let messages = (OCTETS / message.len()).clamp(1, MESSAGES);
        Ok(Self { octets: message.repeat(messages), layout, unwritten: 0..0 })
    }

    /// Transfer frames of each message.
    pub(crate) const fn frames(&self) -> u32 {
        self.layout.frames
    }

    /// Makes message `first` and those behind it ready, as far as there is room. Returns how many there are. All that
    /// were ready before must have been written.
    pub(crate) fn fill(&mut self, first: u64, count: u64) -> u64 {
        let layout = self.layout;
        let mut number = first;
        for (message, _) in self.octets.chunks_exact_mut(layout.octets).zip(0..count) {
            let octets = number.to_le_bytes();
            // A delivery-id wraps around.
            let [low @ .., _, _, _, _] = octets;
            message[layout.id..layout.id + low.len()].copy_from_slice(&u32::from_le_bytes(low).to_be_bytes());
            message[layout.tag..layout.tag + NUMBER].copy_from_slice(&octets);
            if let Some(at) = layout.number {
                message[at..at + NUMBER].copy_from_slice(&octets);
            }
            number += 1;
        }
        let filled = number - first;
        self.unwritten = 0..usize::try_from(filled).map_or(0, |filled| filled * layout.octets);
        filled
    }

    /// The octets to write.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.octets[self.unwritten.clone()]
    }

    /// So many octets were written.
    pub(crate) const fn advance(&mut self, octets: usize) {
        self.unwritten.start += octets;
    }
}

/// Encodes one message.
fn encode(template: &Template, max_frame: usize, settled: bool) -> Result<(Vec<u8>, Layout)> {
    let mut out = BytesMut::new();
    let mut transfer = Transfer {
        delivery_id: Some(NO_ID),
        delivery_tag: Some(DeliveryTag::from_slice(&NO_TAG)),
        message_format: Some(0),
        settled: Some(settled),
        ..Transfer::default()
    };
    let mut rest = template.message();
    let (mut frames, mut start) = (0, 0);
    while frames == 0 || !rest.is_empty() {
        let begin = out.len();
        transfer.more = false;
        for more in [false, true] {
            out.truncate(begin);
            transfer.more = more;
            let frame = start_frame(&mut out, FrameType::Amqp, 0);
            transfer.encode_into(&mut out);
            let room = max_frame.saturating_sub(out.len() - begin);
            if more || rest.len() <= room {
                if frames == 0 {
                    start = out.len();
                }
                let (now, later) = rest.split_at(rest.len().min(room));
                out.extend_from_slice(now);
                finish_frame(&mut out, frame, 0);
                rest = later;
                break;
            }
        }
        frames += 1;
        transfer = Transfer::default();
    }
    let find = |what: &[u8]| out.windows(what.len()).position(|octets| octets == what);
    let layout = Layout {
        octets: out.len(),
        frames,
        id: find(&NO_ID.to_be_bytes()).context("a transfer without delivery-id")?,
        tag: find(&NO_TAG).context("a transfer without delivery-tag")?,
        number: template.number_at().map(|at| start + at),
    };
    Ok((out.to_vec(), layout))
}

#[cfg(test)]
mod tests {
    use super::super::message::Number;
    use super::super::wire::{Frame, parse};
    use super::*;
    use amqp_core::performative::Performative;

    /// The deliveries in a batch: their ids, numbers of their tags, and messages.
    fn deliveries(octets: &[u8]) -> Vec<(u32, u64, Vec<u8>)> {
        let mut found: Vec<(u32, u64, Vec<u8>)> = Vec::new();
        let mut rest = octets;
        let mut more = false;
        while let Frame::Body { size, performative: Performative::Transfer(transfer), payload } = parse(rest).unwrap() {
            assert_eq!(transfer.delivery_id.is_none(), more);
            if let (Some(id), Some(tag)) = (transfer.delivery_id, transfer.delivery_tag) {
                found.push((id, u64::from_le_bytes(tag[..].try_into().unwrap()), Vec::new()));
            }
            found.last_mut().unwrap().2.extend_from_slice(payload);
            more = transfer.more;
            rest = &rest[size..];
        }
        assert!(rest.is_empty() && !more);
        found
    }

    #[test]
    fn what_is_written_is_numbered() {
        for (size, max_frame) in [(0, 512), (100, 512), (480, 512), (4096, 512), (4096, 16384), (65536, 65536)] {
            let template = Template::new(size);
            let mut batch = Batch::new(&template, max_frame, false).unwrap();
            let first = u64::from(u32::MAX);
            assert_eq!(batch.fill(first, 3), 3);
            let sent = deliveries(batch.unwritten());
            for (expected, (id, tag, message)) in (first..).zip(&sent) {
                assert_eq!((*id, *tag), (u32::try_from(expected & 0xffff_ffff).unwrap(), expected));
                assert_eq!(message.len(), template.message().len());
                let number = if size == 0 { Number::None } else { Number::Is(expected) };
                assert_eq!(template.number(message), number);
            }
            assert_eq!(sent.len(), 3);
        }
    }

    #[test]
    fn no_more_than_there_is_room_for() {
        let mut batch = Batch::new(&Template::new(100_000), u32::MAX, true).unwrap();
        assert_eq!(batch.fill(0, 100), 2);
        batch.advance(batch.unwritten().len() - 1);
        assert_eq!(batch.unwritten(), b"x");
    }

    #[test]
    fn frames_have_their_size() {
        let template = Template::new(1000);
        let batch = Batch::new(&template, 512, false).unwrap();
        assert_eq!(batch.frames(), 3);
        let mut rest = &batch.octets[..batch.layout.octets];
        while let Frame::Body { size, .. } = parse(rest).unwrap() {
            assert!(size <= 512);
            rest = &rest[size..];
        }
        assert!(rest.is_empty());
    }
}
