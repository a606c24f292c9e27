//! Requests that fail, against a core and servers that do as the test says.

use super::head::{self, Head};
use super::*;
use crate::core::connection::PeerKind;
use crate::core::{Mode, RouterConfig};
use crate::port::local::{Delivery, Endpoint, Envelope, Event, Identity};
use crate::stream::{Notify, Payload, Producer, Pull, Reader, StreamLimits};
use std::collections::VecDeque;
use std::time::Duration;

const ADDRESS: &str = "svc";
const RETRY: Duration = Duration::from_secs(2);

const fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn flow() -> Identity {
    let (kind, host) = (PeerKind::TcpFlow, "flow".to_owned());
    Identity { kind, initiator: false, host, local_socket: None, capacity: 5 }
}

/// The client's connection: what it sends, and what it was sent.
#[derive(Default)]
struct Client {
    input: VecDeque<Read>,
    output: Vec<u8>,
    /// How it was shut down.
    shut: Option<Finish>,
}

impl Transport for Client {
    fn poll_read(&mut self, _: &mut Context<'_>) -> Poll<Read> {
        self.input.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, WriteError>> {
        slices.iter().for_each(|slice| self.output.extend_from_slice(slice));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn wants_flush(&self) -> bool {
        false
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>, finish: Finish, _: bool) -> Poll<()> {
        self.shut = Some(finish);
        Poll::Ready(())
    }
}

/// A client's exchange in a router.
struct Bed {
    router: Arc<Router>,
    exchange: Exchange,
    client: Client,
    /// When the exchange wants to be asked again.
    due: Option<Instant>,
}

/// A server of the address.
struct Server {
    endpoint: Endpoint,
    into: LinkId,
}

/// A request that has come to a server.
struct Served {
    delivery: Delivery,
    reader: Reader,
    reply_to: String,
}

// === impl Bed ===

impl Bed {
    /// A router with servers.
    fn router(stream_retry: Duration, servers: usize) -> (Arc<Router>, Vec<Server>) {
        let (id, mode) = ("R".into(), Mode::Standalone);
        let config = RouterConfig { id, mode, stream_retry, ..RouterConfig::default() };
        let router = Arc::new(Router::new(config, crate::rng::Seed::from(1), 1, at(0)));
        let servers = (0..servers).map(|_| Server::new(&router)).collect();
        (router, servers)
    }

    fn new(servers: usize) -> (Self, Vec<Server>) {
        let (router, servers) = Self::router(RETRY, servers);
        (Self::in_router(router), servers)
    }

    fn in_router(router: Arc<Router>) -> Self {
        let connection = Connection::join(&router, flow(), Arc::default(), at(0));
        let opened = Action::Opened(Box::default());
        let exchange =
            Exchange::requester(connection, head::RequestHead::new(ADDRESS), opened, at(0)).expect("attached");
        let mut bed = Self { router, exchange, client: Client::default(), due: None };
        bed.turn(at(0));
        bed
    }

    /// The exchange of a request that has come to a server.
    fn responder(router: Arc<Router>, Served { delivery, reader, .. }: Served, reply_to: &str) -> Self {
        let mut connection = Connection::join(&router, flow(), Arc::default(), at(0));
        let links = [Attach::anonymous_sender("reply"), Attach::unbound_receiver("request")];
        let opened = &mut vec![Action::Opened(Box::default())];
        let [into, out_of] = connection.attach(opened, links, at(0)).map(|answer| answer.expect("attached").link);
        let wide = takes_grants(delivery.annotations());
        let delivery = delivery.move_to(&mut connection, out_of, at(0));
        let request = Request { delivery, reader, pending: VecDeque::new(), wide };
        let mut exchange = Exchange::responder(connection, head::server_head(reply_to), request);
        exchange.start(into, reply_to.to_owned(), Vec::new());
        Self { router, exchange, client: Client::default(), due: None }
    }

    /// Does what there is to do, as the task of a flow.
    fn turn(&mut self, now: Instant) -> Phase {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            self.exchange.take_mail();
            self.due = self.exchange.resend(now);
            let busy = self.exchange.copy(&mut cx, &mut self.client);
            self.exchange.submit(|| now);
            if self.exchange.is_over() || (!busy && self.exchange.park(Waker::noop())) {
                return self.exchange.phase();
            }
        }
    }

    /// Has a server refuse a request, if one comes to it.
    fn is_refused(&mut self, server: &mut Server, now: Instant) -> bool {
        self.turn(now);
        let Some(served) = server.serve() else { return false };
        server.settle(served, modified());
        self.turn(now);
        true
    }

    fn sends(&mut self, text: &'static str) {
        self.client.input.push_back(Read::Data(Bytes::from_static(text.as_bytes())));
    }
}

// === impl Server ===

impl Server {
    fn new(router: &Arc<Router>) -> Self {
        let mut endpoint = Endpoint::join(router, Identity::client("server", 5), Default::default(), at(0));
        let links = [Attach::receiver("out", ADDRESS), Attach::anonymous_sender("in")];
        let [_, into] = endpoint.attach(links, at(0)).map(|answer| answer.expect("attached").link);
        Self { endpoint, into }
    }

