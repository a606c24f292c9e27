//! A certificate authority for one test, and identities it signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
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
    /// What the key is encrypted with.
    pub password: Option<String>,
}

/// Kinds of identities. All but the first are made by the `openssl` command, as people do at home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// With alternative names and usages, issued by an authority.
    #[default]
    Modern,
    /// X.509 version 1: a common name and nothing else, issued by an authority.
    Version1,
    /// Version 1, and so is the authority.
    Version1Root,
    /// One self-signed certificate that is authority, server and client.
    OwnAuthority,
    /// As [`Self::Version1`], with a key in the traditional form, encrypted.
    EncryptedKey,
}

// === impl Certificates ===

impl Certificates {
    /// Makes an authority and one identity signed by it, as PEM files in `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        let authority = authority()?;
        let files = Self::files(folder);
        let key = KeyPair::generate()?;
        let certificate = identity()?.signed_by(&key, &authority.issuer)?;
        write(&files.ca, &authority.certificate)?;
        write(&files.certificate, &certificate.pem())?;
        write(&files.key, &key.serialize_pem())?;
        Ok(files)
    }

    /// Makes an identity of some kind, with what has issued it, as PEM files in `folder`.
    pub fn of(kind: Identity, folder: &Path) -> Result<Self> {
        const NEW: &str = "req -x509 -newkey rsa:2048 -nodes";
        const REQUEST: &str = "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout tls.key -out tls.csr";
        const ISSUE: &str = "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out tls.crt";
        let run = |commands: &[&str]| commands.iter().try_for_each(|command| openssl(folder, command));
        let mut files = Self::files(folder);
        let authority = format!("{NEW} -subj /CN=home -keyout ca.key -out ca.crt");
        match kind {
            Identity::Modern => return Self::make(folder),
            Identity::Version1 => run(&[&authority, REQUEST, ISSUE])?,
            Identity::Version1Root => run(&[
                "req -newkey rsa:2048 -nodes -subj /CN=home -keyout ca.key -out ca.csr",
                "x509 -req -in ca.csr -signkey ca.key -out ca.crt",
                REQUEST,
                ISSUE,
            ])?,
            Identity::OwnAuthority => {
                run(&[&format!("{NEW} -subj /CN=localhost -keyout tls.key -out tls.crt")])?;
                fs::copy(&files.certificate, &files.ca)?;
            }
            Identity::EncryptedKey => {
                const PASSWORD: &str = "open-sesame";
                run(&[&authority, REQUEST, ISSUE])?;
                openssl(
                    folder,
                    &format!("rsa -traditional -aes256 -passout pass:{PASSWORD} -in tls.key -out locked.key"),
                )?;
                files.key = folder.join("locked.key");
                files.password = Some(PASSWORD.to_owned());
            }
        }
        Ok(files)
    }

    fn files(folder: &Path) -> Self {
        let path = |name| folder.join(name);
        Self { ca: path("ca.crt"), certificate: path("tls.crt"), key: path("tls.key"), password: None }
    }
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments.split(' ')).stdin(Stdio::null());
    let output = command.output().context("running openssl")?;
    ensure!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
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
