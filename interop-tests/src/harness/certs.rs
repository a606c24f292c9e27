//! A certificate authority for one test, and identities it signed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Certificate files of one identity, valid as server `localhost` and as client.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Certificate of the authority.
    pub ca: PathBuf,
    /// Certificate of the identity.
    pub certificate: PathBuf,
    /// Private key of the identity.
    pub key: PathBuf,
}

// === impl Certificates ===

impl Certificates {
    /// Makes an authority and one identity signed by it, as PEM files in `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        let authority = authority()?;
        let files =
            Self { ca: folder.join("ca.crt"), certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
        let key = KeyPair::generate()?;
        let certificate = identity()?.signed_by(&key, &authority.issuer)?;
        write(&files.ca, &authority.certificate)?;
        write(&files.certificate, &certificate.pem())?;
        write(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "interop test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Authority { issuer: Issuer::new(params, key), certificate })
}

fn identity() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
