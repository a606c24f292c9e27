//! What the fuzz targets and the property tests of the record layer run: each takes arbitrary octets and
//! panics when something is wrong.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails where it unwraps")]

mod model;
mod script;
mod socket;
mod world;

use super::control::{Messages, Rules};
use super::handshake::{Established, KeySource, SessionInfo};
use super::record::{Framed, Gather, HEADER, MAX_PLAINTEXT, OVERHEAD, Protector, frame};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305};
use model::Model;
use script::Script;
use std::io::IoSlice;

#[cfg(test)]
pub(super) use socket::Socket;
pub use world::traffic;

/// A version and a cipher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite {
    pub(crate) tls13: bool,
    pub(crate) cipher: &'static Algorithm,
}

/// Keys that both ends know without a handshake.
#[derive(Debug)]
pub(crate) struct FixedKeys {
    suite: Suite,
    client: bool,
    /// How often the keys for sending and receiving changed.
    generations: [u8; 2],
}

// === impl Suite ===

impl Suite {
    /// Every suite has a number.
    pub(crate) fn numbered(n: u8) -> Self {
        let cipher = [&AES_128_GCM, &AES_256_GCM, &CHACHA20_POLY1305][usize::from(n / 2 % 3)];
        Self { tls13: n.is_multiple_of(2), cipher }
    }

    /// One end's keys for one direction, after some changes.
    pub(crate) fn protector(self, from_client: bool, generation: u8) -> Protector {
        let key = [generation ^ if from_client { 0xc0 } else { 0x50 }; 32];
        let iv = [generation.wrapping_add(9); 12];
        Protector::with_key(self.tls13, 0, self.cipher, &key[..self.cipher.key_len()], &iv).unwrap()
    }

    /// What a handshake established, with `rest` behind it.
    pub(crate) fn established(self, client: bool, rest: Vec<u8>) -> Established {
        Established {
            sealer: self.protector(client, 0),
            opener: self.protector(!client, 0),
            keys: KeySource::Fixed(FixedKeys::new(self, client)),
            info: SessionInfo { protocol: "fixed", cipher: "fixed", ssf: 0, alpn: None, peer_certificate: None },
            rest,
        }
    }
}

// === impl FixedKeys ===

impl FixedKeys {
    pub(crate) const fn new(suite: Suite, client: bool) -> Self {
        Self { suite, client, generations: [0; 2] }
    }

    pub(crate) const fn is_client(&self) -> bool {
        self.client
    }

    pub(crate) fn next_sender(&mut self) -> Protector {
        self.next(0, self.client)
    }

    pub(crate) fn next_receiver(&mut self) -> Protector {
        self.next(1, !self.client)
    }

    fn next(&mut self, direction: usize, from_client: bool) -> Protector {
        let generation = &mut self.generations[direction];
        *generation = generation.wrapping_add(1);
        self.suite.protector(from_client, *generation)
    }
}

/// Seals one record as a peer may, with this padding (in TLS 1.3).
pub(crate) fn seal(protector: &mut Protector, content: u8, text: &[u8], padding: usize) -> Vec<u8> {
    // Padding is zeros behind the content type: sealed as text with a type of zero.
    let padded = [text, &[content], &vec![0; padding.saturating_sub(1)]].concat();
    let (text, content) = if padding > 0 && protector.is_tls13() { (padded.as_slice(), 0) } else { (text, content) };
    let mut out = vec![0; text.len() + OVERHEAD];
    let slices = [IoSlice::new(text)];
    let len = protector.seal(content, &Gather::new(&slices), text.len(), &mut out).unwrap();
    out.truncate(len);
    out
}

/// Octets that come as records: nothing but an error may come of them, and what was sealed opens to the
/// same once, in its order, and not after any change.
pub fn records(octets: &[u8]) {
    let mut script = Script::new(octets);
    let suite = Suite::numbered(script.octet());
    let (mut sealer, mut opener) = (suite.protector(true, 0), suite.protector(true, 0));
    let mut out = vec![0; MAX_PLAINTEXT + 512];
    while !script.is_over() {
        let (content, len) = (script.octet() | 1, script.short() % (MAX_PLAINTEXT + 1));
        let fill = script.octet();
        let mut record = seal(&mut sealer, content, &vec![fill; len], 0);
        assert_eq!(frame(&record), Ok(Framed::Whole(record.len())));
        assert_eq!(frame(&record[..record.len() - 1]), Ok(Framed::Partial));
        let (at, bit) = (script.short() % record.len(), script.octet() % 8);
        record[at] ^= 1 << bit;
        if frame(&record) == Ok(Framed::Whole(record.len())) {
            assert!(opener.open(&record, &mut out).is_err(), "changed at {at}");
        }
        record[at] ^= 1 << bit;
        let opened = opener.open(&record, &mut out).unwrap();
        assert_eq!((opened.content, opened.len), (content, len));
        assert!(out[..len].iter().all(|&octet| octet == fill));
        assert!(opener.open(&record, &mut out).is_err(), "opened twice");
    }
    if let Ok(Framed::Whole(len)) = frame(octets) {
        assert!((HEADER..=octets.len()).contains(&len));
        assert!(opener.open(&octets[..len], &mut out).is_err());
    }
}

/// Octets that come as post-handshake messages, in records of arbitrary lengths: the reader, which keeps
/// nothing, finds what a reader finds that keeps everything.
pub fn messages(octets: &[u8]) {
    let mut script = Script::new(octets);
    let setup = script.octet();
    let rules = Rules { tls13: setup & 1 == 0, from_server: setup & 2 == 0 };
    let (mut real, mut model) = (Messages::new(rules), Model::new(rules));
    while !script.is_over() {
        let len = usize::from(script.octet());
        let record = script.take(len);
        let expected = model.messages(record);
        assert_eq!(real.take(record), expected);
        if expected.is_err() {
            return;
        }
        assert_eq!(real.is_partial(), model.is_partial());
    }
}
