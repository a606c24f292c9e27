//! A certificate, read once: what the rules for chains have to know of it.
//!
//! Peers choose these octets. Extensions are read only where the rules need them, and whatever cannot be
//! read makes the certificate malformed: no rule may be lost because its extension is damaged.

use super::identity::{distinguished_name, oid_text};
use super::refusal::{Reason, Refusal, clip};
use super::strings;
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use pkcs8::der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use std::borrow::Cow;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::extensions::{
    ExtendedKeyUsage, GeneralName, KeyUsage, NSCertType, SubjectAlternativeName, X509Extension,
};
use x509_parser::nom::Parser;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{X509Name, X509Version};

/// A certificate in parts.
pub(super) struct Certificate<'a> {
    pub(super) der: &'a [u8],
    x509: X509Certificate<'a>,
    /// The subject in a form that is the same for names that mean the same.
    pub(super) subject: Vec<u8>,
    /// The issuer in the same form.
    pub(super) issuer: Vec<u8>,
    pub(super) signed: Signed<'a>,
    pub(super) key: SubjectKey<'a>,
    pub(super) extensions: Extensions<'a>,
}

/// What the issuer signed, and how.
pub(super) struct Signed<'a> {
    pub(super) message: &'a [u8],
    /// The content of the algorithm identifier.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// The subject's public key.
pub(super) struct SubjectKey<'a> {
    /// The whole `SubjectPublicKeyInfo`.
    pub(super) info: &'a [u8],
    /// The content of the algorithm identifier.
    pub(super) algorithm: &'a [u8],
    pub(super) octets: &'a [u8],
}

/// The extensions that matter.
#[derive(Default)]
pub(super) struct Extensions<'a> {
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) purposes: Option<ExtendedKeyUsage<'a>>,
    pub(super) netscape_type: Option<NSCertType>,
    pub(super) key_id: Option<&'a [u8]>,
    pub(super) issuer_key_id: Option<&'a [u8]>,
    pub(super) name_constraints: Option<NameConstraints<'a>>,
    pub(super) alternative_names: Vec<GeneralName<'a>>,
    /// A critical one that is not known.
    pub(super) unknown_critical: Option<String>,
}

/// Whether the subject may issue certificates, and how many authorities may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BasicConstraints {
    pub(super) authority: bool,
    pub(super) path_length: Option<u32>,
}

/// For which names an authority may issue.
pub(super) struct NameConstraints<'a> {
    pub(super) permitted: Vec<GeneralName<'a>>,
    pub(super) excluded: Vec<GeneralName<'a>>,
}

/// Extensions of a certificate; real ones have about ten.
const MAX_EXTENSIONS: usize = 64;

type Parsed<T> = Result<T, Reason>;

// === impl Certificate ===

impl<'a> Certificate<'a> {
    /// Reads a certificate of any version.
    pub(super) fn parse(der: &'a [u8]) -> Result<Self, Refusal> {
        Self::parse_parts(der).map_err(|reason| Refusal::new(reason, "?"))
    }

    fn parse_parts(der: &'a [u8]) -> Parsed<Self> {
        let parsed = X509CertificateParser::new().with_deep_parse_extensions(false).parse(der);
        let Ok((&[], x509)) = parsed else { return Err(Reason::Malformed("it is no certificate")) };
        if x509.signature_algorithm != x509.tbs_certificate.signature {
            return Err(Reason::Malformed("two signature algorithms"));
        }
        if x509.version() != X509Version::V3 && !x509.extensions().is_empty() {
            return Err(Reason::Malformed("extensions before version 3"));
        }
        let signed = Signed::read(der).map_err(|_| Reason::Malformed("outer structure"))?;
        check_form(signed.message).map_err(|_| Reason::Malformed("serial number or times"))?;
        let key =
            SubjectKey::read(x509.tbs_certificate.subject_pki.raw).map_err(|_| Reason::Malformed("public key"))?;
        if x509.extensions().len() > MAX_EXTENSIONS {
            return Err(Reason::Malformed("too many extensions"));
        }
        let mut extensions = Extensions::default();
        for (i, extension) in x509.extensions().iter().enumerate() {
            if x509.extensions()[..i].iter().any(|other| other.oid == extension.oid) {
                return Err(Reason::Malformed("an extension twice"));
            }
            extensions.add(extension)?;
        }
        let (subject, issuer) = (canonical(x509.subject()), canonical(x509.issuer()));
        Ok(Self { der, x509, subject, issuer, signed, key, extensions })
    }

