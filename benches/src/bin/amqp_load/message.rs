//! Messages: encoded once, numbered where the body has room for it.
//!
//! ```text
//!  descriptor and length of a data section | number, 8 octets, low octet first | filling
//! ```

use amqp_core::message::MessageBuilder;
use bytes::Bytes;

/// Octets of the number at the begin of a body.
pub(crate) const NUMBER: usize = size_of::<u64>();

/// What all messages have in common.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    message: Bytes,
    /// Octets before the body.
    prefix: usize,
}

/// What a receiver found in the first octets of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        Self { message, prefix }
    }

    /// A message, where there is no number yet.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Where the number is in a message.
    pub(crate) fn number_at(&self) -> Option<usize> {
        (self.message.len() - self.prefix >= NUMBER).then_some(self.prefix)
    }

    /// Looks at the first octets of a message that has come in.
    #[inline]
    pub(crate) fn number(&self, start: &[u8]) -> Number {
        let Some((prefix, body)) = start.split_at_checked(self.prefix) else { return Number::Wrong };
        if prefix != &self.message[..self.prefix] {
            return Number::Wrong;
        }
        match body.first_chunk::<NUMBER>() {
            _ if self.number_at().is_none() => Number::None,
            Some(number) => Number::Is(u64::from_le_bytes(*number)),
            None => Number::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for size in [8, 100, 255, 256, 65536] {
            let template = Template::new(size);
            let mut message = template.message().to_vec();
            let at = template.number_at().unwrap();
            message[at..at + NUMBER].copy_from_slice(&77_u64.to_le_bytes());
            assert_eq!(template.number(&message), Number::Is(77));
            assert_eq!(template.number(&message[..at + NUMBER]), Number::Is(77));
            assert_eq!(template.number(&message[..at + NUMBER - 1]), Number::Wrong);
            message[2] ^= 1;
            assert_eq!(template.number(&message), Number::Wrong);
        }
    }

    #[test]
    fn small_ones_have_no_number() {
        for size in [0, 7] {
            let template = Template::new(size);
            assert_eq!(template.number(template.message()), Number::None);
            assert_eq!(template.number(&[]), Number::Wrong);
        }
    }
}
