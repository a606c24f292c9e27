//! The listening socket of a service (spec `tcp-adaptor.md` section 3): open while one of its addresses is reachable, and for as
//! long as streams are sent again ([`Router::stream_retry`]) after the last consumer went: clients that come meanwhile wait.
//!
//! ```text
//!  Closed --reachable--> Open --the last consumer went--> Awaiting --time over, address removed--> Closed
//!                         ^                                   |
//!                         '-------------reachable-------------'
//! ```

use crate::net::{self, Inherited, MAX_BACKLOG};
use crate::retry::{Retry, at};
use crate::sockets::{Accepted, Sockets};
use crate::tasks::contained;
use crate::tcp::{AddressSet, Chosen, Reach, Service, Strategy};
use parking_lot::Mutex;
use router_engine::log::{Level, LogModule};
use router_engine::stream::Notify;
use router_engine::vanflow::Record;
use router_engine::{Effect, Mailbox, Router};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Connections taken from the kernel before other tasks get their turn.
const ACCEPTS: usize = 32;

/// How long to wait after an accept failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a service listens, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The entity's name.
    pub(crate) name: String,
    /// Host to listen on; empty is every local address.
    pub(crate) host: String,
    /// Port number or service name.
    pub(crate) port: String,
    /// Listen backlog; 0 is the system's limit.
    pub(crate) backlog: u32,
    /// Where it logs.
    pub(crate) module: LogModule,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct ServiceSocket {
    place: Place,
    router: Arc<Router>,
    service: Arc<Service>,
    mailbox: Arc<Mailbox>,
    sockets: Sockets,
    /// The number of the port, when it has one.
    port: Option<u16>,
    addresses: Mutex<AddressSet>,
    status: Mutex<Status>,
    /// Whether somebody serves one of the addresses.
    reachable: watch::Sender<bool>,
}

#[derive(Debug, Clone, Default)]
struct Status {
    up: bool,
    message: String,
}

// === impl ServiceSocket ===

impl ServiceSocket {
    /// A socket that is closed, without addresses.
    pub(crate) fn new(
        place: Place,
        router: &Arc<Router>,
        service: Arc<Service>,
        strategy: Strategy,
        inherited: Inherited,
    ) -> Self {
        Self {
            port: net::port_number(&place.port),
            router: Arc::clone(router),
            service,
            mailbox: Arc::default(),
            sockets: Sockets::new(inherited),
            addresses: Mutex::new(AddressSet::new(strategy)),
            status: Mutex::default(),
            reachable: watch::Sender::new(false),
            place,
        }
    }

    /// Whether it listens, be it for a consumer that may come back, and the text of the last failure to do so.
    pub(crate) fn status(&self) -> (bool, String) {
        let status = self.status.lock();
        (status.up, status.message.clone())
    }

    /// Whether somebody serves one of the addresses.
    pub(crate) fn is_reachable(&self) -> bool {
        *self.reachable.borrow()
    }

    /// Ready when somebody serves one of the addresses.
    pub(crate) async fn reachable(&self) {
        // The sender is its own.
        let _ = self.reachable.subscribe().wait_for(|reachable| *reachable).await;
    }

    /// The addresses, by decreasing value.
    pub(crate) const fn addresses(&self) -> &Mutex<AddressSet> {
        &self.addresses
    }

    /// The address for the next client.
    pub(crate) fn choose(&self, random: u64) -> Option<Chosen> {
        self.addresses.lock().choose(random)
    }

    /// Watches an address from now on.
    pub(crate) fn add_address(&self, name: &str, address: &str, value: i64, record: Option<Record>) {
        let key = self.addresses.lock().insert(name, address, value, record);
        let watch = self.router.watch_consumers(address, Notify { mailbox: Arc::clone(&self.mailbox), key });
        self.addresses.lock().set_watch(key, watch);
    }

    /// Watches an address no more. False when there is none of that name.
    pub(crate) fn remove_address(&self, name: &str) -> bool {
        let removed = self.addresses.lock().remove(name);
        let Some(entry) = removed else { return false };
        if let Some(watch) = entry.watch {
            self.router.unwatch(watch);
        }
        // The task looks at the addresses again.
        if let Some(waker) = self.mailbox.ready(entry.key) {
            waker.wake();
        }
        true
    }

    /// Opens and closes the socket, and accepts, until the service drains.
    pub(crate) async fn run(&self, accept: impl Fn(Accepted) + Send + Sync) {
        tokio::select! {
            () = serve(self, &accept) => {}
            () = self.service.owner().draining() => {}
        }
        self.withdraw();
    }

    /// Nothing more is accepted, and no address watched any more.
    pub(crate) fn withdraw(&self) {
        self.sockets.retire();
        self.set_status(Status::default());
        let watches = self.addresses.lock().take_watches();
        watches.into_iter().for_each(|watch| self.router.unwatch(watch));
    }

    pub(crate) fn host_port(&self) -> String {
        format!("{}:{}", self.place.host, self.place.port)
    }

    /// For how long an open socket awaits that a consumer comes back, if at all.
    fn awaits(&self, reach: Reach) -> Option<Duration> {
        let wait = self.router.stream_retry();
        (reach == Reach::Lost && !wait.is_zero() && self.sockets.is_open()).then_some(wait)
    }

