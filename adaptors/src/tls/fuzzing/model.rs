//! What a session has to make of the records it gets, said as simply as possible.

use super::super::control::{Asked, Rules};
use super::super::error::TlsError;
use super::super::traffic::MAX_CONTROLS;
use rustls::AlertDescription;

/// The receiving end of a connection.
pub(super) struct Model {
    rules: Rules,
    /// A message that has begun.
    buffer: Vec<u8>,
    controls: u32,
    /// Data that has to come out.
    pub(super) data: Vec<u8>,
    pub(super) end: Option<End>,
    /// The peer waits for a new key of ours.
    pub(super) answer_due: bool,
}

/// How the peer's octets end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Closed,
    Truncated,
    Failed(TlsError),
}

// === impl Model ===

impl Model {
    pub(super) const fn new(rules: Rules) -> Self {
        Self { rules, buffer: Vec::new(), controls: 0, data: Vec::new(), end: None, answer_due: false }
    }

    pub(super) const fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Data went the other way.
    pub(super) const fn wrote(&mut self) {
        self.controls = 0;
        self.answer_due = false;
    }

    /// A record that opens to this. True: the peer's key changes behind it.
    pub(super) fn record(&mut self, content: u8, text: &[u8]) -> bool {
        if self.end.is_some() {
            return false;
        }
        let result = match content {
            22 => self.messages(text).and_then(|asked| {
                self.answer_due |= asked.answer;
                self.useless(asked.messages.max(1)).map(|()| asked.key_update)
            }),
            21 => self.alert(text).map(|()| false),
            23 if self.is_partial() => Err(TlsError::UnexpectedMessage),
            23 if text.is_empty() => self.useless(1).map(|()| false),
            23 => {
                self.controls = 0;
                self.data.extend_from_slice(text);
                Ok(false)
            }
            _ => Err(TlsError::UnexpectedMessage),
        };
        result.unwrap_or_else(|error| {
            self.end = Some(End::Failed(error));
            false
        })
    }

    const fn useless(&mut self, n: u32) -> Result<(), TlsError> {
        self.controls += n;
        if self.controls > MAX_CONTROLS { Err(TlsError::TooManyControls) } else { Ok(()) }
    }

    fn alert(&mut self, text: &[u8]) -> Result<(), TlsError> {
        const CLOSE_NOTIFY: u8 = 0;
        const USER_CANCELED: u8 = 90;
        let &[level, description] = text else { return Err(TlsError::UnexpectedMessage) };
        let closes = description == CLOSE_NOTIFY;
        let harmless = if self.rules.tls13 { description == USER_CANCELED } else { level == 1 };
        if !closes && !harmless {
            return Err(TlsError::Alert(AlertDescription::from(description)));
        }
        if self.is_partial() {
            return Err(TlsError::UnexpectedMessage);
        }
        if closes {
            self.end = Some(End::Closed);
            return Ok(());
        }
        self.useless(1)
    }

    /// Handshake messages: the whole ones are taken from the front of all that came.
    pub(super) fn messages(&mut self, record: &[u8]) -> Result<Asked, TlsError> {
        if record.is_empty() {
            return Err(TlsError::UnexpectedMessage);
        }
        self.buffer.extend_from_slice(record);
        let mut asked = Asked::default();
        while let Some(&[kind, a, b, c]) = self.buffer.first_chunk() {
            let len = usize::from(a) * 65536 + usize::from(b) * 256 + usize::from(c);
            self.check(kind, len)?;
            if self.buffer.len() < 4 + len {
                break;
            }
            let body = self.buffer[4..4 + len].to_vec();
            self.buffer.drain(..4 + len);
            asked.messages += 1;
            match kind {
                24 if self.is_partial() => return Err(TlsError::UnexpectedMessage),
                24 if body[0] > 1 => return Err(TlsError::BadKeyUpdate),
                24 => (asked.key_update, asked.answer) = (true, body == [1]),
                0 | 1 => asked.renegotiation = true,
                _ => {}
            }
        }
        Ok(asked)
    }

    fn check(&self, kind: u8, len: usize) -> Result<(), TlsError> {
        let allowed: &[u8] = match (self.rules.tls13, self.rules.from_server) {
            (true, true) => &[4, 24],
            (true, false) => &[24],
            (false, true) => &[0],
            (false, false) => &[1],
        };
        let right = match kind {
            24 => len == 1,
            0 => len == 0,
            _ => true,
        };
        match (allowed.contains(&kind), right) {
            (false, _) => Err(TlsError::UnexpectedMessage),
            (true, false) => Err(TlsError::LengthMismatch),
            (true, true) => Ok(()),
        }
    }
}
