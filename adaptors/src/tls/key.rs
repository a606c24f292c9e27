//! Private key files: PEM in every form that OpenSSL writes, and a name for those that are not taken.

use super::certificate::sequence;
use super::pbe::{Cipher, Hash, Use, pbkdf1, pkcs12, traditional_key};
use super::refusal::clip;
use super::secret::os_text;
use crate::files;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::{Decode, Reader, SliceReader, Tag, Tagged};
use pkcs8::pkcs5::pbes2::{Kdf, ScryptParams};
use pkcs8::{EncryptedPrivateKeyInfo, pkcs5};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

/// Why a private key file is of no use. The text follows the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    /// The operating system's words.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("holds no private key in PEM form{0}")]
    NoKey(&'static str),
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    #[error("is encrypted, and the sslProfile has no password")]
    NoPassword,
    #[error("cannot be decrypted: the password is wrong, or the file is damaged ({0})")]
    WrongPassword(String),
    #[error(
        "is encrypted in a form that is not supported ({0}); convert it with: \
         openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"
    )]
    UnsupportedEncryption(String),
    #[error("holds a kind of key that is not supported: {0}")]
    UnsupportedKey(String),
    #[error("does not belong to the certificate")]
    OtherCertificate,
}

/// A private key as its file shows it.
#[derive(Debug, PartialEq, Eq)]
struct Block<'a> {
    label: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    /// Base64.
    body: String,
}

/// Reads and, where needed, decrypts a private key.
pub(super) fn read(path: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, KeyError> {
    let octets = files::read(path).map_err(|error| KeyError::Unreadable(os_text(&error)))?;
    decode(&String::from_utf8_lossy(&octets), password)
}

fn decode(text: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, KeyError> {
    let block = find(text)?;
    let der = block.der()?;
    if block.header("Proc-Type").is_some_and(|value| value.ends_with("ENCRYPTED")) {
        return wrap(block.label, decrypt_traditional(&block, &der, password)?);
    }
    match block.label {
        "ENCRYPTED PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(decrypt_pkcs8(&der, password)?).into()),
        label => wrap(label, der),
    }
}

fn wrap(label: &str, der: Vec<u8>) -> Result<PrivateKeyDer<'static>, KeyError> {
    match label {
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(der).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(der).into()),
        "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(der).into()),
        other => {
            let hint =
                if other.starts_with("OPENSSH") { "; convert it with: ssh-keygen -p -m PEM -f FILE" } else { "" };
            Err(KeyError::UnsupportedKey(format!("{other}{hint}")))
        }
    }
}

/// The first private key of a file.
fn find(text: &str) -> Result<Block<'_>, KeyError> {
    const BEGIN: &str = "-----BEGIN ";
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        rest = &rest[at + BEGIN.len()..];
        let Some((label, after)) = rest.split_once("-----") else { break };
        if label.ends_with("PRIVATE KEY") {
            let end = format!("-----END {label}-----");
            let (content, _) = after.split_once(&end).ok_or(KeyError::Damaged("its last line is missing"))?;
            return Ok(Block::read(label, content));
        }
    }
    Err(KeyError::NoKey(match text {
        _ if text.contains("-----BEGIN CERTIFICATE") => ", only certificates",
        _ if text.starts_with(['\u{30}', '\u{fffd}']) => "; DER and PKCS#12 files have to be converted",
        _ => "",
    }))
}

// === impl Block ===

impl<'a> Block<'a> {
    fn read(label: &'a str, content: &'a str) -> Self {
        let mut block = Self { label, headers: Vec::new(), body: String::new() };
        for line in content.lines().map(str::trim) {
            match line.split_once(':') {
                Some((name, value)) => block.headers.push((name, value.trim())),
                None => block.body.push_str(line),
            }
        }
        block
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// The octets behind the base64.
    fn der(&self) -> Result<Vec<u8>, KeyError> {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", self.body);
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes());
        der.map(|der| der.secret_pkcs8_der().to_vec()).map_err(|_| KeyError::Damaged("its base64 cannot be read"))
    }
}

