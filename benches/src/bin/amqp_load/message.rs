//! Messages: encoded once, numbered where the body has room for it.
//!
//! ```text
//!  descriptor and length of a data section | number, 8 octets, low octet first | filling
//! ```

use amqp_core::message::MessageBuilder;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Octets of the number at the begin of a body.
const NUMBER: usize = size_of::<u64>();
/// Filling of at most this many octets is copied, so that a message is one slice.
const COPY_MAX: usize = 256;
/// Messages, or their heads, that are written to one buffer.
const BATCH: usize = 64;

/// What all messages have in common.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// What each message has for itself: the section's head, the number, and a short filling.
    head: Bytes,
    /// The filling that all messages share.
    filling: Bytes,
    /// Octets before the body.
    prefix: usize,
    is_numbered: bool,
}

/// A source of messages with rising numbers.
#[derive(Debug)]
pub(crate) struct Messages {
    template: Template,
    /// Heads that were written ahead.
    ready: Bytes,
    /// The number of the first message that was not written ahead.
    next: u64,
}

/// What a receiver found in the first octets of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Is(u64),
    /// Messages of this size have none.
    None,
    /// Not what was sent.
    Wrong,
}

// === impl Template ===

impl Template {
    /// Messages with `size` octets of body.
    pub(crate) fn new(size: usize) -> Self {
        let message = MessageBuilder::new().data(&vec![b'x'; size]);
        let prefix = message.len() - size;
        let is_numbered = size >= NUMBER;
        let head = if size - NUMBER.min(size) <= COPY_MAX { message.len() } else { prefix + NUMBER };
        Self { head: message.slice(..head), filling: message.slice(head..), prefix, is_numbered }
    }

    /// Octets of an encoded message.
    pub(crate) const fn len(&self) -> usize {
        self.head.len() + self.filling.len()
    }

    /// Looks at the first octets of a message that has come in.
    pub(crate) fn number(&self, start: &[u8]) -> Number {
        let Some((prefix, body)) = start.split_at_checked(self.prefix) else { return Number::Wrong };
        if prefix != &self.head[..self.prefix] {
            return Number::Wrong;
        }
        match body.first_chunk::<NUMBER>() {
            _ if !self.is_numbered => Number::None,
            Some(number) => Number::Is(u64::from_le_bytes(*number)),
            None => Number::Wrong,
        }
    }

    /// Appends the head of message `number`.
    fn write(&self, number: u64, out: &mut BytesMut) {
        let start = out.len() + self.prefix;
        out.extend_from_slice(&self.head);
        if self.is_numbered {
            out[start..start + NUMBER].copy_from_slice(&number.to_le_bytes());
        }
    }
}

// === impl Messages ===

impl Messages {
    pub(crate) const fn new(template: Template) -> Self {
        Self { template, ready: Bytes::new(), next: 0 }
    }

    /// Puts the next message to the end of `payload`.
    pub(crate) fn put_next(&mut self, payload: &mut VecDeque<Bytes>) {
        let head = self.template.head.len();
        if self.ready.is_empty() {
            let mut out = BytesMut::with_capacity(head * BATCH);
            for _ in 0..BATCH {
                self.template.write(self.next, &mut out);
                self.next += 1;
            }
            self.ready = out.freeze();
        }
        payload.push_back(self.ready.split_to(head));
        if !self.template.filling.is_empty() {
            payload.push_back(self.template.filling.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(size: usize, count: usize) -> (Template, Vec<Vec<u8>>) {
        let template = Template::new(size);
        let mut messages = Messages::new(template.clone());
        let mut payload = VecDeque::new();
        let made = (0..count).map(|_| {
            messages.put_next(&mut payload);
            payload.drain(..).flatten().collect()
        });
        let made = made.collect();
        (template, made)
    }

    #[test]
    fn numbered_in_order_whatever_the_size() {
        for size in [8, 100, 255, 256, 300, 4096, 65536] {
            let (template, made) = messages(size, 150);
            for (expected, message) in (0..).zip(&made) {
                assert_eq!(message.len(), template.len());
                assert_eq!(template.number(message), Number::Is(expected));
                assert_eq!(template.number(&message[..template.prefix + NUMBER]), Number::Is(expected));
            }
            assert!(made[3].ends_with(&vec![b'x'; size - NUMBER]));
        }
    }

    #[test]
    fn small_ones_have_no_number() {
        for size in [0, 7] {
            let (template, made) = messages(size, 2);
            assert_eq!(template.number(&made[1]), Number::None);
            assert_eq!(made[0], made[1]);
        }
    }

    #[test]
    fn what_was_altered_is_seen() {
        let (template, mut made) = messages(100, 1);
        assert_eq!(template.number(&made[0][..9]), Number::Wrong);
        made[0][2] ^= 1;
        assert_eq!(template.number(&made[0]), Number::Wrong);
        assert_eq!(template.number(&[]), Number::Wrong);
    }
}
