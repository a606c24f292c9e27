//! Connections to a server: which takes a request, how they are opened, and their lives.

use super::Shared;
use super::dispatcher::Notice;
use crate::clock;
use crate::http_service::io::ServiceIo;
use crate::http_service::responder::Responder;
use crate::http_service::serve::Job;
use crate::http_service::server::{run_http1, run_http2};
use crate::http_service::{HttpConnectorParams, HttpVersion, setup};
use crate::net::{self, KeepAlive};
use crate::tasks::Steady;
use crate::tcp::Member;
use crate::transport::Transport;
use amqp_core::performative::DeliveryState;
use router_engine::Mailbox;
use router_engine::port::local::Endpoint;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long looking a server up and connecting to it may take, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Connections to one server.
const CONNECTIONS_MAX: usize = 4096;

/// Requests that wait for one connection.
const WAITING_MAX: usize = 1024;

/// A server that closes a connection sooner, although it was asked nothing, is as good as none.
const SHORT_LIFE: Duration = Duration::from_secs(1);

const STOPPING: &str = "the router is stopping";

/// Why a connection comes to nothing, when nothing else is known.
const FAILED: &str = "no connection could be made";

/// How long a server's host may be silent, and how long what it was sent may wait: once it reads no more, its host
/// acknowledges nothing either. Asked for [`PROBES`] times within that, a host is not given up for one packet that was lost.
const SILENCE: Duration = Duration::from_secs(60);
const PROBES: u32 = 4;

/// Requests side by side on one connection of HTTP/2; most servers take no more.
pub(in crate::http_service) const STREAMS: usize = 100;

/// Connections that may take requests.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Of HTTP/1, that are idle: the one that was used last comes last.
    idle: Vec<(u64, oneshot::Sender<Job>)>,
    next: u64,
    /// Of HTTP/2.
    lanes: Vec<Arc<Lane>>,
    /// Requests for a connection that is being opened: with HTTP/1 such as have claimed one.
    waiting: VecDeque<Job>,
    /// A connection is being opened that no request has claimed; with HTTP/2, of which it is not known how many it takes.
    connecting: bool,
}

/// A connection of HTTP/2 that takes requests.
#[derive(Debug)]
pub(in crate::http_service) struct Lane {
    requests: mpsc::UnboundedSender<(Job, Load)>,
    /// Requests there.
    load: AtomicUsize,
    /// As many as the server takes; one before it has told.
    limit: AtomicUsize,
    /// A request has ended since that was looked at.
    freed: AtomicBool,
}

/// A connection that is about to be, or is there: counted until this is dropped.
pub(in crate::http_service) struct Opening {
    shared: Arc<Shared>,
    /// It is the one that [`Pool::connecting`] tells of.
    unclaimed: bool,
    /// What is told when it comes to nothing.
    notice: Option<String>,
}

/// A connection that is established, until this is dropped.
pub(in crate::http_service) struct Established {
    shared: Arc<Shared>,
    since: Instant,
    /// It was asked something.
    asked: bool,
    /// It may take requests, and counts among those that do.
    open: bool,
}

/// The place of a request on a connection of HTTP/2, until it is dropped.
#[derive(Debug)]
pub(in crate::http_service) struct Load(Arc<Lane>);

// === impl Shared ===

impl Shared {
    /// Whether nobody else has a connection to the server that takes requests.
    pub(in crate::http_service) fn is_last(&self) -> bool {
        self.open.load(Ordering::Relaxed) <= 1 && !self.service.owner().is_draining()
    }

    /// A connection of HTTP/1 can take a request. Returns the number of the offer.
    pub(in crate::http_service) fn offer(&self, taker: oneshot::Sender<Job>) -> u64 {
        let pool = &mut *self.pool.lock();
        pool.next += 1;
        pool.idle.push((pool.next, taker));
        pool.next
    }

