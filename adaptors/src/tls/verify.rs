//! Verification of a server's certificate as connectors want it (spec `security-and-policy.md` 2.2):
//! the chain always, the name by the operator's choice and by the rules that existing
//! deployments rely on (subject common names count even beside alternative names).

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Verifies the server side for connectors.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    roots: Arc<RootCertStore>,
    /// The certificates behind `roots`: one of them may be the server's own.
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    verify_name: bool,
}

// === impl ServerVerifier ===

impl ServerVerifier {
    pub(super) const fn new(
        roots: Arc<RootCertStore>,
        pinned: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
        verify_name: bool,
    ) -> Self {
        Self { roots, pinned, provider, verify_name }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A certificate that is itself configured as a trust anchor needs no chain, only to be valid now.
        if self.pinned.iter().any(|c| c == end_entity) {
            check_validity(end_entity, now)?;
        } else {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        }
        if self.verify_name && !names_host(end_entity, &server_name.to_str()) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// Whether a certificate names the host: any DNS or IP alternative name, else any subject common name.
fn names_host(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let ip = host.parse::<std::net::IpAddr>().ok();
    let by_alternative_name = parsed.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().any(|name| match name {
            GeneralName::DNSName(pattern) => name_matches(pattern, host),
            GeneralName::IPAddress(octets) => match ip {
                Some(std::net::IpAddr::V4(ip)) => ip.octets() == **octets,
                Some(std::net::IpAddr::V6(ip)) => ip.octets() == **octets,
                None => false,
            },
            _ => false,
        }),
        _ => false,
    });
    by_alternative_name
        || parsed.subject().iter_common_name().any(|cn| cn.as_str().is_ok_and(|pattern| name_matches(pattern, host)))
}

/// Label by label, ignoring case; a `*` in a label stands for any octets of that label.
fn name_matches(pattern: &str, host: &str) -> bool {
    const MAX_LABEL: usize = 63;
    let (pattern, host) = (pattern.trim_end_matches('.'), host.trim_end_matches('.'));
    let labels = |s: &str| s.split('.').count();
    !host.is_empty()
        && labels(pattern) == labels(host)
        && pattern.split('.').zip(host.split('.')).all(|(p, h)| {
            p.len() <= MAX_LABEL
                && h.len() <= MAX_LABEL
                && match p.split_once('*') {
                    None => p.eq_ignore_ascii_case(h),
                    Some((prefix, suffix)) => {
                        let (p, s, h) = (prefix.as_bytes(), suffix.as_bytes(), h.as_bytes());
                        h.len() >= p.len() + s.len()
                            && h[..p.len()].eq_ignore_ascii_case(p)
                            && h[h.len() - s.len()..].eq_ignore_ascii_case(s)
                    }
                }
        })
}

#[cfg(test)]
mod tests {
    use super::name_matches;

    #[test]
    fn name_patterns() {
        for (pattern, host, expected) in [
            ("localhost", "LocalHost", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("w*1.example.com", "web1.example.com", true),
            ("w*1.example.com", "w.example.com", false),
            ("a.*.com", "a.b.com", true),
            ("example.com", "example.org", false),
            ("", "", false),
        ] {
            assert_eq!(name_matches(pattern, host), expected, "{pattern} {host}");
        }
    }
}