    /// Opens the socket, or notes when to try again.
    async fn open(&self, retry: &mut Retry) {
        if self.try_open().await {
            retry.clear();
        } else {
            retry.failed();
        }
    }

    /// False when the socket could not be opened.
    async fn try_open(&self) -> bool {
        let Place { name, host, backlog, .. } = &self.place;
        let backlog = i32::try_from(*backlog).ok().filter(|b| (1..=MAX_BACKLOG).contains(b)).unwrap_or(MAX_BACKLOG);
        let found = net::look_up_local(host, self.port).await;
        match found.and_then(|found| self.sockets.open(&found, backlog)) {
            // The listener was deleted.
            Ok(false) => true,
            Ok(true) => {
                self.set_status(Status { up: true, message: String::new() });
                router_engine::log!(
                    self.place.module,
                    Level::Info,
                    "Listener {name}: listening for client connections on {} with backlog {backlog}",
                    self.host_port()
                );
                true
            }
            Err(error) => {
                self.not_opened(net::io_text(&error, "listen on", &self.host_port()));
                false
            }
        }
    }

    /// Shows whether the socket is open. Returns what was shown before.
    fn set_status(&self, status: Status) -> Status {
        self.service.set_up(status.up);
        std::mem::replace(&mut self.status.lock(), status)
    }

    /// Shows why the socket is not open, and logs that when it is new.
    fn not_opened(&self, message: String) {
        let known = self.set_status(Status { up: false, message: message.clone() });
        if known.message != message {
            router_engine::log!(
                self.place.module,
                Level::Error,
                "Listener {}: proactor listener error on {}: proton:io ({message})",
                self.place.name,
                self.host_port()
            );
        }
    }

    /// Closes the socket, if it is open.
    fn close(&self) {
        if !self.sockets.close() {
            self.status.lock().message.clear();
            return;
        }
        self.set_status(Status::default());
        router_engine::log!(
            self.place.module,
            Level::Info,
            "Listener {}: stopped listening for client connections on {}",
            self.place.name,
            self.host_port()
        );
    }
}

/// Opens and closes the socket as the addresses come and go, and accepts. While the socket cannot be opened, that is
/// tried again and again: whoever has the port may leave it.
async fn serve(shared: &ServiceSocket, accept: &(impl Fn(Accepted) + Sync)) {
    let mut reach = Reach::Nobody;
    let mut retry = Retry::default();
    // Until when a socket without a consumer stays open.
    let mut awaits = None;
    loop {
        let event = tokio::select! {
            event = contained(next_event(shared, accept)) => event.unwrap_or_else(|| {
                shared.service.owner().log_panic("listener");
                Event::AcceptFailed
            }),
            () = retry.due() => Event::Retry,
            () = at(awaits) => Event::WaitOver,
        };
        match event {
            Event::AcceptFailed => tokio::time::sleep(ACCEPT_PAUSE).await,
            Event::Reach(now) if now == reach => {}
            Event::Reach(now) => {
                reach = now;
                shared.reachable.send_replace(reach == Reach::Somebody);
                retry.clear();
                awaits = shared.awaits(reach).map(|wait| Instant::now() + wait);
                match reach {
                    Reach::Somebody if shared.sockets.is_open() => {}
                    Reach::Somebody => shared.open(&mut retry).await,
                    Reach::Lost if awaits.is_some() => {}
                    Reach::Lost | Reach::Nobody => shared.close(),
                }
            }
            Event::Retry => shared.open(&mut retry).await,
            Event::WaitOver => {
                awaits = None;
                shared.close();
            }
        }
    }
}

enum Event {
    /// Who can be reached was told anew.
    Reach(Reach),
    /// The kernel gives no more sockets for now, or accepting one panicked.
    AcceptFailed,
    /// It is time to try again to open the socket.
    Retry,
    /// No consumer has come back in time.
    WaitOver,
}

/// Accepts connections until something else happens.
async fn next_event(shared: &ServiceSocket, accept: &(impl Fn(Accepted) + Sync)) -> Event {
    let mailbox = &shared.mailbox;
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    std::future::poll_fn(|cx| {
        loop {
            if mailbox.take(&mut effects, &mut ready) {
                ready.clear();
                let mut addresses = shared.addresses.lock();
                for effect in effects.drain(..) {
                    if let Effect::Watch { key, counts } = effect {
                        addresses.set_reachable(key, counts.reachable());
                    }
                }
                return Poll::Ready(Event::Reach(addresses.reach()));
            }
            match accept_some(&shared.sockets, accept, cx) {
                Ok(true) => {}
                Ok(false) => cx.waker().wake_by_ref(),
                Err(error) => {
                    let name = &shared.place.name;
                    router_engine::log!(shared.place.module, Level::Warning, "Listener {name}: accept failed: {error}");
                    return Poll::Ready(Event::AcceptFailed);
                }
            }
            if mailbox.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Accepts a bounded number of clients. True when none is left.
fn accept_some(sockets: &Sockets, accept: &impl Fn(Accepted), cx: &mut Context<'_>) -> io::Result<bool> {
    for _ in 0..ACCEPTS {
        match sockets.poll_accept(cx) {
            Poll::Pending => return Ok(true),
            Poll::Ready(Ok(accepted)) => accept(accepted),
            // The client has given up already.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    Ok(false)
}
