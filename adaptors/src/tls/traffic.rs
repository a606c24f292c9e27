//! The protected octets of a connection after its handshake, both ways, without the socket.
//!
//! Keys change in TLS 1.3 when the peer says so, when it asks for it (before the next data, so that many
//! requests need one answer), and when a key is worn: ours we change, the peer's we ask it to change.
//! TLS 1.2 has no such change: a worn key ends the connection.

use super::control::{self, Alert, Messages, Rules, kind, level};
use super::error::TlsError;
use super::handshake::{Established, KeySource};
use super::record::{Framed, Gather, HEADER, MAX_PLAINTEXT, OVERHEAD, Opened, Protector, content, frame};
use super::session::PeerEnd;
use super::window::Window;
use crate::pool::{self, Segment};
use rustls::AlertDescription;
use std::io::IoSlice;

/// Records without data (and messages in them) that may follow each other without data between them in
/// either direction. Each costs us work and brings nothing; honest peers send a few.
pub(crate) const MAX_CONTROLS: u32 = 64;

/// Both directions of a connection after its handshake.
pub(super) struct Traffic {
    sealer: Protector,
    opener: Protector,
    keys: KeySource,
    messages: Messages,
    /// Records without data since the last with data.
    controls: u32,
    /// Keys change after so many records if their ciphers allow more.
    key_limit: u64,
    due: Due,
    /// The peer was asked to change the key that it seals with.
    asked: bool,
}

/// What has to be sent before the next data.
#[derive(Debug, Clone, Copy, Default)]
struct Due {
    /// The peer asked us to change our key.
    answer: bool,
    /// The peer's key is worn.
    request: bool,
    /// The peer asked for a new handshake.
    decline: bool,
}

/// The data segment in use, if any, when opening failed.
pub(super) type OpenFailure = (Option<Segment>, TlsError);

// === impl Traffic ===

impl Traffic {
    /// Takes a handshake's results over.
    pub(super) fn new(established: Established, key_limit: u64) -> Self {
        let Established { mut sealer, mut opener, keys, .. } = established;
        sealer.limit_to(key_limit);
        opener.limit_to(key_limit);
        let rules = Rules { tls13: opener.is_tls13(), from_server: keys.is_client() };
        let (messages, due) = (Messages::new(rules), Due::default());
        Self { sealer, opener, keys, messages, controls: 0, key_limit, due, asked: false }
    }

    // --- opening

    /// Opens whole records at the front of `input` into one data segment, as far as they fit.
    pub(super) fn open_all(
        &mut self,
        input: &mut Window,
        filled: &mut usize,
        peer_end: &mut Option<PeerEnd>,
    ) -> Result<Option<Segment>, OpenFailure> {
        let mut target = None;
        while peer_end.is_none() {
            let whole = match frame(input.octets()) {
                Ok(Framed::Whole(len)) => len,
                Ok(Framed::Partial) => break,
                Err(error) => return Err((target, error)),
            };
            if *filled + whole - HEADER > pool::SEGMENT {
                break;
            }
            let segment = target.get_or_insert_with(pool::take_spare);
            let out = &mut segment[*filled..];
            let opened = match self.opener.open(&input.octets()[..whole], out) {
                Ok(opened) => opened,
                Err(error) => return Err((target, error)),
            };
            input.consume(whole);
            if opened.content == content::DATA && opened.len > 0 && !self.messages.is_partial() {
                *filled += opened.len;
                self.controls = 0;
            } else if let Err(error) = self.on_control(opened, &out[..opened.len], peer_end) {
                return Err((target, error));
            }
        }
        if self.opener.is_worn() && self.opener.is_tls13() && !self.asked {
            self.asked = true;
            self.due.request = true;
        }
        Ok(target)
    }

