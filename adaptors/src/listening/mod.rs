//! What listeners of every protocol have in common: a socket that is tried until it is open, the connections that come
//! from it, and their TLS credentials. What is done with a connection is its [`Service`]'s.
//!
//! ```text
//!  Configured --start--> Trying --opened--> Open --connection--> Service::serve
//!                          |                 ^
//!                          '---> Failed -----'  after a pause, or started again
//! ```

#[cfg(test)]
mod tests;

use crate::amqp::EndpointParams;
use crate::net::{self, io_text};
use crate::retry::Retry;
use crate::sockets::{Accepted, Sockets};
use crate::tasks::{Owner, contained};
use crate::tls::{Consumer, ServerOptions, TlsConfigError, TlsProfile, TlsServer, TlsUpdate};
use parking_lot::{Condvar, Mutex};
use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{self, Duration};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How long to wait after an accept failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A protocol that listeners speak.
pub trait Service: Debug + Sized + Send + Sync + 'static {
    /// How the log tells of its listeners.
    const WORDS: Words;

    /// Where it listens, and with which TLS profile.
    fn endpoint(&self) -> &EndpointParams;

    /// What is wanted of TLS.
    fn tls_options(&self) -> ServerOptions;

    /// Whether no connection may be let in now.
    fn refuses(&self) -> bool;

    /// The life of a connection. It is to end when the listener's owner is stopped.
    fn serve(listening: Arc<Listening<Self>>, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send;

    /// Ends connections that were made with credentials of a lower ordinal.
    fn expire(&self, oldest_valid: u64);
}

/// How the log tells of the listeners of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Whose lines they are.
    pub module: LogModule,
    /// What the description of a listener says of the protocol.
    pub protocol: &'static str,
    /// It listens.
    pub listening: &'static str,
    /// It cannot.
    pub failed: &'static str,
    /// It does so no more.
    pub stopped: (Level, &'static str),
}

/// A listener. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug)]
pub struct Listener<S> {
    shared: Arc<Listening<S>>,
}

/// What a listener shares with its connections.
#[derive(Debug)]
pub struct Listening<S> {
    /// What becomes of connections.
    pub(crate) service: S,
    pub(crate) owner: Arc<Owner>,
    /// The number of the port, when it has one.
    port: Option<u16>,
    tls: Mutex<Option<TlsServer>>,
    sockets: Sockets,
    opening: Mutex<Opening>,
    /// An attempt to open the socket is over.
    attempted: Condvar,
    /// Ends the pause between attempts.
    again: Notify,
}

/// How far the socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Opening {
    /// Nobody asked for it.
    Configured,
    /// The first attempt is under way.
    Trying,
    /// The last attempt failed.
    Failed(ListenError),
    /// It listens.
    Open,
}

/// A socket could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description} ({condition})")]
pub struct ListenError {
    /// The condition symbol.
    pub condition: &'static str,
    /// Text for people.
    pub description: String,
}

/// Loads the TLS profile of a listener, if it has one. Reads files: not for an IO thread.
///
/// # Errors
/// When the profile cannot be used.
pub(crate) fn load_tls(
    endpoint: &EndpointParams,
    options: &ServerOptions,
) -> Result<Option<TlsServer>, TlsConfigError> {
    endpoint.tls.as_ref().map(|profile| load(profile, &endpoint.name, options)).transpose()
}

fn load(profile: &TlsProfile, name: &str, options: &ServerOptions) -> Result<TlsServer, TlsConfigError> {
    TlsServer::load(profile, Consumer::Amqp, options).inspect_err(|error| {
        log!(LogModule::ConnMgr, Level::Error, "Failed to configure TLS for Listener {name}: Configuration: {error}");
    })
}

// === impl Listener ===

