//! TLS record protection after the handshake (RFC 8446 section 5, RFC 5246 section 6.2.3.3).
//!
//! Done here rather than inside rustls because its connection types copy every record twice and
//! allocate for each; here a record is sealed straight from payload slices into the output buffer
//! and opened straight from the input buffer into a data segment.

use super::error::TlsError;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};
use std::io::IoSlice;

/// Octets of payload in a record at most.
pub(crate) const MAX_PLAINTEXT: usize = 16 * 1024;
/// Octets before the body of a record.
pub(crate) const HEADER: usize = 5;
/// Octets that protection adds at most, with the header.
pub(crate) const OVERHEAD: usize = HEADER + EXPLICIT_NONCE + TAG;

const TAG: usize = 16;
const EXPLICIT_NONCE: usize = 8;
/// The longest record body that a peer may send (RFC 8446 5.2). RFC 5246 6.2.3 allows more for ciphers that
/// add more: those here add [`OVERHEAD`], so that what is longer than this holds too much text anyway.
const MAX_BODY: usize = MAX_PLAINTEXT + 256;

/// Record content types.
pub(crate) mod content {
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const DATA: u8 = 23;
}

/// How nonces and additional data are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Tls13,
    Tls12Gcm,
    Tls12Chacha,
}

/// One direction of a protected connection.
pub(crate) struct Protector {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    scheme: Scheme,
    /// What was sealed, in the unit of the limit.
    wear: u64,
    /// When the key is [worn](Self::is_worn).
    limit: u64,
}

/// RFC 8446 5.5 lets one AES-GCM key protect 2^24.5 full records. TLS 1.3 changes keys for next to nothing,
/// and does it long before, after this many records of whatever length.
const RECORDS: u64 = 1 << 23;
/// TLS 1.2 cannot change keys, and the connection has to end instead. So that it does not end without need,
/// what the bound comes from is counted: cipher blocks. These are those of 2^24 full records, 256 GiB.
const BLOCKS: u64 = FULL_RECORD << 24;
/// Cipher blocks of a full record.
const FULL_RECORD: u64 = blocks(MAX_PLAINTEXT);
const BLOCK: usize = 16;

/// The outcome of looking for a record at the front of some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framed {
    /// More octets are needed.
    Partial,
    /// A record of this many octets, header included.
    Whole(usize),
}

/// What a record held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The content type.
    pub(crate) content: u8,
    /// Octets of plaintext at the front of the output.
    pub(crate) len: usize,
}

/// Looks for a record at the front of `input`.
pub(crate) fn frame(input: &[u8]) -> Result<Framed, TlsError> {
    let Some(header) = input.get(..HEADER) else { return Ok(Framed::Partial) };
    let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if header[1] != 3 {
        return Err(TlsError::WrongVersion);
    }
    if body > MAX_BODY {
        return Err(TlsError::RecordTooLong);
    }
    let whole = HEADER + body;
    Ok(if input.len() < whole { Framed::Partial } else { Framed::Whole(whole) })
}

// === impl Protector ===

impl Protector {
    pub(crate) fn new(
        version: ProtocolVersion,
        sequence: u64,
        secrets: &ConnectionTrafficSecrets,
    ) -> Result<Self, TlsError> {
        let (cipher, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(TlsError::Internal("unknown record cipher")),
        };
        Self::with_key(version == ProtocolVersion::TLSv1_3, sequence, cipher, key.as_ref(), iv.as_ref())
    }

    /// For the next record `sequence`. In TLS 1.2 with AES-GCM the last eight octets of `iv` are where the
    /// explicit nonces begin.
    pub(crate) fn with_key(
        tls13: bool,
        sequence: u64,
        cipher: &'static Algorithm,
        key: &[u8],
        iv: &[u8],
    ) -> Result<Self, TlsError> {
        let gcm = cipher != &CHACHA20_POLY1305;
        let key = UnboundKey::new(cipher, key).map_err(|_| TlsError::Internal("bad record key"))?;
        let iv = iv.try_into().map_err(|_| TlsError::Internal("bad record iv"))?;
        let (scheme, limit) = match (tls13, gcm) {
            (true, true) => (Scheme::Tls13, RECORDS),
            (false, true) => (Scheme::Tls12Gcm, BLOCKS),
            // ChaCha20-Poly1305 outlasts the sequence numbers, which must not wrap.
            (true, false) => (Scheme::Tls13, u64::MAX - 1),
            (false, false) => (Scheme::Tls12Chacha, u64::MAX - 1),
        };
        Ok(Self { key: LessSafeKey::new(key), iv, sequence, scheme, wear: sequence, limit })
    }