    /// Handles a record without data.
    fn on_control(&mut self, opened: Opened, text: &[u8], peer_end: &mut Option<PeerEnd>) -> Result<(), TlsError> {
        match opened.content {
            content::HANDSHAKE => self.on_messages(text),
            content::ALERT => match control::alert(text, self.opener.is_tls13())? {
                _ if self.messages.is_partial() => Err(TlsError::UnexpectedMessage),
                Alert::Ignored => self.count_controls(1),
                Alert::Close => {
                    *peer_end = Some(PeerEnd::CloseNotify);
                    Ok(())
                }
            },
            content::DATA if !self.messages.is_partial() => self.count_controls(1),
            _ => Err(TlsError::UnexpectedMessage),
        }
    }

    /// Handles post-handshake messages. Tickets are not used, renegotiation is declined.
    fn on_messages(&mut self, text: &[u8]) -> Result<(), TlsError> {
        let asked = self.messages.take(text)?;
        self.count_controls(asked.messages.max(1))?;
        if asked.key_update {
            self.opener = self.keys.update_receiver()?;
            self.opener.limit_to(self.key_limit);
            self.asked = false;
        }
        self.due.answer |= asked.answer;
        self.due.decline |= asked.renegotiation;
        Ok(())
    }

    const fn count_controls(&mut self, n: u32) -> Result<(), TlsError> {
        self.controls = self.controls.saturating_add(n);
        if self.controls > MAX_CONTROLS { Err(TlsError::TooManyControls) } else { Ok(()) }
    }

    // --- sealing

    /// Seals as much as fits the output, in records as full as possible. Returns the octets taken.
    pub(super) fn seal_all(&mut self, slices: &[IoSlice<'_>], output: &mut Window) -> Result<usize, TlsError> {
        self.seal_due(output)?;
        if self.sealer.is_worn() {
            self.change_key(false, output)?;
        }
        let mut source = Gather::new(slices);
        let mut left = source.len();
        let mut taken = 0;
        while left > 0 {
            let room = output.room();
            if room.len() < MAX_PLAINTEXT.min(left) + OVERHEAD {
                break;
            }
            let len = left.min(MAX_PLAINTEXT);
            let sealed = self.sealer.seal(content::DATA, &source, len, room)?;
            output.produce(sealed);
            source.advance(len);
            left -= len;
            taken += len;
        }
        if taken > 0 {
            self.controls = 0;
        }
        Ok(taken)
    }

    /// Whether something is due that should not wait for data.
    pub(super) const fn is_reply_due(&self) -> bool {
        self.due.request || self.due.decline
    }

    /// Seals what the peer's octets made due. The output has room for it when it is empty.
    pub(super) fn seal_due(&mut self, output: &mut Window) -> Result<(), TlsError> {
        let due = std::mem::take(&mut self.due);
        if due.decline {
            self.seal_alert(level::WARNING, AlertDescription::NoRenegotiation, output)?;
        }
        if due.answer || due.request {
            self.change_key(due.request, output)?;
        }
        Ok(())
    }

    /// Changes the key that we seal with; with `request` the peer has to follow with its own.
    fn change_key(&mut self, request: bool, output: &mut Window) -> Result<(), TlsError> {
        if !self.sealer.is_tls13() {
            return Err(TlsError::KeyWorn);
        }
        self.seal_small(content::HANDSHAKE, &[kind::KEY_UPDATE, 0, 0, 1, u8::from(request)], output)?;
        self.sealer = self.keys.update_sender()?;
        self.sealer.limit_to(self.key_limit);
        Ok(())
    }

    pub(super) fn seal_alert(
        &mut self,
        level: u8,
        description: AlertDescription,
        output: &mut Window,
    ) -> Result<(), TlsError> {
        self.seal_small(content::ALERT, &[level, u8::from(description)], output)
    }

    /// Seals one record with a few octets.
    fn seal_small(&mut self, content: u8, data: &[u8], output: &mut Window) -> Result<(), TlsError> {
        let slices = [IoSlice::new(data)];
        let sealed = self.sealer.seal(content, &Gather::new(&slices), data.len(), output.room())?;
        output.produce(sealed);
        Ok(())
    }
}
