//! What may come after the handshake beside data: handshake messages and alerts
//! (RFC 8446 4.6, 5.1 and 6; RFC 5246 7.2, 7.4.1.1 and 7.4.1.2).
//!
//! No message is kept: of each only the header, and of a key update one octet, is of interest.

use super::error::TlsError;
use rustls::AlertDescription;

/// Alert levels (RFC 5246 7.2). TLS 1.3 ignores them.
pub(crate) mod level {
    pub(crate) const WARNING: u8 = 1;
    pub(crate) const FATAL: u8 = 2;
}

/// Handshake message types.
pub(crate) mod kind {
    pub(crate) const HELLO_REQUEST: u8 = 0;
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const NEW_SESSION_TICKET: u8 = 4;
    pub(crate) const KEY_UPDATE: u8 = 24;
}

/// Octets before the body of a handshake message.
const HEADER: usize = 4;

/// Which messages may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// TLS 1.3 rather than 1.2.
    pub(crate) tls13: bool,
    /// The peer is the server.
    pub(crate) from_server: bool,
}

/// Reads handshake messages from records.
#[derive(Debug)]
pub(crate) struct Messages {
    rules: Rules,
    header: [u8; HEADER],
    /// Octets of the header that came; none between messages.
    have: usize,
    /// Octets of the body that are still to come.
    left: usize,
}

/// What the messages of one record ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Messages that ended here.
    pub(crate) messages: u32,
    /// The peer's sending keys change behind this record.
    pub(crate) key_update: bool,
    /// Ours have to change before the next data.
    pub(crate) answer: bool,
    /// A new handshake, which TLS 1.2 lets us decline.
    pub(crate) renegotiation: bool,
}

/// What an alert means, unless it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alert {
    Close,
    Ignored,
}

// === impl Messages ===

impl Messages {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, header: [0; HEADER], have: 0, left: 0 }
    }

    /// Whether a message has begun and not ended: nothing else may come then.
    pub(crate) const fn is_partial(&self) -> bool {
        self.have > 0
    }

    /// Reads one record's part of the messages.
    pub(crate) fn take(&mut self, mut data: &[u8]) -> Result<Asked, TlsError> {
        if data.is_empty() {
            return Err(TlsError::UnexpectedMessage);
        }
        let mut asked = Asked::default();
        while !data.is_empty() {
            if self.have < HEADER {
                data = self.take_header(data)?;
                if self.have < HEADER {
                    break;
                }
            }
            let (body, rest) = data.split_at(self.left.min(data.len()));
            data = rest;
            self.left -= body.len();
            if self.left == 0 {
                self.have = 0;
                asked.messages += 1;
                self.ask(body, data.is_empty(), &mut asked)?;
            }
        }
        Ok(asked)
    }

    /// Takes what is missing of the header; returns the rest.
    fn take_header<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], TlsError> {
        let (now, rest) = data.split_at(data.len().min(HEADER - self.have));
        self.header[self.have..self.have + now.len()].copy_from_slice(now);
        self.have += now.len();
        if self.have == HEADER {
            let [kind, high, middle, low] = self.header;
            self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.admit(kind)?;
        }
        Ok(rest)
    }

    /// Refuses what has no place here, before its body comes.
    fn admit(&self, kind: u8) -> Result<(), TlsError> {
        let Rules { tls13, from_server } = self.rules;
        match (kind, tls13, from_server) {
            (kind::KEY_UPDATE, true, _) if self.left == 1 => Ok(()),
            (kind::HELLO_REQUEST, false, true) if self.left == 0 => Ok(()),
            (kind::KEY_UPDATE, true, _) | (kind::HELLO_REQUEST, false, true) => Err(TlsError::LengthMismatch),
            (kind::NEW_SESSION_TICKET, true, true) | (kind::CLIENT_HELLO, false, false) => Ok(()),
            _ => Err(TlsError::UnexpectedMessage),
        }
    }

    /// Notes what the message that ended asks for. `body` is what this record brought of it.
    fn ask(&self, body: &[u8], ends_record: bool, asked: &mut Asked) -> Result<(), TlsError> {
        match (self.header[0], body) {
            // A key change within a record would leave the key of what follows open to doubt.
            (kind::KEY_UPDATE, _) if !ends_record => return Err(TlsError::UnexpectedMessage),
            (kind::KEY_UPDATE, &[requested @ (0 | 1)]) => {
                asked.key_update = true;
                asked.answer = requested == 1;
            }
            (kind::KEY_UPDATE, _) => return Err(TlsError::BadKeyUpdate),
            (kind::HELLO_REQUEST | kind::CLIENT_HELLO, _) => asked.renegotiation = true,
            _ => {}
        }
        Ok(())
    }
}

/// Reads an alert record.
pub(crate) fn alert(data: &[u8], tls13: bool) -> Result<Alert, TlsError> {
    let &[level, description] = data else { return Err(TlsError::UnexpectedMessage) };
    match AlertDescription::from(description) {
        AlertDescription::CloseNotify => Ok(Alert::Close),
        AlertDescription::UserCanceled if tls13 => Ok(Alert::Ignored),
        _ if !tls13 && level == level::WARNING => Ok(Alert::Ignored),
        other => Err(TlsError::Alert(other)),
    }
}
