//! Verification of the peer's certificate and handshake signature (spec `security-and-policy.md` 2.2): the chain always,
//! a server's name by the operator's choice.

use super::anchors::Anchors;
use super::certificate::{Certificate, Signed};
use super::chain::{self, Requirements};
use super::hostname;
use super::policy::{Purpose, Rules};
use super::refusal::{Reason, Refusal, Verdict};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;

/// What both sides' verifiers have in common.
#[derive(Debug, Clone)]
pub(super) struct Verifier {
    anchors: Arc<Anchors>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Where the reason of a refusal goes.
    verdict: Verdict,
}

/// Verifies the server for a connector.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    verifier: Verifier,
    /// Whom the certificate has to name.
    host: Option<String>,
}

/// Verifies the client for a listener.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    verifier: Verifier,
}

/// Judges a certificate chain, the peer's own first, as listeners and connectors do: at `now` (seconds since 1970),
/// and for `host` where a server has to name one.
///
/// # Errors
/// With the reason, when the chain is not accepted.
pub fn judge(
    trusted: Vec<CertificateDer<'static>>,
    chain: &[CertificateDer<'_>],
    purpose: Purpose,
    host: Option<&str>,
    now: u64,
) -> Result<(), Refusal> {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let anchors = Arc::new(Anchors::new(trusted).unwrap_or_default());
    let verifier = Verifier::new(anchors, algorithms, Verdict::default());
    let Some((own, presented)) = chain.split_first() else {
        return Err(Refusal::new(Reason::Malformed("no certificate"), "?"));
    };
    verifier.check(own, presented, UnixTime::since_unix_epoch(Duration::from_secs(now)), purpose, host)
}

// === impl Verifier ===

impl Verifier {
    pub(super) const fn new(anchors: Arc<Anchors>, algorithms: WebPkiSupportedAlgorithms, verdict: Verdict) -> Self {
        Self { anchors, algorithms, verdict }
    }

    fn check(
        &self,
        own: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
        now: UnixTime,
        purpose: Purpose,
        host: Option<&str>,
    ) -> Result<(), Refusal> {
        let own = Certificate::parse(own)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let algorithms = self.algorithms.all;
        let requirements = Requirements { anchors: &self.anchors, algorithms, rules: Rules { now, purpose, host } };
        requirements.check(&own, presented)?;
        host.map_or(Ok(()), |host| hostname::check(&own, host)).map_err(|reason| own.refuse(reason))
    }

    /// Keeps the reason of a refusal, and turns it into an error that makes the fitting alert.
    fn refuse(&self, refusal: Refusal) -> Error {
        let error = refusal.certificate_error();
        let _ = self.verdict.set(refusal);
        error.into()
    }

    /// A signature in the handshake of TLS 1.2, where a scheme does not say which kind of key it is for.
    fn verify_tls12(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let own = Certificate::parse(own).map_err(|refusal| self.refuse(refusal))?;
        let mapping = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == dss.scheme);
        let (_, algorithms) = mapping.ok_or(PeerIncompatible::NoSignatureSchemesInCommon)?;
        let fitting = algorithms.iter().copied().filter(|a| *a.public_key_alg_id() == *own.key.algorithm);
        for algorithm in fitting {
            let signature = dss.signature();
            let signed = Signed { message, algorithm: &algorithm.signature_alg_id(), signature };
            if chain::verify(&signed, &own.key, &[algorithm]).is_ok() {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let own = Certificate::parse(own).map_err(|refusal| self.refuse(refusal))?;
        let key = SubjectPublicKeyInfoDer::from(own.key.info);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }
}

// === impl ServerVerifier ===

impl ServerVerifier {
    pub(super) const fn new(verifier: Verifier, host: Option<String>) -> Self {
        Self { verifier, host }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.verifier.check(end_entity, intermediates, now, Purpose::Server, self.host.as_deref());
        checked.map(|()| ServerCertVerified::assertion()).map_err(|refusal| self.verifier.refuse(refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.algorithms.supported_schemes()
    }
}

// === impl ClientVerifier ===

impl ClientVerifier {
    pub(super) const fn new(verifier: Verifier) -> Self {
        Self { verifier }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.anchors.names()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let checked = self.verifier.check(end_entity, intermediates, now, Purpose::Client, None);
        checked.map(|()| ClientCertVerified::assertion()).map_err(|refusal| self.verifier.refuse(refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.algorithms.supported_schemes()
    }
}
