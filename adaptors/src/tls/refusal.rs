//! Why a peer's certificate is refused, in the words that operators know from OpenSSL, with what it takes to act on it.

use rustls::CertificateError;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Where a session's verifier leaves its reason: the errors of rustls have no room for it.
pub(crate) type Verdict = Arc<OnceLock<Refusal>>;

/// A certificate that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub reason: Reason,
    /// Whose certificate it is, shortened and free of control characters.
    pub subject: String,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It cannot be read.
    #[error("malformed certificate: {0}")]
    Malformed(&'static str),
    /// Its time is over.
    #[error("certificate has expired: on {0}")]
    Expired(String),
    /// Its time has not come.
    #[error("certificate is not yet valid: before {0}")]
    NotYetValid(String),
    /// Nobody who is trusted has issued it.
    #[error("unable to get local issuer certificate: caCertFile has no certificate of the issuer '{0}'")]
    UnknownIssuer(String),
    /// It has issued itself, and is not trusted.
    #[error("self-signed certificate: it is not in caCertFile")]
    SelfSigned,
    /// The issuer's key has not signed it.
    #[error("certificate signature failure: not signed by the key of the issuer '{0}'")]
    BadSignature(String),
    /// Signed in a way that is not safe, or not known.
    #[error("certificate signature algorithm is not accepted: {0}")]
    SignatureAlgorithm(String),
    /// An RSA key of so many bits.
    #[error("certificate key too weak: RSA with {0} bits, at least 2048 are needed")]
    WeakKey(usize),
    /// A critical extension that nobody here understands.
    #[error("unhandled critical extension: {0}")]
    CriticalExtension(String),
    /// It has issued another one, and may not.
    #[error("invalid CA certificate: {0}")]
    NotAuthority(&'static str),
    /// Too many authorities below it.
    #[error("path length constraint exceeded: {below} authorities below it, {limit} allowed")]
    PathLength {
        /// Authorities below this one.
        below: usize,
        /// So many it allows.
        limit: u32,
    },
    /// Made for something else.
    #[error("unsuitable certificate purpose: {needed} is not among its usages ({allowed})")]
    Purpose {
        /// What it was used for.
        needed: &'static str,
        /// What it may be used for.
        allowed: String,
    },
    /// An authority may not issue for such a name.
    #[error("name constraint violation: {0}")]
    NameConstraint(String),
    /// It names other hosts.
    #[error("hostname mismatch: '{host}' is not among the names of the certificate ({offered})")]
    Name {
        /// Who was meant.
        host: String,
        /// Whom it names.
        offered: String,
    },
    /// More certificates than a chain may have.
    #[error("certificate chain too long")]
    TooLong,
    /// So contrived that checking it was given up.
    #[error("certificate chain takes too much work to check")]
    TooMuchWork,
}

// === impl Refusal ===

impl Refusal {
    const MAX_SUBJECT: usize = 160;

    pub(super) fn new(reason: Reason, subject: &str) -> Self {
        Self { reason, subject: clip(subject, Self::MAX_SUBJECT) }
    }

    /// The nearest thing that rustls knows: it decides about the alert.
    pub(super) const fn certificate_error(&self) -> CertificateError {
        match &self.reason {
            Reason::Malformed(_)
            | Reason::SignatureAlgorithm(_)
            | Reason::WeakKey(_)
            | Reason::TooLong
            | Reason::TooMuchWork => CertificateError::BadEncoding,
            Reason::Expired(_) => CertificateError::Expired,
            Reason::NotYetValid(_) => CertificateError::NotValidYet,
            Reason::UnknownIssuer(_) | Reason::SelfSigned | Reason::NotAuthority(_) | Reason::PathLength { .. } => {
                CertificateError::UnknownIssuer
            }
            Reason::BadSignature(_) => CertificateError::BadSignature,
            Reason::CriticalExtension(_) => CertificateError::UnhandledCriticalExtension,
            Reason::Purpose { .. } => CertificateError::InvalidPurpose,
            Reason::NameConstraint(_) | Reason::Name { .. } => CertificateError::NotValidForName,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (certificate of '{}')", self.reason, self.subject)
    }
}

/// Shortens a text from a peer for a log line, and takes out what would disturb it.
pub(super) fn clip(text: &str, max: usize) -> String {
    let mut out: String =
        text.chars().take(max).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(max).is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_peers_are_clipped() {
        assert_eq!(clip("short", 10), "short");
        assert_eq!(clip("0123456789a", 10), "0123456789...");
        assert_eq!(clip("a\nb\u{7f}", 10), "a\u{fffd}b\u{fffd}");
    }
}
