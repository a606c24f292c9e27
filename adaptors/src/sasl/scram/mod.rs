//! SCRAM (RFC 5802; RFC 7677 with SHA-256): both sides prove to each other that they know a password, and neither
//! sends it.
//!
//! ```text
//!   client                                                  server
//!     n,,n=user,r=<its nonce>                         -->
//!                             <--  r=<both nonces>,s=<salt>,i=<iterations>
//!     c=biws,r=<both nonces>,p=<proof>                -->
//!                             <--  v=<signature>
//! ```
//!
//! Without input and output: each side takes a message and gives the next. Its second step costs thousands of hashes,
//! so it is not for a thread that moves traffic. Names and passwords are used as they are, not prepared (SASLprep), as
//! Cyrus SASL does, whose database they come from. There is no channel binding.

mod client;
mod message;
mod server;

pub(super) use client::ScramClient;
pub(super) use server::ScramServer;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use router_engine::port::Mechanism;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// What this router asks for: the least that RFC 7677 allows, and what other servers ask for. The database has the
/// passwords themselves, so more would only protect what was overheard.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// More is refused: a server could keep its clients busy.
const MAX_ITERATIONS: u32 = 600_000;

/// Octets of randomness in a nonce.
const NONCE: usize = 18;

/// A hash function that SCRAM is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

/// What both sides derive of a password.
struct Keys {
    hash: Hash,
    client: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
}

/// What is wrong with what the peer sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("SCRAM message is malformed: {0}")]
    Malformed(&'static str),
    #[error("SCRAM message is too long")]
    TooLong,
    #[error("SCRAM message demands an unknown extension")]
    Extension,
    #[error("SCRAM channel binding is not supported")]
    ChannelBinding,
    #[error("SCRAM nonce is not the one of this exchange")]
    Nonce,
    #[error("SCRAM iteration count {0} is not between {min} and {MAX_ITERATIONS}", min = ITERATIONS)]
    Iterations(u32),
    #[error("SCRAM server tells an error: {0}")]
    Server(String),
    #[error("SCRAM server does not know the password")]
    Signature,
    #[error("SCRAM message out of order")]
    Order,
}

// === impl Hash ===

impl Hash {
    /// The hash of a mechanism of the SCRAM family.
    pub(super) const fn of(mechanism: Mechanism) -> Option<Self> {
        match mechanism {
            Mechanism::ScramSha1 => Some(Self::Sha1),
            Mechanism::ScramSha256 => Some(Self::Sha256),
            Mechanism::ScramSha512 => Some(Self::Sha512),
            Mechanism::External | Mechanism::Plain | Mechanism::Anonymous => None,
        }
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn digest(self, data: &[u8]) -> digest::Digest {
        digest::digest(self.algorithm(), data)
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
    }

    /// The salted password.
    fn stretched(self, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<Vec<u8>> {
        let algorithm = match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut out = Zeroizing::new(vec![0; self.algorithm().output_len()]);
        pbkdf2::derive(algorithm, iterations, salt, password, &mut out);
        out
    }
}

// === impl Keys ===

impl Keys {
    fn new(hash: Hash, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let salted = hash.stretched(password, salt, iterations);
        let key = |label: &[u8]| Zeroizing::new(hash.hmac(&salted, label).as_ref().to_vec());
        Self { hash, client: key(b"Client Key"), server: key(b"Server Key") }
    }

    /// What the client sends for a conversation.
    fn proof(&self, conversation: &[u8]) -> Vec<u8> {
        xor(&self.client, self.client_signature(conversation).as_ref())
    }

    /// Whether a proof was made with the client's key.
    fn is_proof(&self, proof: &[u8], conversation: &[u8]) -> bool {
        let signature = self.client_signature(conversation);
        let claimed = Zeroizing::new(xor(proof, signature.as_ref()));
        proof.len() == signature.as_ref().len()
            && equal(self.hash.digest(&claimed).as_ref(), self.hash.digest(&self.client).as_ref())
    }

    fn client_signature(&self, conversation: &[u8]) -> hmac::Tag {
        self.hash.hmac(self.hash.digest(&self.client).as_ref(), conversation)
    }

    /// What the server sends for a conversation.
    fn signature(&self, conversation: &[u8]) -> hmac::Tag {
        self.hash.hmac(&self.server, conversation)
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// Compares in time that does not depend on where the difference is.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn encoded(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

fn decoded(text: &str, what: &'static str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|_| Fault::Malformed(what))
}

/// A nonce that nobody can guess.
fn nonce() -> String {
    encoded(&crate::random::octets::<NONCE>())
}

#[cfg(test)]
pub(super) mod tests;