    /// The request that has come, if one has.
    fn serve(&mut self) -> Option<Served> {
        while self.endpoint.take() {
            let events: Vec<Event> = std::iter::from_fn(|| self.endpoint.next_event()).collect();
            for event in events {
                if let Event::Delivery(delivery) = event {
                    return Some(Served::new(delivery, self.endpoint.notify(0)));
                }
            }
        }
        None
    }

    fn settle(&mut self, served: Served, outcome: DeliveryState) {
        self.endpoint.settle(served.delivery, outcome);
        self.endpoint.submit(at(0));
    }

    /// Begins to answer; the answer is aborted when it is dropped.
    fn answer(&mut self, served: &Served, text: &'static str) -> Producer {
        let answer = Producer::new(StreamLimits::DEFAULT, None);
        answer.push(head::server_head(&served.reply_to));
        answer.push(Bytes::from_static(text.as_bytes()));
        let payload = Payload::Stream(answer.share());
        self.endpoint.send(self.into, payload, Envelope::to(&served.reply_to).streaming());
        self.endpoint.submit(at(0));
        answer
    }
}

impl Served {
    fn new(mut delivery: Delivery, notify: Notify) -> Self {
        let reader = delivery.take_reader(notify);
        let mut octets = VecDeque::new();
        reader.pull(usize::MAX, &mut octets);
        let head = head::parse(octets.make_contiguous(), false).expect("a head");
        let Some(Head { reply_to: Some(reply_to), .. }) = head else { panic!("{head:?} is no request") };
        Self { delivery, reader, reply_to }
    }