    /// An offer that was not taken is none any more.
    pub(in crate::http_service) fn withdraw_offer(&self, number: u64) {
        self.pool.lock().idle.retain(|(known, _)| *known != number);
    }

    /// Gives a request to a connection.
    pub(super) fn assign(self: &Arc<Self>, job: Job) {
        match self.params.version {
            HttpVersion::Http1 => self.assign_http1(job),
            HttpVersion::Http2 => self.assign_http2(job),
        }
    }

    fn assign_http1(self: &Arc<Self>, mut job: Job) {
        loop {
            let taker = {
                let pool = &mut *self.pool.lock();
                match pool.idle.pop() {
                    Some((_, taker)) => taker,
                    // A server may take one connection at a time.
                    None if std::mem::take(&mut pool.connecting) => return pool.waiting.push_back(job),
                    None => break,
                }
            };
            match taker.send(job) {
                Ok(()) => return,
                // It has ended.
                Err(returned) => job = returned,
            }
        }
        self.connect(Some(job));
    }

    fn assign_http2(self: &Arc<Self>, job: Job) {
        let mut pool = self.pool.lock();
        let Err(job) = pool.give(job) else { return };
        if pool.waiting.len() >= WAITING_MAX {
            drop(pool);
            return job.settle(DeliveryState::Released);
        }
        pool.waiting.push_back(job);
        let comes = std::mem::replace(&mut pool.connecting, true);
        drop(pool);
        if !comes {
            self.connect(None);
        }
    }

    /// Opens a connection that no request has claimed, unless one is being opened.
    pub(super) fn have_one_coming(self: &Arc<Self>) {
        let comes = std::mem::replace(&mut self.pool.lock().connecting, true);
        if !comes {
            self.connect(None);
        }
    }

    /// Opens a connection, for a request or, when [`Pool::connecting`] was set for it, for those to come.
    pub(super) fn connect(self: &Arc<Self>, job: Option<Job>) {
        let mailbox = Arc::default();
        let opening = Opening { shared: Arc::clone(self), unclaimed: job.is_none(), notice: Some(FAILED.to_owned()) };
        let room = self.connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX;
        let member = self.service.enter(&mailbox).filter(|_| room);
        let Some(member) = member else {
            return job.into_iter().for_each(|job| job.settle(DeliveryState::Released));
        };
        let seat = member.seat();
        let shared = Arc::clone(self);
        let work = async move { shared.run_connection(mailbox, member, job, opening).await };
        self.service.owner().run(seat, Steady::new(work));
    }

    /// The life of a connection to the server.
    async fn run_connection(
        self: Arc<Self>,
        mailbox: Arc<Mailbox>,
        mut member: Member,
        job: Option<Job>,
        mut opening: Opening,
    ) {
        let begun = clock::now();
        let opened = tokio::select! {
            opened = self.open_transport() => opened,
            () = self.service.owner().stopped() => Err(STOPPING.to_owned()),
        };
        let transport = match opened {
            Ok(transport) => transport,
            Err(text) => {
                if text != STOPPING && (job.is_some() || opening.is_awaited()) {
                    self.note_attempt(begun, Err(&text));
                }
                opening.notice = Some(text);
                return job.into_iter().for_each(|job| job.settle(DeliveryState::Released));
            }
        };
        let Some(responder) = self.join(&transport, mailbox).map(Arc::new) else {
            return job.into_iter().for_each(|job| job.settle(DeliveryState::Released));
        };
        member.count();
        let mut established = Established::new(&self);
        // Dropped before that, whatever happens: who is told of its end is to know whether another one comes.
        let mut opening = opening;
        opening.notice = None;
        self.notify(Notice::Opened);
        let io = ServiceIo::new(transport);
        let counts = io.counts();
        match self.params.version {
            HttpVersion::Http1 => {
                let job = job.or_else(|| opening.claim());
                run_http1(&self, io, &responder, job, &mut established).await;
            }
            HttpVersion::Http2 => run_http2(&self, io, &responder, &mut opening, &mut established).await,
        }
        member.note(counts.get(), false);
        // The dispatcher, which is told next, looks for what is still under way.
        drop(responder);
    }

