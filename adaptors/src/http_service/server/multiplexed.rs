//! A connection of HTTP/2 to a server: requests are carried out side by side.

use super::{Begun, Done, HEAD_MAX, IDLE_LIMIT, Sent, begin, informing, unanswered};
use crate::clock;
use crate::http::timer::TokioTimer;
use crate::http_service::connector::{Established, Lane, Load, Opening, STREAMS, Shared};
use crate::http_service::io::ServiceIo;
use crate::http_service::nursery::{Jobs, Nursery};
use crate::http_service::responder::{Responder, Serving};
use crate::http_service::serve::{Job, RequestBody};
use crate::http_service::tally::Outcome;
use amqp_core::performative::DeliveryState;
use hyper::client::conn::http2;
use hyper::{Method, StatusCode};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// How often a server of HTTP/2 is asked whether it is there, while it has requests; and how long it may take.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(60);

/// How long a server of HTTP/2 may take to tell how many requests it takes side by side. It is to say so first of all
/// (RFC 9113 3.4); one that says nothing is taken for one that has no limit.
const SETTINGS_LIMIT: Duration = Duration::from_secs(2);

/// What hyper has for that number before the server has told, which fits in 32 bits.
const UNTOLD: usize = usize::MAX - 1;

/// How long what was begun on a connection of HTTP/2 may take to end once that has ended.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Octets that a server may send ahead, for one answer and for all of a connection: answers that nobody reads hold up no others.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;

/// Carries requests out over a connection of HTTP/2, until it ends.
pub(in crate::http_service) async fn run_http2(
    shared: &Arc<Shared>,
    io: ServiceIo,
    responder: &Arc<Responder>,
    opening: &mut Opening,
    established: &mut Established,
) {
    let jobs = Jobs::default();
    let local = io.local();
    let (lane, mut requests) = opening.publish();
    let handshake = http2::Builder::new(jobs.nursery())
        .timer(TokioTimer)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(UNTOLD)
        .max_header_list_size(HEAD_MAX as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_LIMIT)
        .handshake::<_, RequestBody>(io)
        .await;
    let mut ended = None;
    if let Ok((sender, conn)) = handshake {
        let under_way = Arc::default();
        let mut connection = Multiplexed { shared, responder, jobs, sender, conn, under_way, local };
        if connection.run(&lane, &mut requests, opening, established).await == End::Orderly {
            ended = Some(connection);
        }
    }
    shared.unpublish(&lane);
    opening.abandon();
    give_back(shared, &mut requests);
    established.retire();
    if let Some(connection) = ended {
        connection.finish().await;
    }
}

/// A connection of HTTP/2, and the work on it.
struct Multiplexed<'a> {
    shared: &'a Arc<Shared>,
    responder: &'a Arc<Responder>,
    jobs: Jobs,
    sender: http2::SendRequest<RequestBody>,
    conn: http2::Connection<ServiceIo, RequestBody, Nursery>,
    /// Requests.
    under_way: Arc<AtomicUsize>,
    local: Option<SocketAddr>,
}

/// How a connection of HTTP/2 has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It takes nothing new; what is under way may go on.
    Orderly,
    /// All of it is to end.
    Closed,
}

// === impl Multiplexed ===

