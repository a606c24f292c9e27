//! What an entity of a configuration file needs beside itself: other entities, files, sockets.

use super::EntityType;
use adaptors::tls::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsConfigError, TlsProfile, TlsServer};

/// What an entity needs, by the names of the attributes that say so.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The attribute names an entity of the type.
    pub(crate) entities: &'static [(&'static str, EntityType)],
    /// The attribute names a file or directory.
    pub(crate) files: &'static [(&'static str, FileKind)],
    /// What the `sslProfile` is for.
    pub(crate) tls: Option<TlsRole>,
    /// It listens at `host` and `port`.
    pub(crate) listens: bool,
    /// What is given and does nothing, and why.
    pub(crate) ignored: Vec<(&'static str, &'static str)>,
}

/// What has to be there by the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A file that can be read.
    Readable,
    /// A file of certificates that can be read, or a directory of such.
    Certificates,
    /// A directory.
    Directory,
    /// A file that can be written, or created.
    Writable,
}

/// What a TLS profile is used for.
#[derive(Debug)]
pub(crate) enum TlsRole {
    /// To accept connections.
    Server(Consumer, ServerOptions),
    /// To open connections.
    Client(Consumer, ClientOptions),
}

// === impl TlsRole ===

impl TlsRole {
    /// Of a listener.
    pub(crate) fn server(consumer: Consumer, authenticate_peer: bool) -> Self {
        Self::Server(consumer, ServerOptions { authenticate_peer, ..ServerOptions::default() })
    }

    /// Of a connector.
    pub(crate) const fn client(consumer: Consumer) -> Self {
        Self::Client(consumer, ClientOptions { verify_hostname: true })
    }

    /// Whether the profile is of use for it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn try_load(&self, profile: &TlsProfile) -> Result<(), TlsConfigError> {
        match self {
            Self::Server(consumer, options) => TlsServer::load(profile, *consumer, options).map(drop),
            Self::Client(consumer, options) => TlsClient::load(profile, *consumer, options).map(drop),
        }
    }
}