    /// Whether the key has protected as much as it should.
    pub(crate) const fn is_worn(&self) -> bool {
        self.wear >= self.limit
    }

    /// Lets the key wear out after `records` full records, if it would not sooner.
    pub(crate) const fn limit_to(&mut self, records: u64) {
        let limit = match self.scheme {
            Scheme::Tls12Gcm => records.saturating_mul(FULL_RECORD),
            Scheme::Tls13 | Scheme::Tls12Chacha => records,
        };
        if limit < self.limit {
            self.limit = limit;
        }
    }

    pub(crate) const fn is_tls13(&self) -> bool {
        matches!(self.scheme, Scheme::Tls13)
    }

    /// Counts a record of `len` octets of text.
    const fn count(&mut self, len: usize) {
        self.sequence += 1;
        self.wear += match self.scheme {
            Scheme::Tls12Gcm => blocks(len),
            Scheme::Tls13 | Scheme::Tls12Chacha => 1,
        };
    }

    /// Octets that a record of `len` octets of plaintext takes.
    pub(crate) const fn sealed_len(&self, len: usize) -> usize {
        match self.scheme {
            Scheme::Tls13 => HEADER + len + 1 + TAG,
            Scheme::Tls12Gcm => HEADER + EXPLICIT_NONCE + len + TAG,
            Scheme::Tls12Chacha => HEADER + len + TAG,
        }
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (n, s) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *n ^= s;
        }
        nonce
    }

    /// The additional data of TLS 1.2, with the content type and version of the record's header.
    fn aad12(&self, header: &[u8], len: usize) -> [u8; 13] {
        let mut aad = [0; 13];
        aad[..8].copy_from_slice(&self.sequence.to_be_bytes());
        aad[8..11].copy_from_slice(&header[..3]);
        aad[11..].copy_from_slice(&be16(len));
        aad
    }

    /// Seals one record of `len` octets gathered from `input` (which has at least so many, and `len` is
    /// at most [`MAX_PLAINTEXT`]) to the front of `out`. Returns the octets written.
    pub(crate) fn seal(
        &mut self,
        content: u8,
        input: &Gather<'_>,
        len: usize,
        out: &mut [u8],
    ) -> Result<usize, TlsError> {
        let whole = self.sealed_len(len);
        let nonce = self.nonce();
        let out = out.get_mut(..whole).ok_or(TlsError::Internal("no room for a record"))?;
        let (header, body) = out.split_at_mut(HEADER);
        let body_len = be16(whole - HEADER);
        let outer = if self.scheme == Scheme::Tls13 { content::DATA } else { content };
        header.copy_from_slice(&[outer, 3, 3, body_len[0], body_len[1]]);
        let aad12 = self.aad12(header, len);
        let (aad, extra): (&[u8], &[u8]) =
            if self.scheme == Scheme::Tls13 { (header, std::slice::from_ref(&content)) } else { (&aad12, &[]) };
        let body = if self.scheme == Scheme::Tls12Gcm {
            let (explicit, body) = body.split_at_mut(EXPLICIT_NONCE);
            explicit.copy_from_slice(&nonce[4..]);
            body
        } else {
            body
        };
        let (text, extra_and_tag) = body.split_at_mut(len);
        let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(aad));
        let sealed = if let Some(plain) = input.contiguous(len) {
            self.key.seal_out_of_place_scatter(nonce, aad, plain, text, extra, extra_and_tag)
        } else {
            input.copy_to(text);
            self.key.seal_in_place_scatter(nonce, aad, text, extra, extra_and_tag)
        };
        sealed.map_err(|_| TlsError::Internal("sealing failed"))?;
        self.count(len);
        Ok(whole)
    }

    /// Opens one whole record into the front of `out`, which has room for the record's body.
    pub(crate) fn open(&mut self, record: &[u8], out: &mut [u8]) -> Result<Opened, TlsError> {
        let (header, body) = record.split_at_checked(HEADER).ok_or(TlsError::BadRecord)?;
        if self.scheme == Scheme::Tls13 && header[0] != content::DATA {
            return Err(TlsError::UnexpectedMessage);
        }
        let mut nonce = self.nonce();
        let body = if self.scheme == Scheme::Tls12Gcm {
            let (explicit, body) = body.split_at_checked(EXPLICIT_NONCE).ok_or(TlsError::BadRecord)?;
            nonce[..4].copy_from_slice(&self.iv[..4]);
            nonce[4..].copy_from_slice(explicit);
            body
        } else {
            body
        };
        let len = body.len().checked_sub(TAG).ok_or(TlsError::BadRecord)?;
        let (text, tag) = body.split_at(len);
        let out = out.get_mut(..len).ok_or(TlsError::Internal("no room for a record's text"))?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad12 = self.aad12(header, len);
        let aad: &[u8] = if self.scheme == Scheme::Tls13 { header } else { &aad12 };
        self.key.open_separate_gather(nonce, Aad::from(aad), text, tag, out).map_err(|_| TlsError::BadRecord)?;
        self.count(len);
        // In TLS 1.3 the content type counts like an octet of text, and so does padding.
        if len > MAX_PLAINTEXT + usize::from(self.scheme == Scheme::Tls13) {
            return Err(TlsError::RecordTooLong);
        }
        if self.scheme == Scheme::Tls13 { unpad(out) } else { Ok(Opened { content: header[0], len }) }
    }
}