impl Multiplexed<'_> {
    /// Carries requests out for as long as the connection takes new ones.
    async fn run(
        &mut self,
        lane: &Arc<Lane>,
        requests: &mut mpsc::UnboundedReceiver<(Job, Load)>,
        opening: &mut Opening,
        established: &mut Established,
    ) -> End {
        let shared = self.shared;
        let mut draining = pin!(shared.draining());
        let mut idle = pin!(sleep(IDLE_LIMIT));
        let mut untold = pin!(sleep(SETTINGS_LIMIT));
        poll_fn(|cx| {
            if self.responder.poll_events(cx).is_ready() {
                return Poll::Ready(End::Closed);
            }
            let drains = draining.as_mut().poll(cx).is_ready();
            while let Poll::Ready(Some((job, load))) = requests.poll_recv(cx) {
                established.note_asked();
                self.begin(job, load);
            }
            if self.poll_conn(cx).is_ready() {
                return Poll::Ready(End::Orderly);
            }
            match self.conn.current_max_send_streams() {
                UNTOLD if untold.as_mut().poll(cx).is_pending() => {}
                told => opening.admit(lane, told.min(STREAMS)),
            }
            if self.under_way.load(Ordering::Relaxed) > 0 {
                idle.as_mut().reset(Instant::now() + IDLE_LIMIT);
                return Poll::Pending;
            }
            if drains {
                return Poll::Ready(End::Orderly);
            }
            while idle.as_mut().poll(cx).is_ready() {
                if !shared.is_last() {
                    return Poll::Ready(End::Orderly);
                }
                idle.as_mut().reset(Instant::now() + IDLE_LIMIT);
            }
            Poll::Pending
        })
        .await
    }

    fn begin(&self, job: Job, load: Load) {
        let (shared, responder) = (Arc::clone(self.shared), Arc::clone(self.responder));
        let (sender, local, counted) = (self.sender.clone(), self.local, Counted::new(&self.under_way));
        self.jobs.nursery().spawn(async move {
            carry_out_http2(&shared, &responder, (job, load), sender, local).await;
            drop(counted);
        });
    }

    /// Serves the connection, and does what can be done. Ready when it takes nothing new.
    fn poll_conn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.jobs.poll(cx);
        loop {
            if Pin::new(&mut self.conn).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !self.jobs.poll(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Goes on with what is under way: a server that takes nothing new may go on with that for as long as it likes.
    async fn finish(self) {
        let Self { responder, mut jobs, sender, conn, under_way, .. } = self;
        // hyper closes the connection when nobody can send by it any more.
        drop((sender, conn));
        let end = poll_fn(|cx| {
            jobs.poll(cx);
            if responder.poll_events(cx).is_ready() {
                return Poll::Ready(End::Closed);
            }
            if under_way.load(Ordering::Relaxed) == 0 { Poll::Ready(End::Orderly) } else { Poll::Pending }
        });
        if end.await == End::Orderly {
            let closed = poll_fn(|cx| {
                jobs.poll(cx);
                if jobs.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            });
            let _ = timeout(END_LIMIT, closed).await;
        }
    }
}

/// A request that is under way, until this is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nothing of what waits has left for the server.
fn give_back(shared: &Shared, requests: &mut mpsc::UnboundedReceiver<(Job, Load)>) {
    requests.close();
    while let Ok((job, _)) = requests.try_recv() {
        shared.again(job);
    }
}

/// Carries a request out, unless another connection is to; what is left of its body then is not sent.
async fn carry_out_http2(
    shared: &Arc<Shared>,
    responder: &Arc<Responder>,
    (job, load): (Job, Load),
    sender: http2::SendRequest<RequestBody>,
    local: Option<SocketAddr>,
) {
    let serving = responder.serve(&job.progress);
    serving.hold(load);
    match try_http2(shared, responder, &serving, job, sender, local).await {
        None => serving.progress().cancel(),
        Some(unsent) => shared.again(*unsent),
    }
}

/// Returns the request if nothing of it has left.
async fn try_http2(
    shared: &Arc<Shared>,
    responder: &Arc<Responder>,
    serving: &Arc<Serving>,
    mut job: Job,
    mut sender: http2::SendRequest<RequestBody>,
    local: Option<SocketAddr>,
) -> Option<Box<Job>> {
    let Begun { read, asked, record, _under_way } = match begin(shared, &mut job, serving, local).await {
        Ok(begun) => begun,
        Err(outcome) => {
            job.settle(outcome);
            return None;
        }
    };
    if asked.method == Method::CONNECT || read.request.upgrade.is_some() {
        let text = "another protocol cannot be agreed on with a server of HTTP/2";
        shared.refuse(&asked, serving, job.request, StatusCode::NOT_IMPLEMENTED, text);
        return None;
    }
    let request = match shared.target().request(read, serving) {
        Ok(request) => request,
        Err(error) => {
            shared.reject(&job, &asked, &error);
            job.settle(DeliveryState::Rejected(None));
            return None;
        }
    };
    let request = informing(request, responder, &asked);
    let begun = clock::now();
    let progress = Arc::clone(&job.progress);
    let mut cancelled = pin!(poll_fn(|cx| progress.poll_cancelled(cx)));
    let sent = tokio::select! {
        biased;
        sent = sender.try_send_request(request) => sent,
        () = &mut cancelled => {
            shared.target().tally.failed(Outcome::Cancelled);
            job.settle(DeliveryState::failed());
            return None;
        }
    };
    match sent {
        Ok(response) => {
            let taken = clock::now().since(begun);
            shared.target().tally.waited(taken);
            shared.note_attempt(begun, Ok(()));
            record.waited(taken);
            shared.target().answer(response, &asked, serving, job.request, begun).await;
            None
        }
        Err(error) => match unanswered(shared, job, &asked, error, Sent { begun, reused: false }) {
            Done::Unsent(job) => Some(job),
            Done::Stale(_) | Done::Kept | Done::Spent | Done::Tunnel(_) => None,
        },
    }
}