/// Decrypts what has a `DEK-Info` header: the cipher, and the vector whose front is also the salt.
fn decrypt_traditional(block: &Block<'_>, data: &[u8], password: Option<&str>) -> Result<Vec<u8>, KeyError> {
    const SALT: usize = 8;
    let info = block.header("DEK-Info").ok_or(KeyError::Damaged("it is encrypted without DEK-Info"))?;
    let (name, iv) = info.split_once(',').unwrap_or((info, ""));
    let cipher = match name.trim() {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-192-CBC" => Cipher::Aes192,
        "AES-256-CBC" => Cipher::Aes256,
        "DES-EDE3-CBC" => Cipher::TripleDes3,
        "DES-EDE-CBC" => Cipher::TripleDes2,
        "DES-CBC" => Cipher::Des,
        other => return Err(KeyError::UnsupportedEncryption(clip(other, 40))),
    };
    let iv = hex(iv.trim()).filter(|iv| iv.len() == cipher.iv_len());
    let iv = iv.ok_or(KeyError::Damaged("its DEK-Info cannot be read"))?;
    let password = password.ok_or(KeyError::NoPassword)?;
    let key = traditional_key(password.as_bytes(), &iv[..SALT], cipher.key_len());
    plausible(cipher.decrypt(&key, &iv, data), name)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    digits.map(|pair| pair.filter(|p| p.len() == 2).and_then(|p| u8::from_str_radix(p, 16).ok())).collect()
}

/// What was decrypted, if it can be a key: one wrong password in 256 leaves good padding.
fn plausible(decrypted: Option<Vec<u8>>, form: &str) -> Result<Vec<u8>, KeyError> {
    let is_sequence = |der: &[u8]| AnyRef::from_der(der).is_ok_and(|any| any.tag() == Tag::Sequence);
    decrypted.filter(|der| is_sequence(der)).ok_or_else(|| KeyError::WrongPassword(form.to_owned()))
}

/// Decrypts an `EncryptedPrivateKeyInfo` (RFC 5958 3).
fn decrypt_pkcs8(der: &[u8], password: Option<&str>) -> Result<Vec<u8>, KeyError> {
    const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
    let (scheme, parameters, data) =
        encrypted_parts(der).map_err(|_| KeyError::Damaged("it is no encrypted PKCS#8"))?;
    if scheme == PBES2 {
        return decrypt_pbes2(der, password);
    }
    let form = PasswordForm::find(scheme)?;
    let (salt, iterations) =
        salt_and_iterations(parameters).map_err(|_| KeyError::Damaged("its encryption parameters"))?;
    check_iterations(iterations)?;
    let password = password.ok_or(KeyError::NoPassword)?;
    let (key, iv) = form.derive(password, salt, iterations);
    plausible(form.cipher.decrypt(&key, &iv, data), form.name)
}

fn encrypted_parts(der: &[u8]) -> pkcs8::der::Result<(ObjectIdentifier, &[u8], &[u8])> {
    let mut reader = SliceReader::new(sequence(AnyRef::from_der(der)?)?)?;
    let mut algorithm = SliceReader::new(sequence(AnyRef::decode(&mut reader)?)?)?;
    let scheme = ObjectIdentifier::decode(&mut algorithm)?;
    let parameters = algorithm.tlv_bytes()?;
    let data = OctetStringRef::decode(&mut reader)?.as_bytes();
    reader.finish((scheme, parameters, data))
}

fn salt_and_iterations(parameters: &[u8]) -> pkcs8::der::Result<(&[u8], u32)> {
    let mut reader = SliceReader::new(sequence(AnyRef::from_der(parameters)?)?)?;
    let salt = OctetStringRef::decode(&mut reader)?.as_bytes();
    let iterations = u32::decode(&mut reader)?;
    reader.finish((salt, iterations))
}

/// Refuses what would take minutes to derive a key. OpenSSL writes 2048 unless told otherwise.
fn check_iterations(iterations: u32) -> Result<(), KeyError> {
    const MAX: u32 = 10_000_000;
    if (1..=MAX).contains(&iterations) {
        return Ok(());
    }
    Err(KeyError::UnsupportedEncryption(format!("{iterations} iterations, of at most {MAX}")))
}

/// Refuses parameters of scrypt that take more memory than OpenSSL would give, or that are none.
fn check_scrypt(params: &ScryptParams<'_>) -> Result<(), KeyError> {
    const MAX_OCTETS: u64 = 64 << 20;
    let (n, r, p) = (params.cost_parameter, u64::from(params.block_size), u64::from(params.parallelization));
    let octets = n.checked_mul(128 * r).and_then(|octets| octets.checked_mul(p));
    if n > 1 && n.is_power_of_two() && octets.is_some_and(|octets| (1..=MAX_OCTETS).contains(&octets)) {
        return Ok(());
    }
    Err(KeyError::UnsupportedEncryption(format!("scrypt with N={n}, r={r}, p={p}")))
}