impl<S: Service> Listener<S> {
    /// A listener with what [`load_tls`] has loaded for it; [`Self::start`] opens its socket. Its tasks are `owner`'s.
    pub(crate) fn new(service: S, tls: Option<TlsServer>, owner: Arc<Owner>) -> Self {
        let endpoint = service.endpoint();
        log!(LogModule::ConnMgr, Level::Info, "Configured  Listener: {}", endpoint.describe(S::WORDS.protocol));
        let shared = Listening {
            port: net::port_number(&endpoint.port),
            service,
            owner,
            tls: Mutex::new(tls),
            sockets: Sockets::default(),
            opening: Mutex::new(Opening::Configured),
            attempted: Condvar::new(),
            again: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Opens the socket and accepts connections from then on: at once, unless the host is a name. Then, and when it
    /// fails, it goes on in the background until it has succeeded. Called again, it cuts the pause between attempts
    /// short.
    pub fn start(&self) {
        let shared = &self.shared;
        if !shared.owner.activate() {
            return if shared.owner.is_draining() { shared.withdraw() } else { shared.again.notify_one() };
        }
        *shared.opening.lock() = Opening::Trying;
        let EndpointParams { host, family, .. } = shared.service.endpoint();
        if let Some(found) = net::literal_listen_addresses(host, shared.port, *family) {
            shared.open(found);
        }
        if !shared.owner.spawn("listener", listen(Arc::clone(shared))) {
            shared.withdraw();
        }
    }

    /// Waits for the first attempt to open the socket. `None`: it is still under way when the time is over. Blocks:
    /// not for an IO thread.
    #[must_use]
    pub fn wait_started(&self, limit: Option<Duration>) -> Option<Result<(), ListenError>> {
        let until = limit.map(|limit| time::Instant::now() + limit);
        let mut opening = self.shared.opening.lock();
        loop {
            match &*opening {
                Opening::Open => return Some(Ok(())),
                Opening::Failed(error) => return Some(Err(error.clone())),
                Opening::Configured => return None,
                Opening::Trying => {}
            }
            match until {
                None => self.shared.attempted.wait(&mut opening),
                Some(until) if time::Instant::now() >= until => return None,
                Some(until) => drop(self.shared.attempted.wait_until(&mut opening, until)),
            }
        }
    }

    /// [`Self::start`], and waits for the first attempt.
    ///
    /// # Errors
    /// When it failed; this is also logged.
    pub fn activate(&self) -> Result<(), ListenError> {
        self.start();
        self.wait_started(None).unwrap_or(Ok(()))
    }

    /// Whether it listens, and if not, why the last attempt to failed.
    #[must_use]
    pub fn status(&self) -> (bool, String) {
        match &*self.shared.opening.lock() {
            Opening::Open => (true, String::new()),
            Opening::Failed(error) => (false, error.description.clone()),
            Opening::Configured | Opening::Trying => (false, String::new()),
        }
    }

    /// `host:port` as configured.
    #[must_use]
    pub fn address(&self) -> String {
        self.shared.address()
    }

    /// The addresses that the listener is bound to.
    #[must_use]
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.shared.sockets.bound()
    }

    /// Stops accepting; the port is free at once. Connections live on.
    pub fn drain(&self) {
        self.shared.owner.drain();
        self.shared.withdraw();
    }

    /// [`Self::drain`], for good.
    pub fn delete(&self) {
        self.drain();
        let description = self.shared.service.endpoint().describe(S::WORDS.protocol);
        log!(LogModule::ConnMgr, Level::Info, "Deleted  Listener: {description}");
    }

    /// Whether nothing of a deleted listener is left: no connection either.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.shared.owner.has_left()
    }

    /// Loads new values of the TLS profile. Applied, they hold for new connections, if there are still to be any, and
    /// connections whose credentials are no longer valid are closed. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
        let service = &self.shared.service;
        let load = || load(profile, &service.endpoint().name, &service.tls_options());
        let loaded = if self.shared.owner.is_draining() { None } else { Some(load()?) };
        let (shared, oldest_valid) = (Arc::clone(&self.shared), profile.oldest_valid_ordinal);
        Ok(TlsUpdate::new(move || {
            if loaded.is_some() {
                *shared.tls.lock() = loaded;
            }
            shared.service.expire(oldest_valid);
        }))
    }

    /// What it shares with its connections.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Listening<S>> {
        &self.shared
    }
}

impl<S> Clone for Listener<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

// === impl Listening ===

