//! HTTP listeners.

use super::connection;
use super::documents::Documents;
use super::seats::Seats;
use super::site::{Page, Site};
use crate::amqp::{Amqp, EndpointParams, ListenerParams};
use crate::listening::{self, Listening, Service, Words, load_tls};
use crate::runtime::Io;
use crate::tasks::Owner;
use crate::tls::{ServerOptions, TlsConfigError};
use router_engine::log::{Level, LogModule};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Connections of a listener at a time.
const MAX_CONNECTIONS: usize = 1000;

/// An HTTP listener. Dropping the handle does not end it: [`delete`](Self::delete) does.
pub type Listener = listening::Listener<Http>;

/// Configuration of an HTTP listener.
#[derive(Debug, Clone)]
pub struct HttpParams {
    /// Where it listens, whether peers must use TLS, if there is a profile, and whether those that do must present a
    /// certificate; and what AMQP connections are to be that come over WebSocket.
    pub amqp: ListenerParams,
    /// Peers may speak AMQP over WebSocket.
    pub websockets: bool,
    /// Pages, in the order in which their paths are looked at.
    pub pages: Vec<Page>,
    /// Documents, unless there is a directory of files: that has their paths.
    pub documents: Option<Arc<dyn Documents>>,
    /// The directory of files to serve.
    pub root: Option<PathBuf>,
}

/// Why a listener is not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Its TLS profile cannot be used; this was logged.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// There is no thread for it.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

/// What HTTP listeners do with connections.
#[derive(Debug)]
pub struct Http {
    pub(super) amqp: Amqp,
    pub(super) websockets: bool,
    tls_options: ServerOptions,
    pub(super) require_ssl: bool,
    pub(super) site: Site,
    pub(super) seats: Seats,
    /// Credentials with a lower ordinal are no longer valid.
    pub(super) oldest_valid: watch::Sender<u64>,
}

// === impl Listener ===

impl Listener {
    /// Configures a listener; [`start`](Self::start) opens its socket. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When its TLS profile cannot be used, or there can be no thread for it.
    pub fn create(params: HttpParams, io: &Io) -> Result<Self, CreateError> {
        let owner = io.http_carrier(format!("listener {}", params.amqp.endpoint.name))?;
        Ok(Self::on(owner, params, io, MAX_CONNECTIONS)?)
    }

    /// As [`Self::create`], with tasks of this owner and so many connections at a time.
    pub(super) fn on(
        owner: Arc<Owner>,
        params: HttpParams,
        io: &Io,
        max_connections: usize,
    ) -> Result<Self, TlsConfigError> {
        let HttpParams { amqp, websockets, pages, documents, root } = params;
        let (endpoint, authenticate_peer) = (&amqp.endpoint, amqp.authenticate_peer);
        // Nothing else is spoken here.
        let tls_options = ServerOptions { authenticate_peer, alpn: vec![b"http/1.1".to_vec()] };
        let tls = load_tls(endpoint, &tls_options)?;
        let oldest_valid = endpoint.tls.as_ref().map_or(0, |profile| profile.oldest_valid_ordinal);
        let service = Http {
            require_ssl: amqp.require_ssl && tls.is_some(),
            amqp: Amqp::new(amqp, io),
            websockets,
            tls_options,
            site: Site::new(io.clone(), pages, documents, root),
            seats: Seats::new(max_connections),
            oldest_valid: watch::Sender::new(oldest_valid),
        };
        Ok(Self::new(service, tls, owner))
    }
}

// === impl Http ===

impl Service for Http {
    const WORDS: Words = Words {
        module: LogModule::Http,
        protocol: ", http",
        listening: "Listening for HTTP on",
        failed: "Error listening for HTTP on",
        stopped: (Level::Info, "Stopped listening for HTTP on"),
    };

    fn endpoint(&self) -> &EndpointParams {
        &self.amqp.params().endpoint
    }

    fn tls_options(&self) -> ServerOptions {
        self.tls_options.clone()
    }

    /// Probes are to be answered above all when memory is short, and what connections hold has a bound.
    fn refuses(&self) -> bool {
        false
    }

    fn serve(listening: Arc<Listening<Self>>, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send {
        connection::serve(listening, stream, peer)
    }

    fn expire(&self, oldest_valid: u64) {
        self.oldest_valid.send_replace(oldest_valid);
        self.amqp.expire(oldest_valid);
    }
}