fn decrypt_pbes2(der: &[u8], password: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let unsupported = || KeyError::UnsupportedEncryption("PBES2 with an unknown cipher or key derivation".to_owned());
    let encrypted = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| unsupported())?;
    match encrypted.encryption_algorithm.pbes2().map(|params| &params.kdf) {
        Some(Kdf::Pbkdf2(params)) => check_iterations(params.iteration_count)?,
        Some(Kdf::Scrypt(params)) => check_scrypt(params)?,
        _ => return Err(unsupported()),
    }
    let password = password.ok_or(KeyError::NoPassword)?;
    match encrypted.decrypt(password) {
        Ok(plain) => Ok(plain.as_bytes().to_vec()),
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::UnsupportedAlgorithm { oid })) => {
            Err(KeyError::UnsupportedEncryption(format!("PBES2 with {oid}")))
        }
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::AlgorithmParametersInvalid { .. })) => Err(unsupported()),
        Err(_) => Err(KeyError::WrongPassword("PBES2".to_owned())),
    }
}

/// One of the encryptions by password that came before PBES2.
struct PasswordForm {
    name: &'static str,
    cipher: Cipher,
    derivation: Derivation,
}

enum Derivation {
    Pbkdf1(Hash),
    Pkcs12,
}

// === impl PasswordForm ===

impl PasswordForm {
    fn find(scheme: ObjectIdentifier) -> Result<Self, KeyError> {
        let oid = scheme.to_string();
        let (name, cipher, derivation) = match oid.as_str() {
            "1.2.840.113549.1.5.3" => ("pbeWithMD5AndDES-CBC", Cipher::Des, Derivation::Pbkdf1(Hash::Md5)),
            "1.2.840.113549.1.5.10" => ("pbeWithSHA1AndDES-CBC", Cipher::Des, Derivation::Pbkdf1(Hash::Sha1)),
            "1.2.840.113549.1.12.1.3" => ("pbeWithSHA1And3-KeyTripleDES-CBC", Cipher::TripleDes3, Derivation::Pkcs12),
            "1.2.840.113549.1.12.1.4" => ("pbeWithSHA1And2-KeyTripleDES-CBC", Cipher::TripleDes2, Derivation::Pkcs12),
            other => return Err(KeyError::UnsupportedEncryption(unsupported_name(other).to_owned())),
        };
        Ok(Self { name, cipher, derivation })
    }

    /// The key and the initialization vector.
    fn derive(&self, password: &str, salt: &[u8], iterations: u32) -> (Vec<u8>, Vec<u8>) {
        match self.derivation {
            Derivation::Pbkdf1(hash) => {
                let mut key = pbkdf1(hash, password.as_bytes(), salt, iterations);
                let mut iv = key.split_off(self.cipher.key_len());
                iv.truncate(self.cipher.iv_len());
                (key, iv)
            }
            Derivation::Pkcs12 => (
                pkcs12(password, salt, iterations, Use::Key, self.cipher.key_len()),
                pkcs12(password, salt, iterations, Use::Iv, self.cipher.iv_len()),
            ),
        }
    }
}

