//! From an `sslProfile` to rustls configurations (spec `security-and-policy.md` sections 1 and 2).

use super::anchors::Anchors;
use super::error::TlsError;
use super::expiry::Expiry;
use super::handshake::Handshake;
use super::identity::{UidFormat, subject_name, user_id};
use super::material::{Material, ReadError};
use super::names;
use super::refusal::Verdict;
use super::session::Session;
use super::verify::{ClientVerifier, ServerVerifier, Verifier};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use std::collections::HashMap;
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
    recipe: Arc<ServerRecipe>,
    identity: Arc<Identity>,
}

/// What the configuration of a server session is made of.
struct ServerRecipe {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    own: Arc<SingleCertAndKey>,
    /// Whose certificates clients must have, when they must have one.
    clients: Option<Arc<Anchors>>,
    alpn: Vec<Vec<u8>>,
}

/// The client role of a profile. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    anchors: Arc<Anchors>,
    verify_hostname: bool,
    identity: Arc<Identity>,
    /// There is a certificate to present.
    has_certificate: bool,
}

/// How peers are named.
struct Identity {
    uid_format: Option<UidFormat>,
    display_names: Arc<HashMap<String, String>>,
    ordinal: u64,
    /// Kept for whoever asks.
    _expiry: Option<Arc<Expiry>>,
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
        let material = profile.read(consumer)?;
        let (provider, versions) = profile.provider(consumer)?;
        let Some(own) = material.own else {
            return Err(profile.error("Listener requires a self-identifying certificate"));
        };
        let identity = Arc::new(Identity::new(profile, Some(&own)));
        let own = Arc::new(SingleCertAndKey::from(own));
        let clients = material.anchors.filter(|_| options.authenticate_peer).map(Arc::new);
        let recipe = ServerRecipe { provider, versions, own, clients, alpn: options.alpn.clone() };
        recipe.make(Verdict::default()).map_err(|_| profile.protocols_error())?;
        Ok(Self { recipe: Arc::new(recipe), identity })
    }

    /// A session that begins with the octets already read from the peer.
    ///
    /// # Errors
    /// When these octets cannot be TLS.
    pub fn session(&self, first: &[u8]) -> Result<Session, TlsError> {
        let verdict = Verdict::default();
        let config = self.recipe.make(Arc::clone(&verdict))?;
        let mut session = Session::new(Handshake::server(Arc::new(config), verdict)?);
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

// === impl ServerRecipe ===

impl ServerRecipe {
    fn make(&self, verdict: Verdict) -> Result<ServerConfig, rustls::Error> {
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_protocol_versions(&self.versions)?;
        let builder = match &self.clients {
            Some(anchors) => {
                let algorithms = self.provider.signature_verification_algorithms;
                let verifier = Verifier::new(Arc::clone(anchors), algorithms, verdict);
                builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(verifier)))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.own) as _);
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_secret_extraction = true;
        // Full handshakes only: a ticket would outlive an update of the profile.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
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
        let material = profile.read(consumer)?;
        let Some(anchors) = material.anchors.map(Arc::new) else {
            return Err(profile.error("Connector requires a CA certificate"));
        };
        let (provider, versions) = profile.provider(consumer)?;
        let verifier =
            server_verifier(&anchors, &provider, options.verify_hostname.then(String::new), &Verdict::default());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|_| profile.protocols_error())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let has_certificate = material.own.is_some();
        let identity = Arc::new(Identity::new(profile, material.own.as_ref()));
        let mut config = match material.own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.enable_secret_extraction = true;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            anchors,
            verify_hostname: options.verify_hostname,
            identity,
            has_certificate,
        })
    }

    /// A session with a server known as `host`, offering at most one application protocol.
    ///
    /// # Errors
    /// When rustls refuses the configuration.
    pub fn session(&self, host: &str, alpn: Option<&[u8]>) -> Result<Session, TlsError> {
        let mut config = ClientConfig::clone(&self.config);
        let verdict = Verdict::default();
        let expected = self.verify_hostname.then(|| host.to_owned());
        let verifier = server_verifier(&self.anchors, config.crypto_provider(), expected, &verdict);
        config.dangerous().set_certificate_verifier(verifier);
        if let Some(protocol) = alpn {
            config.alpn_protocols = vec![protocol.to_vec()];
        }
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // A host that is no DNS name: nothing to indicate.
            Err(_) => {
                config.enable_sni = false;
                let none = DnsName::try_from("invalid.").map_err(|_| TlsError::Internal("server name"))?;
                ServerName::DnsName(none)
            }
        };
        Ok(Session::new(Handshake::client(Arc::new(config), name, verdict)?))
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

fn server_verifier(
    anchors: &Arc<Anchors>,
    provider: &CryptoProvider,
    host: Option<String>,
    verdict: &Verdict,
) -> Arc<dyn ServerCertVerifier> {
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Verifier::new(Arc::clone(anchors), algorithms, Arc::clone(verdict));
    Arc::new(ServerVerifier::new(verifier, host))
}

// === impl Identity ===

impl Identity {
    fn new(profile: &TlsProfile, own: Option<&CertifiedKey>) -> Self {
        Self {
            _expiry: own.and_then(|own| Expiry::note(&profile.name, own)),
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

    /// Reads the files. The known texts come first, then what is wrong.
    fn read(&self, consumer: Consumer) -> Result<Material, TlsConfigError> {
        if self.cert_file.is_some() && self.private_key_file.is_none() {
            return Err(self.error("Missing Private Keyfile"));
        }
        Material::read(self).map_err(|error| {
            let name = &self.name;
            let (ca, cert) = (self.ca_cert_file.as_deref(), self.cert_file.as_deref());
            let known = match (&error, consumer) {
                (ReadError::Anchors(_), Consumer::Amqp) => {
                    format!("Failed to configure TLS caCertFile '{}' from sslProfile '{name}'", ca.unwrap_or_default())
                }
                (ReadError::Anchors(_), Consumer::Tcp) => {
                    format!(
                        "Failed to configure TLS caCertFile {} for sslProfile '{name}': (-1)",
                        ca.unwrap_or_default()
                    )
                }
                (_, Consumer::Amqp) => {
                    format!("Failed to configure TLS certFile '{}' from sslProfile '{name}'", cert.unwrap_or_default())
                }
                (_, Consumer::Tcp) => {
                    format!("Failed to set TLS certFile '{}' for sslProfile '{name}': (-1)", cert.unwrap_or_default())
                }
            };
            TlsConfigError(format!("{known}: {error}"))
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
