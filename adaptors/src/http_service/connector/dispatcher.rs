//! What takes the requests of a service address while its server can be reached, and looks after that.

use super::Shared;
use crate::clock;
use crate::http_service::HttpConnectorParams;
use crate::http_service::responder::Progress;
use crate::http_service::serve::{Job, Taken};
use crate::http_service::setup;
use crate::retry::at;
use crate::tasks::contained;
use amqp_core::performative::DeliveryState;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::local::{Attach, Delivery, Endpoint, Event};
use router_engine::{LinkId, OutId};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// By how much the pause between attempts to reach the server grows, and to what.
const PAUSE_GROWS: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Connections that a request may be refused by before it is released.
const REFUSALS_MAX: u32 = 3;

/// Events of the core, and notices, that are handled in one turn: what they want of the core goes in one batch.
const BATCH: usize = 64;

/// What connections tell the task that dispatches.
#[derive(Debug)]
pub(super) enum Notice {
    /// A request that a connection could not take, and of which nothing has left.
    Again(Box<Job>),
    /// A request for a connection that was never used.
    Afresh(Box<Job>),
    /// The server was reached.
    Opened,
    /// A connection takes no more requests; it was of use, or was no longer than it takes to say so.
    Lost { useful: bool },
    /// A connection has ended, with all that was under way there.
    Ended,
    /// The server could not be reached.
    Failed(String),
}

/// Takes the requests of the service address.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    inbox: mpsc::UnboundedReceiver<Notice>,
    /// The link that consumes the address, while the server can be reached.
    link: Option<LinkId>,
    /// Connections in a row that were of no use.
    useless: u32,
    /// What checks and requests say of the server.
    available: bool,
    pause: Duration,
    retry: Option<Instant>,
}

/// That a request is known by its delivery, until this is dropped.
#[derive(Debug)]
pub(in crate::http_service) struct Registration {
    shared: Arc<Shared>,
    delivery: OutId,
}

// === impl Shared ===

impl Shared {
    /// A connection could not take a request, of which nothing has left.
    pub(in crate::http_service) fn again(&self, mut job: Job) {
        job.refused += 1;
        if job.refused > REFUSALS_MAX {
            return job.settle(DeliveryState::Released);
        }
        self.notify(Notice::Again(Box::new(job)));
    }

    /// A connection had ended before it was given a request.
    pub(in crate::http_service) fn elsewhere(&self, job: Job) {
        self.notify(Notice::Again(Box::new(job)));
    }

    /// A connection has ended that a request was sent by, which may be sent again.
    pub(in crate::http_service) fn afresh(&self, mut job: Job) {
        job.renewed = true;
        self.notify(Notice::Afresh(Box::new(job)));
    }

    pub(super) fn notify(&self, notice: Notice) {
        // Nobody dispatches any more.
        if let Err(mpsc::error::SendError(Notice::Again(job) | Notice::Afresh(job))) = self.notices.send(notice) {
            job.settle(DeliveryState::Released);
        }
    }
}

// === impl Dispatcher ===

impl Dispatcher {
    pub(super) fn join(shared: &Arc<Shared>, inbox: mpsc::UnboundedReceiver<Notice>) -> Self {
        let HttpConnectorParams { host, port, version, .. } = &shared.params;
        let identity = setup::dispatcher(format!("{host}:{port}"));
        let endpoint = Endpoint::join(&shared.router, identity, setup::open(*version), clock::now());
        Self {
            shared: Arc::clone(shared),
            endpoint,
            inbox,
            link: None,
            useless: 0,
            available: shared.is_available(),
            pause: Duration::ZERO,
            retry: None,
        }
    }