    /// The subject's name as operators write it.
    pub(super) fn subject_text(&self) -> String {
        distinguished_name(self.x509.subject())
    }

    /// The issuer's name as operators write it, shortened.
    pub(super) fn issuer_text(&self) -> String {
        clip(&distinguished_name(self.x509.issuer()), 160)
    }

    /// The subject's name in DER.
    pub(super) fn subject_der(&self) -> &'a [u8] {
        self.x509.tbs_certificate.subject.as_raw()
    }

    /// The common names of the subject that are text.
    pub(super) fn common_names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.x509.subject().iter_common_name().filter_map(|name| strings::text(name.attr_value()))
    }

    /// The subject's name itself.
    pub(super) fn subject_name(&self) -> &X509Name<'_> {
        self.x509.subject()
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub(super) fn is_version_1(&self) -> bool {
        self.x509.version() == X509Version::V1
    }

    /// Whether it is in force at a time in seconds since 1970.
    pub(super) fn check_time(&self, now: i64) -> Parsed<()> {
        let validity = self.x509.validity();
        if now < validity.not_before.timestamp() {
            return Err(Reason::NotYetValid(validity.not_before.to_string()));
        }
        if now > validity.not_after.timestamp() {
            return Err(Reason::Expired(validity.not_after.to_string()));
        }
        Ok(())
    }

    /// When it comes into force and when it ends, in seconds since 1970; the latter as text, too.
    pub(super) fn validity(&self) -> (i64, i64, String) {
        let validity = self.x509.validity();
        (validity.not_before.timestamp(), validity.not_after.timestamp(), validity.not_after.to_string())
    }

    /// The bits of an RSA key.
    pub(super) fn rsa_bits(&self) -> Option<usize> {
        match self.x509.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(bits(key.modulus)),
            _ => None,
        }
    }

    /// The algorithm of its signature, for messages.
    pub(super) fn signature_algorithm_text(&self) -> String {
        let oid = oid_text(&self.x509.signature_algorithm.algorithm);
        let name = match oid.as_str() {
            "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
            "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
            "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
            "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
            "1.2.840.10040.4.3" => "dsaWithSHA1",
            _ => return oid,
        };
        name.to_owned()
    }

    /// Whether the key identifiers rule out that `issuer` issued this.
    pub(super) fn names_another_key(&self, issuer: &Self) -> bool {
        match (self.extensions.issuer_key_id, issuer.extensions.key_id) {
            (Some(wanted), Some(found)) => wanted != found,
            _ => false,
        }
    }
}

fn bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|&&b| b == 0);
    significant.clone().next().map_or(0, |first| significant.count() * 8 - first.leading_zeros() as usize)
}

// === impl Signed ===

impl<'a> Signed<'a> {
    fn read(certificate: &'a [u8]) -> pkcs8::der::Result<Self> {
        let mut reader = SliceReader::new(sequence(AnyRef::from_der(certificate)?)?)?;
        let message = reader.tlv_bytes()?;
        let algorithm = sequence(AnyRef::decode(&mut reader)?)?;
        let signature = octets(BitStringRef::decode(&mut reader)?)?;
        reader.finish(Self { message, algorithm, signature })
    }
}