    /// A connection of HTTP/2 takes no more requests.
    pub(in crate::http_service) fn unpublish(&self, lane: &Arc<Lane>) {
        self.pool.lock().lanes.retain(|known| !Arc::ptr_eq(known, lane));
    }

    fn join(&self, transport: &Transport<TcpStream>, mailbox: Arc<Mailbox>) -> Option<Responder> {
        let local = transport.socket().local_addr().ok().map(|address| address.to_string());
        let HttpConnectorParams { host, port, version, .. } = &self.params;
        let identity = setup::identity(*version, true, format!("{host}:{port}"), local);
        Responder::new(Endpoint::join_with(&self.router, identity, setup::open(*version), mailbox, clock::now()))
    }

    /// Opens the server socket. Otherwise why not.
    async fn open_transport(&self) -> Result<Transport<TcpStream>, String> {
        let HttpConnectorParams { host, port, version, .. } = &self.params;
        let session =
            self.session(Some(version.alpn())).map_err(|error| format!("Failed to create TLS session: {error}"))?;
        let begun = clock::now();
        let deadline = Instant::now() + CONNECT_LIMIT;
        let text = |error: &io::Error| net::io_text(error, "on connect", &format!("{host}:{port}"));
        let connected = timeout_at(deadline, async {
            let found = net::look_up_remote(host, self.port, None).await?;
            net::connect_until(deadline, &found).await
        });
        let late = || Err(io::ErrorKind::TimedOut.into());
        let stream = connected.await.unwrap_or_else(|_| late()).map_err(|error| text(&error))?;
        let _ = KeepAlive { interval: SILENCE / PROBES, probes: PROBES }.apply(&stream);
        net::limit_unacknowledged(&stream, SILENCE);
        self.service.times().setup.observe(clock::now().since(begun));
        let Some(session) = session else { return Ok(Transport::plain(stream)) };
        let mut transport = Transport::tls(stream, session);
        let secured = timeout_at(deadline, poll_fn(|cx| transport.poll_handshake(cx))).await;
        match secured {
            Err(_) => return Err("TLS connection failed: no handshake in time".to_owned()),
            Ok(Err(error)) => return Err(format!("TLS connection failed: {error}")),
            Ok(Ok(())) => {}
        }
        let agreed = transport.info().and_then(|info| info.alpn.clone());
        if *version == HttpVersion::Http2 && agreed.as_deref() != Some(b"h2") {
            return Err("the server does not agree to HTTP/2".to_owned());
        }
        Ok(transport)
    }
}

// === impl Pool ===

impl Pool {
    /// Gives a request to that connection of HTTP/2 with room that has the fewest. Otherwise there is none.
    fn give(&mut self, mut job: Job) -> Result<(), Job> {
        loop {
            let with_room = self.lanes.iter().enumerate().filter(|(_, lane)| lane.has_room());
            let least = with_room.min_by_key(|(_, lane)| lane.load.load(Ordering::Relaxed));
            let Some((at, lane)) = least else { return Err(job) };
            match lane.give(job) {
                Ok(()) => return Ok(()),
                // It has ended.
                Err(returned) => job = returned,
            }
            self.lanes.swap_remove(at);
        }
    }

    /// Gives requests that wait to a connection of HTTP/2, as far as it has room.
    fn feed(&mut self, lane: &Arc<Lane>) {
        while lane.has_room()
            && let Some(job) = self.waiting.pop_front()
        {
            if let Err(job) = lane.give(job) {
                return self.waiting.push_front(job);
            }
        }
    }
}

// === impl Lane ===

