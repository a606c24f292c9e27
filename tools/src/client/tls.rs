//! TLS: whom we trust, and who we are.

use std::fs;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use crate::error::{Error, Result};

/// What the options say about TLS.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// File with our certificate and those between it and an authority.
    pub certificate: Option<String>,
    /// File with its private key.
    pub key: Option<String>,
    /// Password of the key.
    pub password: Option<String>,
    /// File with the authorities that are trusted instead of the system's.
    pub trusted: Option<String>,
    /// Any host name will do.
    pub any_name: bool,
}

/// Checks the chain, and the name as OpenSSL does: common names count where there are no alternative ones.
#[derive(Debug)]
struct Verifier {
    trusted: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
    any_name: bool,
    provider: Arc<CryptoProvider>,
}

// === impl Tls ===

impl Tls {
    /// The configuration of a connection.
    ///
    /// # Errors
    /// [`Error::Credentials`] when a file is of no use.
    pub fn config(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trusted = self.trusted_certificates()?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let verifier = Verifier { trusted, roots, any_name: self.any_name, provider: provider.clone() };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Credentials(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(path) => builder
                .with_client_auth_cert(certificates(path)?, self.private_key(path)?)
                .map_err(|error| Error::Credentials(format!("{path}: {error}")))?,
        };
        Ok(Arc::new(config))
    }

    fn trusted_certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        match &self.trusted {
            Some(path) => certificates(path),
            None => Ok(rustls_native_certs::load_native_certs().certs),
        }
    }

    /// Without an own file, the key is taken from that of the certificate.
    fn private_key(&self, certificate: &str) -> Result<PrivateKeyDer<'static>> {
        let path = self.key.as_deref().unwrap_or(certificate);
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let key = match text.find("-----BEGIN ENCRYPTED PRIVATE KEY") {
            Some(at) => decrypt(&text[at..], self.password.as_deref()),
            None => PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string()),
        };
        key.map_err(|reason| Error::Credentials(format!("no private key from {path}: {reason}")))
    }
}

fn decrypt(pem: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.ok_or("it is encrypted, so --ssl-password or --ssl-password-file is needed")?;
    let (_, document) = pkcs8::SecretDocument::from_pem(pem).map_err(|error| error.to_string())?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|error| error.to_string())?;
    let key = encrypted.decrypt(password).map_err(|error| format!("wrong password? {error}"))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::Credentials(format!("{path} holds no certificate in PEM form"))),
        Err(error) => Err(Error::Credentials(format!("{path}: {error}"))),
    }
}

fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::Credentials(format!("{path}: {error}")))
}

// === impl Verifier ===

impl Verifier {
    fn verify_chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            return Ok(());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify_chain(end_entity, intermediates, now)?;
        if !self.any_name {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let verified = verify_server_name(&certificate, server_name);
            verified.or_else(|error| common_name_matches(end_entity, server_name).then_some(()).ok_or(error))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate without alternative names is for this DNS name (RFC 6125 section 6.4.4).
fn common_name_matches(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let (ServerName::DnsName(name), Ok((_, parsed))) = (name, x509_parser::parse_x509_certificate(certificate)) else {
        return false;
    };
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let mut names = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.any(|common| common.eq_ignore_ascii_case(name.as_ref()))
}