    /// Serves until the httpConnector is drained.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        shared.have_one_coming();
        loop {
            let ended = tokio::select! {
                ended = contained(self.dispatch()) => ended.is_some(),
                () = shared.service.owner().draining() => true,
            };
            if ended {
                break;
            }
            shared.service.owner().log_panic("dispatcher");
        }
        self.leave();
        // Those that were taken go on to their ends.
        tokio::select! {
            () = self.finish() => {}
            () = shared.service.owner().stopped() => {}
        }
    }

    /// Takes requests and notices.
    async fn dispatch(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let (retry, available) = (self.retry, self.available);
            tokio::select! {
                () = poll_fn(|cx| self.poll_batch(cx)) => {}
                () = at(retry) => {
                    self.retry = None;
                    shared.have_one_coming();
                }
                () = shared.availability_changes(available) => self.on_availability(),
            }
            self.endpoint.submit(clock::now());
        }
    }

    /// Handles events and notices. Ready when there were any.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for handled in 0..BATCH {
            let event = self.endpoint.poll_event(cx);
            let notice = self.inbox.poll_recv(cx);
            if event.is_pending() && !matches!(notice, Poll::Ready(Some(_))) {
                return if handled > 0 { Poll::Ready(()) } else { Poll::Pending };
            }
            if let Poll::Ready(event) = event {
                self.on_event(event);
            }
            if let Poll::Ready(Some(notice)) = notice {
                self.on_notice(notice);
            }
        }
        Poll::Ready(())
    }

    /// Takes no new requests.
    async fn finish(&mut self) {
        while !self.shared.cancels.lock().is_empty() {
            tokio::select! {
                event = poll_fn(|cx| self.endpoint.poll_event(cx)) => self.on_event(event),
                Some(notice) = self.inbox.recv() => {
                    if let Notice::Again(job) | Notice::Afresh(job) = notice {
                        job.settle(DeliveryState::Released);
                    }
                }
            }
            self.endpoint.submit(clock::now());
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => self.on_request(delivery),
            Event::SenderUpdate { delivery, settled: true, .. } | Event::Withdrawn(delivery) => {
                let known = self.shared.cancels.lock().remove(&delivery);
                known.into_iter().for_each(|progress| progress.cancel());
            }
            _ => {}
        }
    }

    fn on_request(&mut self, delivery: Delivery) {
        if self.link.is_none() || BUDGET.refuses() {
            return self.endpoint.settle(delivery, DeliveryState::Released);
        }
        let progress = Arc::<Progress>::default();
        self.shared.cancels.lock().insert(delivery.id(), Arc::clone(&progress));
        let registration = Registration { shared: Arc::clone(&self.shared), delivery: delivery.id() };
        let request = Taken { delivery, _registration: registration };
        self.shared.assign(Job { request, progress, refused: 0, renewed: false });
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Again(job) => self.shared.assign(*job),
            Notice::Afresh(job) => self.shared.connect(Some(*job)),
            Notice::Opened => self.on_reached(),
            Notice::Lost { useful } => self.on_lost(useful),
            Notice::Ended => {}
            Notice::Failed(text) => self.on_failed(&text),
        }
    }

    fn on_reached(&mut self) {
        self.retry = None;
        if self.link.is_some() || !self.available {
            return;
        }
        let links = [Attach::receiver("http.connector.out", &self.shared.params.address)];
        let [attached] = self.endpoint.attach(links, clock::now());
        match attached {
            Ok(attached) => {
                self.link = Some(attached.link);
                self.shared.set_status(true, "");
                log!(LogModule::HttpAdaptor, Level::Info, "{} is reached", self.shared.describe());
            }
            Err(error) => {
                let text = error.description.as_deref().unwrap_or_else(|| error.condition.as_str());
                self.on_down(&format!("the address is refused: {text}"));
            }
        }
    }

    /// There are no requests for the server.
    fn on_down(&self, text: &str) {
        let known = self.shared.set_status(false, text);
        if known.message != text {
            log!(LogModule::HttpAdaptor, Level::Warning, "{} cannot be reached: {text}", self.shared.describe());
        }
    }

    /// Checks, or requests, have it that the server is to get requests now, or none.
    fn on_availability(&mut self) {
        self.available = self.shared.is_available();
        if !self.available {
            self.leave();
            self.shared
                .set_status(false, &self.shared.health.as_ref().map(|health| health.view().reason).unwrap_or_default());
        } else if self.shared.open.load(Ordering::Relaxed) > 0 {
            self.on_reached();
        }
    }

    /// The last connection is missed, unless the server closes all at once.
    fn on_lost(&mut self, useful: bool) {
        if useful {
            (self.useless, self.pause) = (0, Duration::ZERO);
        } else {
            self.useless += 1;
        }
        if self.shared.open.load(Ordering::Relaxed) > 0 || self.retry.is_some() {
            return;
        }
        match self.useless {
            0 | 1 => self.shared.have_one_coming(),
            _ => self.on_failed("the server closes connections at once"),
        }
    }

    fn on_failed(&mut self, text: &str) {
        // Another connection lives, or it is known.
        if self.shared.open.load(Ordering::Relaxed) > 0 || self.retry.is_some() {
            return;
        }
        self.leave();
        self.on_down(text);
        self.pause = (self.pause + PAUSE_GROWS).min(PAUSE_MAX);
        self.retry = Some(Instant::now() + self.pause);
    }

    /// Leaves the address.
    fn leave(&mut self) {
        if let Some(link) = self.link.take() {
            self.endpoint.unbind(link);
            self.endpoint.submit(clock::now());
        }
    }
}

// === impl Registration ===

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.cancels.lock().remove(&self.delivery);
    }
}