impl Lane {
    fn has_room(&self) -> bool {
        self.load.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed)
    }

    fn give(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        self.load.fetch_add(1, Ordering::Relaxed);
        self.requests.send((job, Load(Arc::clone(self)))).map_err(|mpsc::error::SendError((job, _))| job)
    }
}

// === impl Opening ===

impl Opening {
    /// A connection of HTTP/1 that was opened for no request has got one meanwhile.
    fn claim(&mut self) -> Option<Job> {
        if !std::mem::take(&mut self.unclaimed) {
            return None;
        }
        let pool = &mut *self.shared.pool.lock();
        pool.connecting = false;
        pool.waiting.pop_front()
    }

    /// Whether a request waits for it.
    fn is_awaited(&self) -> bool {
        self.unclaimed && !self.shared.pool.lock().waiting.is_empty()
    }

    /// A connection of HTTP/2 can take a request, and may get one of those that wait for it; [`Self::admit`] more.
    pub(in crate::http_service) fn publish(&self) -> (Arc<Lane>, mpsc::UnboundedReceiver<(Job, Load)>) {
        let (requests, receiver) = mpsc::unbounded_channel();
        let (load, limit) = (AtomicUsize::new(0), AtomicUsize::new(1));
        let lane = Arc::new(Lane { requests, load, limit, freed: AtomicBool::new(false) });
        let pool = &mut *self.shared.pool.lock();
        pool.feed(&lane);
        pool.lanes.push(Arc::clone(&lane));
        (lane, receiver)
    }

    /// The server takes so many requests there: those that wait get the places that are free. When they are too few for those
    /// that have waited for this connection, another one is opened; unless it takes none, and would take none there either.
    pub(in crate::http_service) fn admit(&mut self, lane: &Arc<Lane>, limit: usize) {
        let grown = lane.limit.swap(limit, Ordering::Relaxed) < limit;
        let freed = lane.freed.swap(false, Ordering::Relaxed);
        let first = std::mem::take(&mut self.unclaimed);
        if !(grown || freed || first) {
            return;
        }
        let (connects, unwanted) = {
            let pool = &mut *self.shared.pool.lock();
            pool.feed(lane);
            let unwanted = if first && limit == 0 { std::mem::take(&mut pool.waiting) } else { VecDeque::new() };
            if first {
                pool.connecting = !pool.waiting.is_empty();
            }
            (first && pool.connecting, unwanted)
        };
        unwanted.into_iter().for_each(|job| job.settle(DeliveryState::Released));
        if connects {
            self.shared.connect(None);
        }
    }

    /// Nothing more is to be had of this connection by those that have waited for it.
    pub(in crate::http_service) fn abandon(&mut self) {
        if !std::mem::take(&mut self.unclaimed) {
            return;
        }
        let waiting = {
            let pool = &mut *self.shared.pool.lock();
            pool.connecting = false;
            std::mem::take(&mut pool.waiting)
        };
        let was_established = self.notice.is_none();
        for job in waiting {
            if was_established {
                self.shared.again(job);
            } else {
                job.settle(DeliveryState::Released);
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.abandon();
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(text) = self.notice.take() {
            self.shared.notify(Notice::Failed(text));
        }
    }
}

// === impl Established ===

impl Established {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), since: Instant::now(), asked: false, open: true }
    }

    /// It was asked something.
    pub(in crate::http_service) const fn note_asked(&mut self) {
        self.asked = true;
    }

    /// It takes no more requests; what it has may go on for long.
    pub(in crate::http_service) fn retire(&mut self) {
        if std::mem::take(&mut self.open) {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
            self.shared.notify(Notice::Lost { useful: self.asked || self.since.elapsed() >= SHORT_LIFE });
        }
    }
}

impl Drop for Established {
    fn drop(&mut self) {
        self.retire();
        self.shared.notify(Notice::Ended);
    }
}

// === impl Load ===

impl Drop for Load {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.store(true, Ordering::Relaxed);
    }
}
