//! From an `sslProfile` to rustls configurations (spec `security-and-policy.md` sections 1 and 2).

use super::error::TlsError;
use super::handshake::Handshake;
use super::identity::{UidFormat, subject_name, user_id};
use super::names;
use super::session::Session;
use super::verify::ServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

/// The values of an `sslProfile`, with the password resolved (see [`super::secret`]).
#[derive(Clone, Default)]
pub struct TlsProfile {
    /// The name, for messages.
    pub name: String,
    /// Trust anchors: a PEM file or a directory of such.
    pub ca_cert_file: Option<String>,
    /// The own certificate chain, leaf first.
    pub cert_file: Option<String>,
    /// The own key.
    pub private_key_file: Option<String>,
    /// The key's passphrase.
    pub password: Option<String>,
    /// OpenSSL cipher list, for TLS 1.2.
    pub ciphers: Option<String>,
    /// Protocol names. TCP consumers ignore it.
    pub protocols: Option<String>,
    /// What makes the user id of an authenticated peer.
    pub uid_format: Option<UidFormat>,
    /// Display names by user id.
    pub display_names: Arc<HashMap<String, String>>,
    /// The revision of the credentials.
    pub ordinal: u64,
    /// Connections made with older revisions are closed.
    pub oldest_valid_ordinal: u64,
}

/// For whom a profile is loaded; the error texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    /// An AMQP listener or connector.
    Amqp,
    /// A tcpListener or tcpConnector.
    Tcp,
}

/// What a listener wants of its TLS configuration.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Demand and verify a client certificate.
    pub authenticate_peer: bool,
    /// Application protocols, most preferred first.
    pub alpn: Vec<Vec<u8>>,
}

/// What a connector wants of its TLS configuration.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The certificate must name the host.
    pub verify_hostname: bool,
}

/// A configuration error. Its text is what operators and tests know; the class is `Configuration`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsConfigError(pub String);

/// The server role of a profile. Cheap to clone.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    identity: Arc<Identity>,
}

/// The client role of a profile. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
    /// There is a certificate to present.
    has_certificate: bool,
}

/// How peers are named.
struct Identity {
    uid_format: Option<UidFormat>,
    display_names: Arc<HashMap<String, String>>,
    ordinal: u64,
}

/// A profile's files, read.
struct Material {
    roots: Arc<RootCertStore>,
    anchors: Vec<CertificateDer<'static>>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

// === impl TlsServer ===

impl TlsServer {
    /// Loads a profile for a listener. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// With the known texts, for everything that is wrong with the profile.
    pub fn load(profile: &TlsProfile, consumer: Consumer, options: &ServerOptions) -> Result<Self, TlsConfigError> {
        if profile.cert_file.is_none() {
            return Err(profile.error("Listener requires a self-identifying certificate"));
        }
        if options.authenticate_peer && profile.ca_cert_file.is_none() {
            return Err(profile.error("Listener requires a CA for peer authentication"));
        }
        let material = Material::read(profile, consumer)?;
        let Some((chain, key)) = material.own else {
            return Err(profile.error("Listener requires a self-identifying certificate"));
        };
        let (provider, versions) = profile.provider(consumer)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|_| profile.protocols_error())?;
        let builder = if options.authenticate_peer {
            let verifier = WebPkiClientVerifier::builder_with_provider(material.roots, provider).build();
            let verifier = verifier.map_err(|_| {
                let name = &profile.name;
                TlsConfigError(format!("Failed to configure TLS peer authentication for sslProfile '{name}'"))
            })?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|_| profile.cert_error(consumer))?;
        config.alpn_protocols.clone_from(&options.alpn);
        config.enable_secret_extraction = true;
        // Full handshakes only: a ticket would outlive an update of the profile.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), identity: Arc::new(Identity::new(profile)) })
    }

    /// A session that begins with the octets already read from the peer.
    ///
    /// # Errors
    /// When these octets cannot be TLS.
    pub fn session(&self, first: &[u8]) -> Result<Session, TlsError> {
        let mut session = Session::new(Handshake::server(Arc::clone(&self.config))?);
        session.feed(first)?;
        Ok(session)
    }

    /// The name of an authenticated peer.
    #[must_use]
    pub fn user(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        self.identity.user(certificate)
    }

    /// The profile's ordinal when this was loaded.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.identity.ordinal
    }
}

// === impl TlsClient ===

impl TlsClient {
    /// Loads a profile for a connector. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// With the known texts, for everything that is wrong with the profile.
    pub fn load(profile: &TlsProfile, consumer: Consumer, options: &ClientOptions) -> Result<Self, TlsConfigError> {
        if profile.ca_cert_file.is_none() {
            return Err(profile.error("Connector requires a CA certificate"));
        }
        let material = Material::read(profile, consumer)?;
        let (provider, versions) = profile.provider(consumer)?;
        let verifier =
            ServerVerifier::new(material.roots, material.anchors, Arc::clone(&provider), options.verify_hostname);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|_| profile.protocols_error())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let has_certificate = material.own.is_some();
        let mut config = match material.own {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|_| profile.cert_error(consumer))?
            }
            None => builder.with_no_client_auth(),
        };
        config.enable_secret_extraction = true;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config: Arc::new(config), identity: Arc::new(Identity::new(profile)), has_certificate })
    }

    /// A session with a server known as `host`, offering at most one application protocol.
    ///
    /// # Errors
    /// When rustls refuses the configuration.
    pub fn session(&self, host: &str, alpn: Option<&[u8]>) -> Result<Session, TlsError> {
        let mut config = Arc::clone(&self.config);
        if let Some(protocol) = alpn {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        }
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // A host that is no DNS name: nothing to indicate, and nothing that a certificate could match.
            Err(_) => {
                Arc::make_mut(&mut config).enable_sni = false;
                let none = DnsName::try_from("invalid.").map_err(|_| TlsError::Internal("server name"))?;
                ServerName::DnsName(none)
            }
        };
        Ok(Session::new(Handshake::client(config, name)?))
    }

    /// Whether there is a certificate to present.
    #[must_use]
    pub const fn has_certificate(&self) -> bool {
        self.has_certificate
    }

    /// The name of the authenticated peer.
    #[must_use]
    pub fn user(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        self.identity.user(certificate)
    }

    /// The profile's ordinal when this was loaded.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.identity.ordinal
    }
}