/// Refuses numbers and times that the parser takes in more forms than RFC 5280 has (4.1.2.2, 4.1.2.5): what others
/// read differently, or not at all, is not to be relied on.
fn check_form(message: &[u8]) -> pkcs8::der::Result<()> {
    let mut reader = SliceReader::new(sequence(AnyRef::from_der(message)?)?)?;
    let version_or_serial = AnyRef::decode(&mut reader)?;
    let serial = if version_or_serial.tag() == Tag::Integer { version_or_serial } else { AnyRef::decode(&mut reader)? };
    serial.tag().assert_eq(Tag::Integer)?;
    let (_algorithm, _issuer) = (AnyRef::decode(&mut reader)?, AnyRef::decode(&mut reader)?);
    let mut times = SliceReader::new(sequence(AnyRef::decode(&mut reader)?)?)?;
    for time in [AnyRef::decode(&mut times)?, AnyRef::decode(&mut times)?] {
        let digits = match time.tag() {
            Tag::UtcTime => 12,
            Tag::GeneralizedTime => 14,
            other => return Err(other.unexpected_error(None)),
        };
        if time.value().len() != digits + 1 || time.value()[digits] != b'Z' {
            return Err(time.tag().value_error());
        }
    }
    if serial.value().is_empty() { Err(Tag::Integer.value_error()) } else { times.finish(()) }
}

// === impl SubjectKey ===

impl<'a> SubjectKey<'a> {
    fn read(info: &'a [u8]) -> pkcs8::der::Result<Self> {
        let mut reader = SliceReader::new(sequence(AnyRef::from_der(info)?)?)?;
        let algorithm = sequence(AnyRef::decode(&mut reader)?)?;
        let octets = octets(BitStringRef::decode(&mut reader)?)?;
        reader.finish(Self { info, algorithm, octets })
    }
}

/// The content of a sequence.
pub(super) fn sequence(any: AnyRef<'_>) -> pkcs8::der::Result<&[u8]> {
    any.tag().assert_eq(Tag::Sequence)?;
    Ok(any.value())
}

fn octets(bits: BitStringRef<'_>) -> pkcs8::der::Result<&[u8]> {
    bits.as_bytes().ok_or_else(|| Tag::BitString.value_error())
}

// === impl Extensions ===

impl<'a> Extensions<'a> {
    fn add(&mut self, extension: &X509Extension<'a>) -> Parsed<()> {
        let (id, value) = (oid_text(&extension.oid), extension.value);
        match id.as_str() {
            "2.5.29.14" => self.key_id = Some(key_id(value).map_err(|_| Reason::Malformed("key identifier"))?),
            "2.5.29.35" => {
                self.issuer_key_id = issuer_key_id(value).map_err(|_| Reason::Malformed("issuer's key identifier"))?;
            }
            "2.5.29.15" => self.key_usage = Some(whole(value, "key usage")?),
            "2.5.29.17" => self.alternative_names = alternative_names(value)?,
            "2.5.29.19" => self.basic_constraints = Some(BasicConstraints::read(value)?),
            "2.5.29.30" => self.name_constraints = Some(NameConstraints::read(value)?),
            "2.5.29.37" => self.purposes = Some(whole(value, "extended key usage")?),
            "2.16.840.1.113730.1.1" => self.netscape_type = Some(whole(value, "Netscape certificate type")?),
            // Certificate policies and their relatives say nothing as long as nobody demands a policy;
            // revocation lists are not fetched.
            "2.5.29.32" | "2.5.29.33" | "2.5.29.36" | "2.5.29.54" | "2.5.29.31" => {}
            _ if extension.critical => self.unknown_critical = Some(id),
            _ => {}
        }
        Ok(())
    }
}

fn whole<'a, T, E>(value: &'a [u8], what: &'static str) -> Parsed<T>
where
    T: FromDer<'a, E>,
{
    match T::from_der(value) {
        Ok((&[], parsed)) => Ok(parsed),
        _ => Err(Reason::Malformed(what)),
    }
}

fn key_id(value: &[u8]) -> pkcs8::der::Result<&[u8]> {
    OctetStringRef::from_der(value).map(|id| id.as_bytes())
}

