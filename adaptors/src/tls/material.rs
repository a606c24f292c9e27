//! The files of a profile.

use super::anchors::Anchors;
use super::certificate::Certificate;
use super::key::{self, KeyError};
use super::profile::TlsProfile;
use super::secret::os_text;
use crate::files;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io;
use std::path::Path;

/// What a profile's files hold.
pub(super) struct Material {
    pub(super) anchors: Option<Anchors>,
    pub(super) own: Option<CertifiedKey>,
}

/// Why a profile's files are of no use: which of them, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Anchors(FileError),
    #[error("{0}")]
    Certificate(FileError),
    #[error("private key file '{path}' {error}")]
    Key { path: String, error: KeyError },
}

/// What is wrong with a file of certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileError {
    /// The operating system's words.
    #[error("{0}")]
    Unreadable(String),
    #[error("it holds no certificate in PEM form")]
    Empty,
    #[error("its PEM form is damaged")]
    Damaged,
    #[error("it holds no certificate that can be read")]
    Malformed,
}

// === impl Material ===

impl Material {
    /// Reads the files that a profile names. Not for an IO thread.
    pub(super) fn read(profile: &TlsProfile) -> Result<Self, ReadError> {
        let anchors = profile.ca_cert_file.as_deref().map(read_anchors).transpose().map_err(ReadError::Anchors)?;
        let own = match (&profile.cert_file, &profile.private_key_file) {
            (Some(cert), Some(key)) => Some(read_own(cert, key, profile.password.as_deref())?),
            _ => None,
        };
        Ok(Self { anchors, own })
    }
}

fn read_own(cert: &str, key: &str, password: Option<&str>) -> Result<CertifiedKey, ReadError> {
    let chain = read_chain(Path::new(cert)).map_err(ReadError::Certificate)?;
    certified(chain, key, password).map_err(|error| match error {
        Ok(error) => ReadError::Certificate(error),
        Err(error) => ReadError::Key { path: key.to_owned(), error },
    })
}

/// Joins a chain, whose first certificate may be of any version, and its key.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &str,
    password: Option<&str>,
) -> Result<CertifiedKey, Result<FileError, KeyError>> {
    let own = Certificate::parse(&chain[0]).map_err(|_| Ok(FileError::Malformed))?;
    let key = key::read(key, password).map_err(Err)?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|error| Err(KeyError::UnsupportedKey(error.to_string())))?;
    if key.public_key().is_some_and(|public| public.as_ref() != own.key.info) {
        return Err(Err(KeyError::OtherCertificate));
    }
    Ok(CertifiedKey::new(chain, key))
}

pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = files::read(path).map_err(|error| FileError::Unreadable(os_text(&error)))?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(FileError::Empty),
        Ok(chain) => Ok(chain),
        Err(_) => Err(FileError::Damaged),
    }
}

/// The certificates of a file, or of all files in a directory.
fn read_anchors(path: &str) -> Result<Anchors, FileError> {
    let unreadable = |error: io::Error| FileError::Unreadable(os_text(&error));
    let path = Path::new(path);
    let certificates = if fs::metadata(path).map_err(unreadable)?.is_dir() {
        let files = fs::read_dir(path).map_err(unreadable)?.filter_map(Result::ok).map(|entry| entry.path());
        // A pipe would be waited for.
        let files = files.filter(|path| path.is_file());
        let mut all: Vec<CertificateDer<'static>> = Vec::new();
        for certificate in files.filter_map(|file| read_chain(&file).ok()).flatten() {
            if !all.contains(&certificate) {
                all.push(certificate);
            }
        }
        all
    } else {
        read_chain(path)?
    };
    if certificates.is_empty() {
        return Err(FileError::Empty);
    }
    Anchors::new(certificates).ok_or(FileError::Malformed)
}