impl<S: Service> Listening<S> {
    /// `host:port` as configured.
    pub(crate) fn address(&self) -> String {
        self.service.endpoint().address()
    }

    /// The TLS credentials that are in force.
    pub(crate) fn tls(&self) -> Option<TlsServer> {
        self.tls.lock().clone()
    }

    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let EndpointParams { host, family, .. } = self.service.endpoint();
        net::listen_addresses(host, self.port, *family).await
    }

    /// Opens the socket on what was found.
    fn open(&self, found: io::Result<Vec<SocketAddr>>) {
        let address = self.address();
        let opened = {
            let _executor = self.owner.enter();
            found.and_then(|found| self.sockets.open(&found, net::MAX_BACKLOG))
        };
        match opened {
            Ok(true) => {
                self.log_listening(&address);
                *self.opening.lock() = Opening::Open;
            }
            // It was deleted meanwhile.
            Ok(false) => self.withdraw(),
            Err(error) => self.on_failure(&error, &address),
        }
        self.attempted.notify_all();
    }

    fn log_listening(&self, address: &str) {
        let Words { module, listening, .. } = S::WORDS;
        if self.port != Some(0) {
            log!(module, Level::Info, "{listening} {address}");
        } else if let Some(bound) = self.sockets.bound().first() {
            log!(module, Level::Info, "{listening} {bound} ({})", self.service.endpoint().name);
        }
    }

    /// Logged only when it is another failure than that of the attempt before.
    fn on_failure(&self, error: &io::Error, address: &str) {
        let error = ListenError { condition: "proton:io", description: io_text(error, "listen on", address) };
        let failed = Opening::Failed(error.clone());
        if std::mem::replace(&mut *self.opening.lock(), failed.clone()) != failed {
            log!(S::WORDS.module, Level::Error, "{} {address}: {error}", S::WORDS.failed);
        }
    }

    /// Nothing more is accepted, and nobody need wait for a first attempt any more.
    fn withdraw(&self) {
        self.sockets.retire();
        let mut opening = self.opening.lock();
        if matches!(*opening, Opening::Configured | Opening::Trying) {
            *opening = Opening::Failed(ListenError { condition: "proton:io", description: "ended".to_owned() });
        }
        self.attempted.notify_all();
    }
}

/// Opens the socket if it is not open yet, then accepts, until nothing more is to be accepted.
async fn listen<S: Service>(shared: Arc<Listening<S>>) {
    tokio::select! {
        () = keep_listening(&shared) => {}
        () = shared.owner.draining() => {}
    }
    shared.withdraw();
    if *shared.opening.lock() == Opening::Open {
        let (level, stopped) = S::WORDS.stopped;
        log!(S::WORDS.module, level, "{stopped} {}", shared.address());
    }
}

/// Opens the socket and accepts. A panic costs what was being accepted, and nothing else.
async fn keep_listening<S: Service>(shared: &Arc<Listening<S>>) {
    let listening = async || {
        open_at_last(shared).await;
        accept_all(shared).await;
    };
    while contained(listening()).await.is_none() {
        shared.owner.log_panic("listener");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Tries to open the socket until that succeeds.
async fn open_at_last<S: Service>(shared: &Listening<S>) {
    let mut retry = Retry::default();
    loop {
        let opening = shared.opening.lock().clone();
        match opening {
            Opening::Open => return,
            Opening::Failed(_) => {
                retry.failed();
                tokio::select! {
                    () = retry.due() => {}
                    () = shared.again.notified() => {}
                }
            }
            Opening::Configured | Opening::Trying => {}
        }
        shared.open(shared.look_up().await);
    }
}

async fn accept_all<S: Service>(shared: &Arc<Listening<S>>) {
    loop {
        match poll_fn(|cx| shared.sockets.poll_accept(cx)).await {
            Ok(_) if shared.service.refuses() => {}
            Ok(Accepted { stream, peer, .. }) => {
                #[cfg(test)]
                crate::tcp::capture::trip("accept");
                shared.owner.spawn("connection", S::serve(Arc::clone(shared), stream, peer));
            }
            Err(error) => {
                log!(S::WORDS.module, Level::Error, "Accept failed on {}: {error}", shared.address());
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
