//! Certificates and profiles for tests.
#![allow(dead_code)]

pub(crate) mod pki;

use adaptors::tls::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsProfile, TlsServer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder with a CA and one certificate for `localhost`, removed when dropped.
pub(crate) struct Certs {
    pub dir: PathBuf,
}

impl Certs {
    pub(crate) fn new() -> Self {
        Self::with_names(vec!["localhost".to_owned()])
    }

    /// The certificate has these names.
    pub(crate) fn with_names(names: Vec<String>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir =
            std::env::temp_dir().join(format!("certs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&dir).unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test-ca");
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.distinguished_name = rcgen::DistinguishedName::new();
        leaf.distinguished_name.push(DnType::CommonName, "peer");
        let cert = leaf.signed_by(&key, &issuer).unwrap();
        std::fs::write(dir.join("ca.crt"), ca_cert.pem()).unwrap();
        std::fs::write(dir.join("tls.crt"), cert.pem()).unwrap();
        std::fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.dir.join(file).to_str().unwrap().to_owned()
    }

    pub(crate) fn profile(&self) -> TlsProfile {
        TlsProfile {
            name: "test".to_owned(),
            ca_cert_file: Some(self.path("ca.crt")),
            cert_file: Some(self.path("tls.crt")),
            private_key_file: Some(self.path("tls.key")),
            ..TlsProfile::default()
        }
    }

    pub(crate) fn server(&self, authenticate_peer: bool) -> TlsServer {
        let options = ServerOptions { authenticate_peer, alpn: Vec::new() };
        TlsServer::load(&self.profile(), Consumer::Amqp, &options).unwrap()
    }

    pub(crate) fn client(&self, protocols: Option<&str>) -> TlsClient {
        let profile = TlsProfile { protocols: protocols.map(str::to_owned), ..self.profile() };
        TlsClient::load(&profile, Consumer::Amqp, &ClientOptions { verify_hostname: true }).unwrap()
    }
}

impl Drop for Certs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}