/// The issuer may be told by its name and serial number instead, which prove nothing.
fn issuer_key_id(value: &[u8]) -> pkcs8::der::Result<Option<&[u8]>> {
    let mut reader = SliceReader::new(sequence(AnyRef::from_der(value)?)?)?;
    let mut id = None;
    while !reader.is_finished() {
        let part = AnyRef::decode(&mut reader)?;
        if part.tag() == (Tag::ContextSpecific { constructed: false, number: TagNumber::N0 }) {
            id = Some(part.value());
        }
    }
    Ok(id)
}

fn alternative_names(value: &[u8]) -> Parsed<Vec<GeneralName<'_>>> {
    whole::<SubjectAlternativeName<'_>, _>(value, "alternative names").map(|names| names.general_names)
}

// === impl BasicConstraints ===

impl BasicConstraints {
    fn read(value: &[u8]) -> Parsed<Self> {
        Self::decode(value).map_err(|_| Reason::Malformed("basic constraints"))
    }

    fn decode(value: &[u8]) -> pkcs8::der::Result<Self> {
        let mut reader = SliceReader::new(sequence(AnyRef::from_der(value)?)?)?;
        let authority = Option::<bool>::decode(&mut reader)?.unwrap_or(false);
        let path_length = Option::<u32>::decode(&mut reader)?;
        reader.finish(Self { authority, path_length })
    }
}

// === impl NameConstraints ===

impl<'a> NameConstraints<'a> {
    fn read(value: &'a [u8]) -> Parsed<Self> {
        Self::decode(value).map_err(|_| Reason::Malformed("name constraints"))
    }

    fn decode(value: &'a [u8]) -> pkcs8::der::Result<Self> {
        let mut reader = SliceReader::new(sequence(AnyRef::from_der(value)?)?)?;
        let mut constraints = Self { permitted: Vec::new(), excluded: Vec::new() };
        while !reader.is_finished() {
            let list = AnyRef::decode(&mut reader)?;
            match list.tag() {
                Tag::ContextSpecific { constructed: true, number: TagNumber::N0 } => {
                    constraints.permitted.append(&mut subtrees(list.value())?);
                }
                Tag::ContextSpecific { constructed: true, number: TagNumber::N1 } => {
                    constraints.excluded.append(&mut subtrees(list.value())?);
                }
                other => return Err(other.unexpected_error(None)),
            }
        }
        reader.finish(constraints)
    }
}

/// The bases of subtrees. Those with a depth of their own are refused: nobody gives them a meaning.
fn subtrees(list: &[u8]) -> pkcs8::der::Result<Vec<GeneralName<'_>>> {
    let mut reader = SliceReader::new(list)?;
    let mut names = Vec::new();
    while !reader.is_finished() {
        let subtree = sequence(AnyRef::decode(&mut reader)?)?;
        match GeneralName::from_der(subtree) {
            Ok((&[], name)) => names.push(name),
            _ => return Err(Tag::Sequence.value_error()),
        }
    }
    reader.finish(names)
}

/// A name without what makes no difference: the kind of its strings, the case of letters, and how many blanks there are.
pub(super) fn canonical(name: &X509Name<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.as_raw().len());
    for rdn in name.iter_rdn() {
        let mut parts: Vec<Vec<u8>> = rdn
            .iter()
            .map(|attribute| {
                let value = attribute.attr_value();
                let mut part = Vec::new();
                push(&mut part, attribute.attr_type().as_bytes());
                match strings::text(value).filter(|_| strings::is_comparable(value)) {
                    Some(text) => {
                        part.push(TEXT);
                        push(&mut part, &folded(text.as_bytes()));
                    }
                    None => {
                        part.extend([OTHER, value.class() as u8]);
                        part.extend(value.tag().0.to_be_bytes());
                        push(&mut part, value.data);
                    }
                }
                part
            })
            .collect();
        parts.sort();
        push(&mut out, &parts.concat());
    }
    out
}

const TEXT: u8 = 0;
const OTHER: u8 = 1;

fn push(out: &mut Vec<u8>, part: &[u8]) {
    out.extend((part.len() as u64).to_be_bytes());
    out.extend(part);
}

fn folded(text: &[u8]) -> Vec<u8> {
    let words = text.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ').to_ascii_lowercase()
}
