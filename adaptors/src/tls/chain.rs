//! The way from a peer's certificate to a trusted one.
//!
//! What OpenSSL accepts with partial chains allowed is accepted: every trusted certificate ends a chain, one that the
//! peer presents and that is itself trusted needs none, and any version is good for a peer's own. webpki, which
//! refuses version 1 and authorities that act for themselves, serves the tests as an oracle for everything else.

use super::anchors::Anchors;
use super::certificate::{Certificate, Signed, SubjectKey};
use super::constraints::MAX_COMPARISONS;
use super::policy::Rules;
use super::refusal::{Reason, Refusal};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};

/// Certificates in a chain, both ends included.
const MAX_CHAIN: usize = 16;
/// Certificates that a peer may present beside its own.
const MAX_PRESENTED: usize = 32;
/// Signatures checked for one peer.
const MAX_SIGNATURES: u32 = 100;

/// What a chain has to satisfy.
pub(super) struct Requirements<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) algorithms: &'a [&'static dyn SignatureVerificationAlgorithm],
    pub(super) rules: Rules<'a>,
}

/// A search in depth through the certificates that could have issued each other.
struct Search<'s, 'c> {
    requirements: &'s Requirements<'s>,
    /// The peer's own, what else it presented, and from `trusted_from` on the trusted ones that may fit.
    certificates: &'s [&'s Certificate<'c>],
    trusted_from: usize,
    signatures_left: u32,
    comparisons_left: usize,
    /// The first reason that tells more than that an issuer is not known.
    failure: Option<Refusal>,
}

// === impl Requirements ===

impl Requirements<'_> {
    /// Looks for a chain that satisfies everything.
    ///
    /// # Errors
    /// The most telling of the reasons why there is none.
    pub(super) fn check(&self, own: &Certificate<'_>, presented: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        if self.anchors.holds(own) {
            return self.rules.check(&[own], &mut 0);
        }
        if presented.len() > MAX_PRESENTED {
            return Err(own.refuse(Reason::TooLong));
        }
        // What cannot be read cannot help; nor does it harm, when the chain can do without.
        let presented: Vec<Certificate<'_>> = presented.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
        let trusted = self.trusted(own, &presented);
        let certificates: Vec<&Certificate<'_>> = [own].into_iter().chain(&presented).chain(&trusted).collect();
        let trusted_from = 1 + presented.len();
        let mut search = Search {
            requirements: self,
            certificates: &certificates,
            trusted_from,
            signatures_left: MAX_SIGNATURES,
            comparisons_left: MAX_COMPARISONS,
            failure: None,
        };
        if search.extend(&mut vec![0]) { Ok(()) } else { Err(search.into_failure()) }
    }

    /// The trusted certificates that could have issued one of these.
    fn trusted<'t>(&'t self, own: &'t Certificate<'_>, presented: &'t [Certificate<'_>]) -> Vec<Certificate<'t>> {
        let mut issuers: Vec<&[u8]> = [own].into_iter().chain(presented).map(|c| c.issuer.as_slice()).collect();
        issuers.sort_unstable();
        issuers.dedup();
        let trusted = issuers.into_iter().flat_map(|issuer| self.anchors.with_subject(issuer));
        trusted.filter_map(|der| Certificate::parse(der).ok()).collect()
    }
}

// === impl Search ===

impl<'s, 'c> Search<'s, 'c> {
    /// Whether a chain that begins with `path` can be completed.
    fn extend(&mut self, path: &mut Vec<usize>) -> bool {
        let trusted = self.trusted_from..self.certificates.len();
        let presented = 1..self.trusted_from;
        if path.len() >= MAX_CHAIN {
            self.note(Reason::TooLong, path);
            return false;
        }
        for issuer in trusted.chain(presented) {
            if path.contains(&issuer) || !self.has_issued(issuer, path) {
                continue;
            }
            path.push(issuer);
            if if issuer >= self.trusted_from { self.is_good(path) } else { self.extend(path) } {
                return true;
            }
            path.pop();
        }
        false
    }

    fn has_issued(&mut self, issuer: usize, path: &[usize]) -> bool {
        let (issuer, subject) = (self.certificates[issuer], self.last(path));
        if issuer.subject != subject.issuer || subject.names_another_key(issuer) {
            return false;
        }
        if self.signatures_left == 0 {
            self.note(Reason::TooMuchWork, path);
            return false;
        }
        self.signatures_left -= 1;
        match verify(&subject.signed, &issuer.key, self.requirements.algorithms) {
            Ok(()) => true,
            Err(Unverified::Algorithm) => {
                self.note(Reason::SignatureAlgorithm(subject.signature_algorithm_text()), path);
                false
            }
            Err(Unverified::Signature) => {
                self.note(Reason::BadSignature(subject.issuer_text()), path);
                false
            }
        }
    }

    fn is_good(&mut self, path: &[usize]) -> bool {
        let chain: Vec<&Certificate<'_>> = path.iter().map(|&at| self.certificates[at]).collect();
        match self.requirements.rules.check(&chain, &mut self.comparisons_left) {
            Ok(()) => true,
            Err(refusal) => {
                self.failure.get_or_insert(refusal);
                false
            }
        }
    }

    fn last(&self, path: &[usize]) -> &'s Certificate<'c> {
        self.certificates[path.last().copied().unwrap_or_default()]
    }

    fn note(&mut self, reason: Reason, path: &[usize]) {
        if self.failure.is_none() {
            self.failure = Some(self.last(path).refuse(reason));
        }
    }

    /// Why there is no chain. Without a better reason, the peer's chain ends in an issuer that is not known.
    fn into_failure(self) -> Refusal {
        if let Some(failure) = self.failure {
            return failure;
        }
        let presented = &self.certificates[..self.trusted_from];
        let mut end = presented[0];
        for _ in 0..presented.len() {
            match presented.iter().find(|other| !end.is_self_issued() && other.subject == end.issuer) {
                Some(issuer) => end = issuer,
                None => break,
            }
        }
        if end.is_self_issued() {
            return end.refuse(Reason::SelfSigned);
        }
        end.refuse(Reason::UnknownIssuer(end.issuer_text()))
    }
}

// === impl Certificate ===

impl Certificate<'_> {
    pub(super) fn refuse(&self, reason: Reason) -> Refusal {
        Refusal::new(reason, &self.subject_text())
    }
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It is of no kind that is known and safe.
    Algorithm,
    /// It was not made with this key.
    Signature,
}

/// Verifies what `signed` says with a key.
pub(super) fn verify(
    signed: &Signed<'_>,
    key: &SubjectKey<'_>,
    algorithms: &[&'static dyn SignatureVerificationAlgorithm],
) -> Result<(), Unverified> {
    let mut outcome = Err(Unverified::Algorithm);
    for algorithm in algorithms.iter().filter(|algorithm| *algorithm.signature_alg_id() == *signed.algorithm) {
        outcome = Err(Unverified::Signature);
        if *algorithm.public_key_alg_id() == *key.algorithm
            && algorithm.verify_signature(key.octets, signed.message, signed.signature).is_ok()
        {
            return Ok(());
        }
    }
    outcome
}
