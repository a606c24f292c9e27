//! What people want to know of the certificates in a file.

use super::certificate::Certificate;
use super::material::read_chain;
use std::path::Path;

/// A certificate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The subject's name as operators write it.
    pub subject: String,
    /// The issuer's name as operators write it, shortened.
    pub issuer: String,
    /// When it comes into force, in seconds since 1970.
    pub not_before: i64,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// [`Self::not_after`] as text.
    pub end: String,
    subject_name: Vec<u8>,
    issuer_name: Vec<u8>,
}

// === impl CertificateSummary ===

impl CertificateSummary {
    /// Whether the other's subject is this one's issuer, by name.
    #[must_use]
    pub fn names_as_issuer(&self, other: &Self) -> bool {
        self.issuer_name == other.subject_name
    }

    /// Whether subject and issuer are the same.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject_name == self.issuer_name
    }
}

/// The certificates of a PEM file, in order. Reads the file: not for an IO thread.
///
/// # Errors
/// What is wrong with the file.
pub fn inspect(path: &Path) -> Result<Vec<CertificateSummary>, String> {
    let chain = read_chain(path).map_err(|error| error.to_string())?;
    chain
        .iter()
        .map(|der| summary(der).ok_or_else(|| "it holds a certificate that cannot be read".to_owned()))
        .collect()
}

fn summary(der: &[u8]) -> Option<CertificateSummary> {
    let certificate = Certificate::parse(der).ok()?;
    let (not_before, not_after, end) = certificate.validity();
    Some(CertificateSummary {
        subject: certificate.subject_text(),
        issuer: certificate.issuer_text(),
        not_before,
        not_after,
        end,
        subject_name: certificate.subject,
        issuer_name: certificate.issuer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_chain_tells_who_issued_whom_and_when_it_ends() {
        let mut authority = rcgen::CertificateParams::new([]).expect("parameters");
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let mut own = rcgen::CertificateParams::new(["own".to_owned()]).expect("parameters");
        own.distinguished_name = rcgen::DistinguishedName::new();
        own.distinguished_name.push(rcgen::DnType::CommonName, "own");
        own.not_after = rcgen::date_time_ymd(2030, 2, 3);
        let own = own.signed_by(&rcgen::KeyPair::generate().expect("a key"), &issuer).expect("a certificate");
        let file = std::env::temp_dir().join(format!("inspect-{}.pem", std::process::id()));
        fs::write(&file, own.pem() + &issuer.pem()).expect("written");
        let chain = inspect(&file).expect("readable");
        fs::remove_file(&file).expect("removed");
        let [own, authority] = &chain[..] else { panic!("{chain:?}") };
        assert!(own.subject.contains("own") && own.issuer.contains("authority"), "{own:?}");
        assert_eq!((own.not_after, authority.is_self_issued()), (1_896_307_200, true));
        assert!(own.names_as_issuer(authority) && !authority.names_as_issuer(own) && !own.is_self_issued());
        assert!(inspect(&file).expect_err("gone").contains("No such file"));
    }
}