    fn received(&self) -> Vec<u8> {
        let mut octets = VecDeque::new();
        self.reader.pull(usize::MAX, &mut octets);
        octets.make_contiguous().concat()
    }
}

#[test]
fn a_request_waits_for_a_consumer() {
    let (mut bed, _) = Bed::new(0);
    assert_eq!(bed.turn(at(0)), Phase::Waiting);
    assert_eq!(bed.due, Some(at(2000)), "nothing but a consumer is waited for");
    assert_eq!(bed.turn(at(500)), Phase::Waiting);
    let mut server = Server::new(&bed.router);
    bed.sends("question");
    assert_eq!(bed.turn(at(501)), Phase::Open);
    let served = server.serve().expect("at once");
    let _answer = server.answer(&served, "greeting");
    bed.turn(at(502));
    assert_eq!((served.received(), bed.client.output.as_slice()), (b"question".to_vec(), &b"greeting"[..]));
}

#[test]
fn a_request_is_given_up_in_time() {
    let (mut bed, _) = Bed::new(0);
    assert_eq!(bed.turn(at(1999)), Phase::Waiting);
    assert_eq!(bed.turn(at(2000)), Phase::Cut);
    bed.exchange.leave();
    bed.exchange.submit(|| at(2000));
    drop(bed.exchange);
    assert!(bed.router.address_rows().iter().all(|row| row.key != "Msvc"), "nobody watches it");
}

#[test]
fn a_request_that_was_refused_goes_to_another_server() {
    for outcome in [modified(), DeliveryState::Released] {
        let (mut bed, mut servers) = Bed::new(2);
        let mut requests: Vec<_> = servers.iter_mut().map(Server::serve).collect();
        let refuses = requests.iter().position(Option::is_some).expect("a request");
        let request = requests[refuses].take().expect("it");
        servers[refuses].settle(request, outcome.clone());
        assert_eq!(bed.turn(at(0)), Phase::Open, "{outcome:?}");
        assert!(servers[refuses].serve().is_none());
        assert!(servers[1 - refuses].serve().is_some());
    }
}

#[test]
fn a_server_that_refuses_is_asked_again_after_pauses() {
    let (mut bed, mut servers) = Bed::new(1);
    let mut asked = Vec::new();
    for now in 0..=2000 {
        while bed.is_refused(&mut servers[0], at(now)) {
            asked.push(now);
        }
    }
    assert_eq!(asked[..8], [0, 0, 10, 30, 70, 150, 310, 510]);
    assert_eq!((asked.len(), bed.exchange.phase()), (15, Phase::Cut));
}

#[test]
fn another_server_that_comes_meanwhile_is_tried_at_once() {
    let (mut bed, mut servers) = Bed::new(1);
    for now in [0, 0, 10, 30, 70, 150] {
        assert!(bed.is_refused(&mut servers[0], at(now)));
    }
    assert_eq!(bed.turn(at(160)), Phase::Waiting);
    let _another_client = Bed::in_router(Arc::clone(&bed.router));
    assert_eq!(bed.turn(at(160)), Phase::Waiting, "that is no news");
    servers.push(Server::new(&bed.router));
    assert_eq!(bed.turn(at(161)), Phase::Open);
}

#[test]
fn what_was_read_of_a_client_is_never_sent_again() {
    let (mut bed, mut servers) = Bed::new(1);
    let served = servers[0].serve().expect("a request");
    let _answer = servers[0].answer(&served, "");
    bed.sends("question");
    bed.turn(at(1));
    servers[0].settle(served, DeliveryState::Released);
    assert_eq!(bed.turn(at(2)), Phase::Draining);
    assert!(servers[0].serve().is_none());
}

#[test]
fn what_a_server_sent_is_written_before_its_failure_is_told() {
    for outcome in [modified(), DeliveryState::Released] {
        let (mut bed, mut servers) = Bed::new(1);
        let served = servers[0].serve().expect("a request");
        let answer = servers[0].answer(&served, "too many clients");
        drop(answer);
        servers[0].settle(served, outcome);
        assert_eq!(bed.turn(at(1)), Phase::Draining);
        assert_eq!(bed.client.output, b"too many clients");
    }
}

#[test]
fn a_server_that_answers_and_breaks_off_gets_one_more_chance() {
    let (mut bed, mut servers) = Bed::new(1);
    for again in [true, false] {
        let served = servers[0].serve().expect("a request");
        let answer = servers[0].answer(&served, "");
        bed.turn(at(100));
        drop(answer);
        servers[0].settle(served, modified());
        assert_eq!(bed.turn(at(100)) == Phase::Open, again);
    }
    assert!(servers[0].serve().is_none());
}

/// A reply that was lost on its way, of which the client's router has heard nothing.
#[test]
fn a_request_fails_at_once_when_its_reply_has() {
    let (mut bed, mut servers) = Bed::new(1);
    let served = servers[0].serve().expect("a request");
    let mut responder = Bed::responder(Arc::clone(&bed.router), served, "nowhere");
    assert_eq!(responder.turn(at(0)), Phase::Draining);
    assert_eq!(bed.turn(at(1)), Phase::Open);
    assert!(servers[0].serve().is_some(), "the request was sent again");
}

#[test]
fn an_answer_to_an_earlier_request_goes_nowhere() {
    let (mut bed, mut servers) = Bed::new(1);
    let first = servers[0].serve().expect("a request");
    let reply_to = first.reply_to.clone();
    servers[0].settle(first, DeliveryState::Released);
    bed.turn(at(1));
    let second = servers[0].serve().expect("another request");
    assert_ne!(reply_to, second.reply_to);
    let stale = Served { reply_to, ..second };
    let _answer = servers[0].answer(&stale, "stale");
    assert_eq!(bed.turn(at(2)), Phase::Open);
    assert_eq!(bed.client.output, b"");
}

#[test]
fn a_request_that_was_understood_and_rejected_is_not_sent_again() {
    let (mut bed, mut servers) = Bed::new(1);
    let served = servers[0].serve().expect("a request");
    servers[0].settle(served, DeliveryState::Rejected(None));
    assert_eq!(bed.turn(at(0)), Phase::Cut);
}

#[test]
fn a_client_that_is_gone_waits_no_longer() {
    let (mut bed, _) = Bed::new(0);
    assert_eq!(bed.turn(at(0)), Phase::Waiting);
    assert!(bed.exchange.watches_for_reset());
    bed.exchange.cut();
    assert!(bed.exchange.is_over());
    assert_eq!(bed.turn(at(1)), Phase::Cut);
    assert_eq!(bed.due, None);
}

#[test]
fn a_router_may_be_told_to_send_nothing_again() {
    let (router, _) = Bed::router(Duration::ZERO, 0);
    let mut bed = Bed::in_router(router);
    assert_eq!(bed.turn(at(0)), Phase::Cut);
}

#[test]
fn each_stream_ends_as_its_peer_did_and_both_are_good_ends() {
    use Finish::{Bare, Orderly};
    for [question, answer] in [[Orderly, Orderly], [Orderly, Bare], [Bare, Orderly], [Bare, Bare]] {
        let (mut bed, mut servers) = Bed::new(1);
        let served = servers[0].serve().expect("a request");
        let mut reply = servers[0].answer(&served, "answer");
        bed.sends("question");
        bed.client.input.push_back(Read::End(question));
        bed.turn(at(1));
        let mut octets = VecDeque::new();
        assert_eq!(served.reader.pull(usize::MAX, &mut octets), Pull::Done(question));
        assert_eq!((bed.client.output.as_slice(), bed.client.shut), (&b"answer"[..], None), "the reply goes on");
        reply.finish_as(answer);
        bed.turn(at(2));
        assert_eq!((bed.client.shut, bed.exchange.failure()), (Some(answer), None));
        servers[0].endpoint.take();
        let mut events = std::iter::from_fn(|| servers[0].endpoint.next_event());
        let outcome = |event| if let Event::Update { state, .. } = event { state } else { None };
        assert_eq!(events.find_map(outcome), Some(DeliveryState::Accepted));
        servers[0].settle(served, DeliveryState::Accepted);
        bed.turn(at(3));
        assert!(bed.exchange.is_over() && bed.exchange.phase() == Phase::Open);
    }
}
