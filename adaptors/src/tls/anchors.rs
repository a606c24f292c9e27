//! The certificates that a profile trusts.

use super::certificate::Certificate;
use rustls::DistinguishedName;
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;

/// Trusted certificates, found by their subject. Each of them ends a chain, whether it is a root, another authority
/// or the peer's own.
#[derive(Default)]
pub(super) struct Anchors {
    certificates: Vec<CertificateDer<'static>>,
    /// Places in `certificates`, by subject.
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    names: Vec<DistinguishedName>,
}

// === impl Anchors ===

impl Anchors {
    /// Octets of names that clients are told in a handshake; more names than that are not told at all.
    const MAX_NAMES: usize = 32 * 1024;

    /// Those of the certificates that can be read; `None` when there is none.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Option<Self> {
        let mut anchors = Self::default();
        for der in certificates {
            let Ok(certificate) = Certificate::parse(&der) else { continue };
            let at = anchors.certificates.len();
            anchors.by_subject.entry(certificate.subject.clone()).or_default().push(at);
            let name = DistinguishedName::from(certificate.subject_der().to_vec());
            if !anchors.names.iter().any(|other| other.as_ref() == name.as_ref()) {
                anchors.names.push(name);
            }
            anchors.certificates.push(der);
        }
        if anchors.names.iter().map(|name| name.as_ref().len()).sum::<usize>() > Self::MAX_NAMES {
            anchors.names.clear();
        }
        (!anchors.certificates.is_empty()).then_some(anchors)
    }

    /// Whether a certificate is itself trusted.
    pub(super) fn holds(&self, certificate: &Certificate<'_>) -> bool {
        self.with_subject(&certificate.subject).any(|der| **der == *certificate.der)
    }

    /// Trusted certificates of a subject.
    pub(super) fn with_subject(&self, subject: &[u8]) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.by_subject.get(subject).into_iter().flatten().map(|&at| &self.certificates[at])
    }

    /// The subjects, for the request that a server sends to clients.
    pub(super) fn names(&self) -> &[DistinguishedName] {
        &self.names
    }
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchors").field("certificates", &self.certificates.len()).finish_non_exhaustive()
    }
}