// === impl Identity ===

impl Identity {
    fn new(profile: &TlsProfile) -> Self {
        Self {
            uid_format: profile.uid_format.clone(),
            display_names: Arc::clone(&profile.display_names),
            ordinal: profile.ordinal,
        }
    }

    fn user(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        if let Some(id) = self.uid_format.as_ref().and_then(|format| user_id(certificate, format)) {
            let shown = self.display_names.get(&id).filter(|name| !name.is_empty()).cloned();
            return Some(shown.unwrap_or(id));
        }
        subject_name(certificate)
    }
}

// === impl TlsProfile ===

impl TlsProfile {
    fn error(&self, text: &str) -> TlsConfigError {
        TlsConfigError(format!("{text} (sslProfile: {})", self.name))
    }

    fn ca_error(&self, consumer: Consumer) -> TlsConfigError {
        let (name, file) = (&self.name, self.ca_cert_file.as_deref().unwrap_or_default());
        TlsConfigError(match consumer {
            Consumer::Amqp => format!("Failed to configure TLS caCertFile '{file}' from sslProfile '{name}'"),
            Consumer::Tcp => format!("Failed to configure TLS caCertFile {file} for sslProfile '{name}': (-1)"),
        })
    }

    fn cert_error(&self, consumer: Consumer) -> TlsConfigError {
        let (name, file) = (&self.name, self.cert_file.as_deref().unwrap_or_default());
        TlsConfigError(match consumer {
            Consumer::Amqp => format!("Failed to configure TLS certFile '{file}' from sslProfile '{name}'"),
            Consumer::Tcp => format!("Failed to set TLS certFile '{file}' for sslProfile '{name}': (-1)"),
        })
    }

    fn protocols_error(&self) -> TlsConfigError {
        let (name, protocols) = (&self.name, self.protocols.as_deref().unwrap_or_default());
        TlsConfigError(format!("Failed to configure TLS Protocols '{protocols}' for sslProfile '{name}')"))
    }

    /// The crypto provider with the chosen ciphers, and the chosen protocol versions.
    fn provider(
        &self,
        consumer: Consumer,
    ) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), TlsConfigError> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let versions = match &self.protocols {
            Some(text) if consumer == Consumer::Amqp => {
                names::parse_protocols(text).ok_or_else(|| self.protocols_error())?
            }
            _ => vec![&TLS13, &TLS12],
        };
        if let Some(list) = &self.ciphers {
            provider.cipher_suites = names::select_ciphers(&provider, list).ok_or_else(|| {
                TlsConfigError(format!(
                    "Failed to configure TLS Ciphers '{list}' for sslProfile '{}'. \
                     Use openssl ciphers -v {list} to validate",
                    self.name
                ))
            })?;
        }
        Ok((Arc::new(provider), versions))
    }
}

impl std::fmt::Debug for TlsProfile {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsProfile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

// === impl Material ===

impl Material {
    fn read(profile: &TlsProfile, consumer: Consumer) -> Result<Self, TlsConfigError> {
        if profile.cert_file.is_some() && profile.private_key_file.is_none() {
            return Err(profile.error("Missing Private Keyfile"));
        }
        let mut roots = RootCertStore::empty();
        let mut anchors = Vec::new();
        if let Some(path) = &profile.ca_cert_file {
            anchors = read_anchors(path).ok_or_else(|| profile.ca_error(consumer))?;
            let (added, _) = roots.add_parsable_certificates(anchors.iter().cloned());
            if added == 0 {
                return Err(profile.ca_error(consumer));
            }
        }
        let own = match (&profile.cert_file, &profile.private_key_file) {
            (Some(cert), Some(key)) => {
                let read = || Some((read_chain(cert)?, read_key(key, profile.password.as_deref())?));
                Some(read().ok_or_else(|| profile.cert_error(consumer))?)
            }
            _ => None,
        };
        Ok(Self { roots: Arc::new(roots), anchors, own })
    }
}

fn read_chain(path: &str) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path).ok()?.collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}

/// The certificates of a file, or of all files in a directory.
fn read_anchors(path: &str) -> Option<Vec<CertificateDer<'static>>> {
    if !fs::metadata(path).ok()?.is_dir() {
        return read_chain(path);
    }
    let files = fs::read_dir(path).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let mut all: Vec<CertificateDer<'static>> = Vec::new();
    for certificate in files.filter_map(|file| read_chain(file.to_str()?)).flatten() {
        if !all.contains(&certificate) {
            all.push(certificate);
        }
    }
    (!all.is_empty()).then_some(all)
}

fn read_key(path: &str, password: Option<&str>) -> Option<PrivateKeyDer<'static>> {
    let pem = fs::read_to_string(path).ok()?;
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    if let Some(at) = pem.find(ENCRYPTED) {
        let end = pem[at..].find("-----END ENCRYPTED PRIVATE KEY-----")? + at;
        let text = format!("{}-----END ENCRYPTED PRIVATE KEY-----\n", &pem[at..end]);
        let (_, document) = pkcs8::SecretDocument::from_pem(&text).ok()?;
        let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).ok()?;
        let plain = encrypted.decrypt(password?).ok()?;
        return Some(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into());
    }
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()
}
