//! Who the peer is by its certificate (spec `security-and-policy.md` 1.3).

use super::strings;
use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use std::borrow::Cow;
use std::fmt::Write as _;
use x509_parser::asn1_rs::{Any, ToDer};
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;
use x509_parser::oid_registry::{
    OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME, OID_X509_LOCALITY_NAME, OID_X509_ORGANIZATION_NAME,
    OID_X509_ORGANIZATIONAL_UNIT, OID_X509_STATE_OR_PROVINCE_NAME, Oid,
};
use x509_parser::prelude::{AttributeTypeAndValue, X509Certificate, X509Name};

/// A validated `uidFormat`: which parts of a certificate make a user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidFormat(String);

// === impl UidFormat ===

impl UidFormat {
    const MAX: usize = 7;

    /// Checks a format: at most seven of `csloun125`, at most one of them a digit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.chars().all(|c| "csloun125".contains(c));
        let digests = text.chars().filter(char::is_ascii_digit).count();
        (known && !text.is_empty() && text.len() <= Self::MAX && digests <= 1).then(|| Self(text.to_owned()))
    }
}

/// The user id of a certificate by a format; `None` when no part of it is present.
#[must_use]
pub fn user_id(certificate: &CertificateDer<'_>, format: &UidFormat) -> Option<String> {
    let parsed = parse(certificate)?;
    let parts: Vec<String> = format
        .0
        .chars()
        .filter_map(|code| match code {
            'c' => first(&parsed, &OID_X509_COUNTRY_NAME),
            's' => first(&parsed, &OID_X509_STATE_OR_PROVINCE_NAME),
            'l' => first(&parsed, &OID_X509_LOCALITY_NAME),
            'o' => first(&parsed, &OID_X509_ORGANIZATION_NAME),
            'u' => first(&parsed, &OID_X509_ORGANIZATIONAL_UNIT),
            'n' => first(&parsed, &OID_X509_COMMON_NAME),
            '1' => Some(hex_digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate)),
            '2' => Some(hex_digest(&digest::SHA256, certificate)),
            '5' => Some(hex_digest(&digest::SHA512, certificate)),
            _ => None,
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(";"))
}

/// The subject in RFC 2253 form: most specific name first.
#[must_use]
pub fn subject_name(certificate: &CertificateDer<'_>) -> Option<String> {
    Some(distinguished_name(parse(certificate)?.subject()))
}

/// Reads what the verifier reads too, and no extension.
fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509CertificateParser::new().with_deep_parse_extensions(false).parse(certificate).ok().map(|(_, parsed)| parsed)
}

/// A name in RFC 2253 form, as OpenSSL writes it: policies have users by that.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> String {
    let rdns: Vec<Vec<String>> = name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect()).collect();
    let backwards = |parts: Vec<String>| parts.into_iter().rev().collect::<Vec<_>>().join("+");
    rdns.into_iter().rev().map(backwards).collect::<Vec<_>>().join(",")
}

/// A part of a name. What has no known name, or is no text, is shown in DER.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let (id, value) = (oid_text(attribute.attr_type()), attribute.attr_value());
    match (short_name(&id), strings::text(value)) {
        (Some(name), Some(text)) => format!("{name}={}", escape(&text)),
        (name, _) => format!("{}={}", name.unwrap_or(&id), dump(value)),
    }
}

fn dump(value: &Any<'_>) -> String {
    let mut out = "#".to_owned();
    for byte in value.header.to_der_vec().unwrap_or_default().iter().chain(value.data) {
        let _ = write!(out, "{byte:02X}");
    }
    out
}

fn first(certificate: &X509Certificate<'_>, oid: &Oid<'_>) -> Option<String> {
    certificate.subject().iter_by_oid(oid).next().map(text)
}

/// What is no text is shown in DER, so that different values stay different.
fn text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value = attribute.attr_value();
    strings::text(value).map_or_else(|| dump(value), Cow::into_owned)
}

/// An object identifier in dotted form. Those that no one has are not spelled out: that takes time with the square of
/// their length, which peers choose.
pub(super) fn oid_text(oid: &Oid<'_>) -> String {
    const MAX: usize = 32;
    if oid.as_bytes().len() > MAX { "an overlong object identifier".to_owned() } else { oid.to_id_string() }
}

fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.16" => "postalAddress",
        "2.5.4.17" => "postalCode",
        "2.5.4.18" => "postOfficeBox",
        "2.5.4.19" => "physicalDeliveryOfficeName",
        "2.5.4.20" => "telephoneNumber",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.45" => "x500UniqueIdentifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.51" => "houseIdentifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.72" => "role",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.3" => "mail",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "1.2.840.113549.1.9.8" => "unstructuredAddress",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        _ => return None,
    })
}

/// Escapes a value as RFC 2253 section 2.4 wants, and what is no printable ASCII.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (i, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(byte)]),
            b'#' if i == 0 => out.push_str("\\#"),
            b' ' if i == 0 || i == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
    out
}

fn hex_digest(algorithm: &'static digest::Algorithm, data: &[u8]) -> String {
    let mut out = String::new();
    for byte in digest::digest(algorithm, data).as_ref() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "US"),
            (DnType::StateOrProvinceName, "CA"),
            (DnType::LocalityName, "San Francisco"),
            (DnType::OrganizationalUnitName, "Dev"),
            (DnType::OrganizationName, "Client"),
            (DnType::CommonName, "127.0.0.1"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn formats() {
        for (text, valid) in [
            ("1cs", true),
            ("cs5", true),
            ("scounl", true),
            ("1x", false),
            ("abxd", false),
            ("12", false),
            ("", false),
            ("csloun1c", false),
        ] {
            assert_eq!(UidFormat::parse(text).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn identities() {
        let cert = certificate();
        let id = |f: &str| user_id(&cert, &UidFormat::parse(f).unwrap()).unwrap();
        assert_eq!(subject_name(&cert).unwrap(), "CN=127.0.0.1,O=Client,OU=Dev,L=San Francisco,ST=CA,C=US");
        assert_eq!(id("nsuco"), "127.0.0.1;CA;Dev;US;Client");
        assert_eq!(id("scounl"), "CA;US;Client;Dev;127.0.0.1;San Francisco");
        assert_eq!(id("2cs").len(), 64 + ";US;CA".len());
        assert!(id("cs5").starts_with("US;CA;"));
        assert_eq!(id("1").len(), 40);
    }

    #[test]
    fn values_that_differ_make_users_that_differ() {
        let user = |octets: &[u8]| {
            let value = rcgen::DnValue::TeletexString(rcgen::string::TeletexString::try_from("caf").unwrap());
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, value);
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
            let at: Vec<usize> = (0..der.len()).filter(|&at| der[at..].starts_with(b"caf")).collect();
            let mut der = der;
            at.into_iter().for_each(|at| der[at..at + octets.len()].copy_from_slice(octets));
            user_id(&der.into(), &UidFormat::parse("o").unwrap()).unwrap()
        };
        assert_eq!(user(b"c\xe9f"), "céf");
        assert_eq!(user(b"c\xe8f"), "cèf");
    }

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(escape(" a,b+c; "), "\\ a\\,b\\+c\\;\\ ");
        assert_eq!(escape("#x#"), "\\#x#");
        assert_eq!(escape("ö\n\0"), "\\C3\\B6\\0A\\00");
    }
}