fn unsupported_name(oid: &str) -> &str {
    match oid {
        "1.2.840.113549.1.5.1" => "pbeWithMD2AndDES-CBC",
        "1.2.840.113549.1.5.4" => "pbeWithMD2AndRC2-CBC",
        "1.2.840.113549.1.5.6" => "pbeWithMD5AndRC2-CBC",
        "1.2.840.113549.1.5.11" => "pbeWithSHA1AndRC2-CBC",
        "1.2.840.113549.1.12.1.1" => "pbeWithSHA1And128BitRC4",
        "1.2.840.113549.1.12.1.2" => "pbeWithSHA1And40BitRC4",
        "1.2.840.113549.1.12.1.5" => "pbeWithSHA1And128BitRC2-CBC",
        "1.2.840.113549.1.12.1.6" => "pbeWithSHA1And40BitRC2-CBC",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "MAA=";

    #[test]
    fn work_is_bounded() {
        let scrypt = |cost_parameter, block_size, parallelization| {
            let params = ScryptParams { salt: &[], cost_parameter, block_size, parallelization, key_length: None };
            check_scrypt(&params).is_ok()
        };
        assert!(scrypt(1 << 14, 8, 1) && scrypt(1 << 16, 8, 1));
        for (n, r, p) in [(0, 8, 1), (1, 8, 1), (1000, 8, 1), (2, 0, 1), (2, 8, 0), (1 << 63, 8, 1), (1 << 17, 8, 1)] {
            assert!(!scrypt(n, r, p), "{n} {r} {p}");
        }
        assert!(check_iterations(1).is_ok() && check_iterations(1_000_000).is_ok());
        assert!(check_iterations(0).is_err() && check_iterations(u32::MAX).is_err());
    }

    /// The parameters of whole files are looked at before any work is done.
    #[test]
    fn absurd_work_is_refused() {
        let integer = |n: u64| {
            let octets = [&[0], n.to_be_bytes().as_slice()].concat();
            let first = octets.windows(2).position(|pair| pair[0] != 0 || pair[1] >= 0x80).unwrap_or(octets.len() - 1);
            tlv(2, &octets[first..])
        };
        let salt = tlv(4, &[7; 8]);
        let pbkdf2 =
            |n| [tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"), tlv(0x30, &[salt.clone(), integer(n)].concat())];
        let scrypt = |n, r, p| {
            let params = [salt.clone(), integer(n), integer(r), integer(p)].concat();
            [tlv(6, b"\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"), tlv(0x30, &params)]
        };
        let cipher = [tlv(6, b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a"), tlv(4, &[7; 16])];
        let pbes2 = |kdf: [Vec<u8>; 2]| {
            let params = tlv(0x30, &[tlv(0x30, &kdf.concat()), tlv(0x30, &cipher.concat())].concat());
            [tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"), params]
        };
        let old = |n| {
            let params = tlv(0x30, &[salt.clone(), integer(n)].concat());
            [tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03"), params]
        };
        let read = |scheme: [Vec<u8>; 2]| {
            let der = tlv(0x30, &[tlv(0x30, &scheme.concat()), tlv(4, &[7; 16])].concat());
            decrypt_pkcs8(&der, Some("secret")).expect_err("refused")
        };
        for n in [1, 2048] {
            assert!(matches!(read(old(n)), KeyError::WrongPassword(_)), "{n}");
            assert!(matches!(read(pbes2(pbkdf2(n))), KeyError::WrongPassword(_)), "{n}");
        }
        assert_eq!(read(pbes2(scrypt(1024, 8, 1))), KeyError::WrongPassword("PBES2".to_owned()));
        for n in [0, u64::from(u32::MAX)] {
            assert!(matches!(read(old(n)), KeyError::UnsupportedEncryption(_)), "{n}");
            assert!(matches!(read(pbes2(pbkdf2(n))), KeyError::UnsupportedEncryption(_)), "{n}");
        }
        for (n, r, p) in [(0, 8, 1), (1 << 40, 8, 1), (1 << 62, 8, 1), (2, 0, 0), (2, 60_000, 60_000)] {
            assert!(matches!(read(pbes2(scrypt(n, r, p))), KeyError::UnsupportedEncryption(_)), "{n} {r} {p}");
        }
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).ok().filter(|len| *len < 0x80).expect("short")], content].concat()
    }

    fn block(label: &str, headers: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{headers}{body}\n-----END {label}-----\n")
    }

    #[test]
    fn forms_are_named_when_they_are_refused() {
        let certificate = block("CERTIFICATE", "", EMPTY);
        let dek =
            |info: &str| block("RSA PRIVATE KEY", &format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: {info}\n\n"), EMPTY);
        for (text, error) in [
            (String::new(), "no private key in PEM form"),
            (certificate.clone(), "only certificates"),
            ("0\u{fffd}\u{4}".to_owned(), "PKCS#12"),
            ("-----BEGIN PRIVATE KEY-----\nMAA=\n".to_owned(), "its last line is missing"),
            (block("PRIVATE KEY", "", "M*A="), "base64"),
            (block("OPENSSH PRIVATE KEY", "", EMPTY), "ssh-keygen"),
            (block("DSA PRIVATE KEY", "", EMPTY), "DSA PRIVATE KEY"),
            (block("ENCRYPTED PRIVATE KEY", "", EMPTY), "no encrypted PKCS#8"),
            (dek("CAMELLIA-256-CBC,00"), "CAMELLIA-256-CBC"),
            (dek("AES-256-CBC"), "DEK-Info"),
            (dek("AES-256-CBC,0011"), "DEK-Info"),
            (dek("DES-CBC,001122334455667"), "DEK-Info"),
            (dek("DES-CBC,0011223344556677"), "password is wrong"),
        ] {
            let found = decode(&text, Some("secret")).expect_err("refused").to_string();
            assert!(found.contains(error), "{text:?}: {found}");
        }
        assert_eq!(decode(&dek("DES-CBC,0011223344556677"), None), Err(KeyError::NoPassword));
        assert!(decode(&format!("{certificate}{}", block("EC PRIVATE KEY", "", EMPTY)), None).is_ok());
    }
}
