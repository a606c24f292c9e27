//! Certificates of every kind, good and bad.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    SigningKey,
};
use rustls::pki_types::CertificateDer;

/// Somebody with a certificate.
pub(crate) struct Party {
    pub(crate) cert: CertificateDer<'static>,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

/// The parameters of a certificate of version 3 with a common name and nothing else.
pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Parameters with a change.
pub(crate) fn with(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

/// The parameters of an authority.
pub(crate) fn authority(name: &str) -> CertificateParams {
    with(params(name), |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

/// The parameters of a certificate for these hosts.
pub(crate) fn host(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    with(params("peer"), |params| params.subject_alt_names = subject_alt_names)
}

// === impl Party ===

impl Party {
    /// Signs its own certificate.
    pub(crate) fn own(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { cert: params.self_signed(&key).unwrap().der().clone(), key, params }
    }

    /// Issues a certificate, whether or not it may.
    pub(crate) fn issue(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let issued: Certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Self { cert: issued.der().clone(), key, params }
    }

    /// Issues a certificate of version 1.
    pub(crate) fn issue_v1(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { cert: version_1(name, &key, &common_name(&self.params), &self.key), key, params: params(name) }
    }

    /// A self-signed certificate of version 1.
    pub(crate) fn own_v1(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { cert: version_1(name, &key, name, &key), key, params: params(name) }
    }
}

fn common_name(params: &CertificateParams) -> String {
    match params.distinguished_name.get(&DnType::CommonName) {
        Some(rcgen::DnValue::Utf8String(name)) => name.clone(),
        other => panic!("{other:?}"),
    }
}

fn version_1(subject: &str, key: &KeyPair, issuer: &str, issuer_key: &KeyPair) -> CertificateDer<'static> {
    // ecdsa-with-SHA256
    let algorithm = sequence(&[&tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
    let validity = sequence(&[&tlv(23, b"200101000000Z"), &tlv(23, b"490101000000Z")]);
    let info = key.subject_public_key_info();
    let tbs = sequence(&[&tlv(2, &[7]), &algorithm, &name(issuer), &validity, &name(subject), &info]);
    let signature = [&[0], issuer_key.sign(&tbs).unwrap().as_slice()].concat();
    CertificateDer::from(sequence(&[&tbs, &algorithm, &tlv(3, &signature)]))
}

pub(crate) fn name(common: &str) -> Vec<u8> {
    let attribute = sequence(&[&tlv(6, &[0x55, 4, 3]), &tlv(12, common.as_bytes())]);
    sequence(&[&tlv(0x31, &attribute)])
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=0x7f => out.push(len as u8),
        len @ ..=0xff => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// A certificate as files have it.
pub(crate) fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (i, chunk) in der.chunks(3).enumerate() {
        let bits = chunk.iter().fold(0_u32, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let sextet = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(ALPHABET[sextet]) });
        }
        if i % 16 == 15 && i * 3 + 3 < der.len() {
            text.push('\n');
        }
    }
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}