impl std::fmt::Debug for Protector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protector")
            .field("scheme", &self.scheme)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// Finds the content type behind the padding of a TLS 1.3 record.
fn unpad(text: &[u8]) -> Result<Opened, TlsError> {
    let at = text.iter().rposition(|&b| b != 0).ok_or(TlsError::UnexpectedMessage)?;
    Ok(Opened { content: text[at], len: at })
}

/// Cipher blocks that a record of `len` octets of text takes, with the one that masks its tag.
const fn blocks(len: usize) -> u64 {
    // A record's length fits any integer.
    len.div_ceil(BLOCK) as u64 + 1
}

fn be16(n: usize) -> [u8; 2] {
    // Record lengths are bounded far below 65536.
    u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes()
}

/// A cursor over slices to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather<'a> {
    slices: &'a [IoSlice<'a>],
    /// Octets of the first slice that were taken.
    skip: usize,
}

// === impl Gather ===

impl<'a> Gather<'a> {
    pub(crate) const fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Self { slices, skip: 0 }
    }

    /// Octets left.
    pub(crate) fn len(&self) -> usize {
        self.slices.iter().map(|s| s.len()).sum::<usize>() - self.skip
    }

    /// The next `len` octets when they lie in one slice.
    fn contiguous(&self, len: usize) -> Option<&'a [u8]> {
        self.slices.first()?.get(self.skip..self.skip + len).filter(|s| !s.is_empty())
    }

    fn copy_to(&self, mut out: &mut [u8]) {
        let mut skip = self.skip;
        for slice in self.slices {
            if out.is_empty() {
                return;
            }
            let from = &slice[skip.min(slice.len())..];
            let n = from.len().min(out.len());
            let (now, later) = out.split_at_mut(n);
            now.copy_from_slice(&from[..n]);
            out = later;
            skip = 0;
        }
    }

    /// Forgets the next `n` octets.
    pub(crate) fn advance(&mut self, n: usize) {
        self.skip += n;
        while let Some(first) = self.slices.first() {
            if self.skip < first.len() {
                return;
            }
            self.skip -= first.len();
            self.slices = &self.slices[1..];
        }
    }
}
