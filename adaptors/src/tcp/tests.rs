//! Flows between real sockets and a far end that does as the test says.

use super::ending::DELIVERY_LIMIT;
use super::flow::Flow;
use super::setup;
use super::socket::Socket;
use super::{Strategy, TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
use crate::clock;
use crate::runtime::Io;
use crate::tls::Session;
use crate::tls::fuzzing::{Suite, seal};
use crate::transport::Transport;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::core::{Mode, RouterConfig};
use router_engine::exchange::{Exchange, REPORT_EVERY, Role, consume, head, modified};
use router_engine::port::local::{Attach, Connection, Delivery, Endpoint, Envelope, Event, Identity};
use router_engine::stream::{Finish, Payload, Pressure, Pull, Reader, Stream, StreamLimits};
use router_engine::{Action, InToken, LinkId, Router};
use socket2::SockRef;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const ADDRESS: &str = "svc";

pub(crate) fn router() -> Arc<Router> {
    retrying_router(Duration::ZERO)
}

/// A router that sends client streams again for so long.
pub(super) fn retrying_router(stream_retry: Duration) -> Arc<Router> {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, stream_retry, ..RouterConfig::default() };
    Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()))
}

pub(super) fn params(port: u16) -> TcpListenerParams {
    TcpListenerParams {
        name: "l".into(),
        address: ADDRESS.into(),
        strategy: Strategy::None,
        host: "127.0.0.1".into(),
        port: port.to_string(),
        backlog: 0,
        tls: None,
        authenticate_peer: false,
        observer: None,
        ..TcpListenerParams::default()
    }
}

pub(super) fn listener(router: &Arc<Router>) -> (TcpListener, u16) {
    let port = free_port();
    (active(params(port), router), port)
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

pub(super) fn active(params: TcpListenerParams, router: &Arc<Router>) -> TcpListener {
    let listener = TcpListener::create(params, &io(router)).expect("no TLS");
    listener.activate();
    listener
}

/// A connector of the service to a server.
pub(super) fn connector(router: &Arc<Router>, server: SocketAddr) -> TcpConnector {
    let params = TcpConnectorParams {
        name: format!("to-{server}"),
        address: ADDRESS.into(),
        host: server.ip().to_string(),
        port: server.port().to_string(),
        tls: None,
        verify_hostname: true,
        process_id: None,
        ..TcpConnectorParams::default()
    };
    let connector = TcpConnector::create(params, &io(router)).expect("no TLS");
    connector.activate();
    connector
}

/// Adaptors on the executor at hand.
pub(crate) fn io(router: &Arc<Router>) -> Io {
    Io::new(Arc::clone(router), tokio::runtime::Handle::current(), 1)
}

/// Connects once the listener listens.
pub(super) async fn client(port: u16) -> TcpStream {
    eventually(async || {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Little of what a client does not read gets lost in the kernel.
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(([127, 0, 0, 1], port).into()).await.ok()
    })
    .await
}

/// More than are looked at under one lock.
#[tokio::test]
async fn all_services_are_told_oldest_first_without_those_that_were_deleted() {
    let io = io(&router());
    let named = |number: usize| TcpListenerParams { name: number.to_string(), ..params(0) };
    let create = |number| TcpListener::create(named(number), &io).expect("no TLS");
    let mut listeners: Vec<_> = (0..1000).map(create).collect();
    listeners.iter().step_by(3).for_each(|listener| listener.delete(false));
    // Half of these leave nothing behind at all.
    listeners.retain(|listener| listener.params().name.len() != 2 || listener.params().name.ends_with('1'));
    listeners.push(create(1000));
    let told: Vec<_> = io.all_services().iter().map(|service| service.label().name.clone()).collect();
    let live = listeners.iter().filter(|listener| {
        let number: usize = listener.params().name.parse().expect("a number");
        !number.is_multiple_of(3) || number == 1000
    });
    assert_eq!(told, live.map(|listener| listener.params().name.clone()).collect::<Vec<_>>());
}

pub(crate) async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let attempts = async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, attempts).await.expect("in time")
}

/// The far end of a service: takes client streams and answers them by hand.
pub(super) struct FarEnd {
    endpoint: Mutex<Endpoint>,
    into: LinkId,
}

/// A client stream and the answer to it.
pub(super) struct Served {
    delivery: Option<Delivery>,
    reader: Reader,
    received: VecDeque<Bytes>,
    reply_to: String,
    answer: Arc<Stream>,
}

// === impl FarEnd ===

impl FarEnd {
    pub(super) fn new(router: &Arc<Router>) -> Self {
        let identity = setup::flow(true, "far".to_owned(), None);
        let mut endpoint = Endpoint::join(router, identity, setup::open(), clock::now());
        let links = [Attach::receiver("out", ADDRESS), Attach::anonymous_sender("in")];
        let [_, into] = endpoint.attach(links, clock::now()).map(|answer| answer.expect("attached").link);
        Self { endpoint: Mutex::new(endpoint), into }
    }

    /// Waits for an event.
    async fn next<T>(&self, wanted: impl Fn(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(poll_fn(|cx| self.endpoint.lock().poll_event(cx)).await) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("in time")
    }

    /// Takes the next client stream and reads its head.
    pub(super) async fn serve(&self) -> Served {
        let mut delivery = self.next(|e| if let Event::Delivery(delivery) = e { Some(delivery) } else { None }).await;
        let reader = delivery.take_reader(self.endpoint.lock().notify(0));
        let mut received = VecDeque::new();
        reader.pull(usize::MAX, &mut received);
        let head = head::parse(received.make_contiguous(), false).expect("a head").expect("a complete one");
        let reply_to = head.reply_to.expect("a client stream");
        consume(&mut received, head.len);
        let answer = Stream::new(StreamLimits::DEFAULT, None);
        Served { delivery: Some(delivery), reader, received, reply_to, answer }
    }

    /// Leaves the mesh.
    pub(super) fn leave(self) {
        self.endpoint.into_inner().close(clock::now());
    }

    /// Sends the answering stream, as far as it is there.
    pub(super) fn answer(&self, served: &Served) {
        let mut endpoint = self.endpoint.lock();
        let answer = Payload::Stream(Arc::clone(&served.answer));
        endpoint.send(self.into, answer, Envelope::to(&served.reply_to).streaming());
        endpoint.submit(clock::now());
    }

    /// Tells a state of the client stream without settling it.
    fn update(&self, served: &Served, state: DeliveryState) {
        let mut endpoint = self.endpoint.lock();
        endpoint.update(served.delivery.as_ref().expect("unsettled"), state);
        endpoint.submit(clock::now());
    }

    fn refuse(&self, served: &mut Served) {
        let delivery = served.delivery.take().expect("unsettled");
        let mut endpoint = self.endpoint.lock();
        endpoint.settle(delivery, modified());
        endpoint.submit(clock::now());
    }

    /// Waits until an answer is settled.
    async fn settled(&self) {
        self.next(|event| matches!(event, Event::Update { settled: true, .. }).then_some(())).await;
    }

    /// Waits until every flow has left the core.
    pub(super) async fn alone(&self) {
        let router = Arc::clone(self.endpoint.lock().router());
        eventually(async || (router.connection_rows(clock::now()).len() == 1).then_some(())).await;
    }
}

// === impl Served ===

impl Served {
    fn head(&self) -> Bytes {
        head::server_head(&self.reply_to)
    }

    /// Adds octets to the answer, which has none yet.
    pub(super) fn say(&self, octets: &'static [u8]) {
        self.answer.push_all([self.head(), Bytes::from_static(octets)]);
    }

    /// Waits until the client stream has delivered `expected` and ended completely.
    pub(super) async fn expect(&mut self, expected: &[u8]) {
        assert_eq!(self.end().await, Pull::Done(Finish::Orderly));
        assert_eq!(self.received.make_contiguous().concat(), expected);
    }

    /// Waits until the client stream was aborted, and returns what came before.
    pub(super) async fn expect_abort(&mut self) -> Vec<u8> {
        assert_eq!(self.end().await, Pull::Aborted);
        self.received.make_contiguous().concat()
    }

    async fn end(&mut self) -> Pull {
        eventually(async || match self.reader.pull(usize::MAX, &mut self.received) {
            end @ (Pull::Done(_) | Pull::Aborted) => Some(end),
            _ => None,
        })
        .await
    }
}

/// Reads to the end of the connection, which must be a reset, and returns what came before.
pub(super) async fn read_to_reset(client: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let end = timeout(PATIENCE, client.read_to_end(&mut received)).await.expect("closed");
    assert_eq!(end.expect_err("an end is no reset").kind(), std::io::ErrorKind::ConnectionReset);
    received
}

#[tokio::test]
async fn a_refused_client_is_reset() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    for question in [&b"anyone there?"[..], b""] {
        let mut client = client(port).await;
        client.write_all(question).await.expect("sent");
        let mut served = far.serve().await;
        far.refuse(&mut served);
        assert!(read_to_reset(&mut client).await.is_empty());
        far.alone().await;
    }
}

#[tokio::test]
async fn a_head_in_pieces_is_put_together() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let mut client = client(port).await;
    let served = far.serve().await;
    let head = served.head();
    served.answer.push(head.slice(..20));
    far.answer(&served);
    for piece in [20..21, 21..60, 60..head.len()] {
        eventually(async || (served.answer.buffered() == 0).then_some(())).await;
        served.answer.push(head.slice(piece));
    }
    served.answer.push(Bytes::from_static(b"hello"));
    let mut greeting = [0; 5];
    timeout(PATIENCE, client.read_exact(&mut greeting)).await.expect("in time").expect("received");
    assert_eq!(&greeting, b"hello");
}

/// A message of somebody else to the reply address is released; what its sender does then is none of the flow's.
#[tokio::test]
async fn what_strangers_send_to_a_flow_does_not_stop_its_reports() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let mut client = client(port).await;
    let served = far.serve().await;
    served.answer.push(served.head());
    far.answer(&served);
    served.answer.push(Bytes::from_static(b"hello"));
    timeout(PATIENCE, client.read_exact(&mut [0; 5])).await.expect("in time").expect("received");
    let mut stranger = Connection::join(&router, Identity::client("stranger", 10), Arc::default(), clock::now());
    let actions = &mut vec![setup::opened()];
    let [link] =
        stranger.attach(actions, [Attach::anonymous_sender("in")], clock::now()).map(|a| a.expect("attached").link);
    actions.push(Envelope::to(&served.reply_to).deliver(link, InToken(0), Payload::One(served.head())));
    // The message and its sender's end come to the flow at once.
    actions.push(Action::Detached { link, error: None, unsent: Vec::new() });
    stranger.submit(actions, &mut Vec::new(), clock::now());
    let mut rest = vec![0; REPORT_EVERY as usize];
    for piece in rest.chunks(64 * 1024) {
        served.answer.push(Bytes::copy_from_slice(piece));
    }
    timeout(PATIENCE, client.read_exact(&mut rest)).await.expect("in time").expect("received");
    let reported = |event| match event {
        Event::Update { state: Some(DeliveryState::Received { section_offset, .. }), .. } => Some(section_offset),
        _ => None,
    };
    assert!(far.next(reported).await >= REPORT_EVERY);
}

#[tokio::test]
async fn a_client_stream_without_its_whole_head_does_not_outlive_the_connector() {
    let router = router();
    let params = TcpConnectorParams {
        name: "c".into(),
        address: ADDRESS.into(),
        host: "127.0.0.1".into(),
        port: "1".into(),
        tls: None,
        verify_hostname: true,
        process_id: None,
        ..TcpConnectorParams::default()
    };
    let connector = TcpConnector::create(params, &io(&router)).expect("no TLS");
    connector.activate();
    let mut sender = Endpoint::join(&router, Identity::client("sender", 10), setup::open(), clock::now());
    let [link] = sender.attach([Attach::sender("in", ADDRESS)], clock::now()).map(|a| a.expect("attached").link);
    let stream = sender.send_stream(link, Envelope::default().streaming(), 0, clock::now());
    stream.push(head::client_head(&head::RequestHead::new(ADDRESS), "reply").slice(..20));
    eventually(async || (stream.buffered() == 0).then_some(())).await;
    connector.delete(false);
    timeout(PATIENCE, connector.service().owner().left()).await.expect("no task is left");
}

#[tokio::test]
async fn a_stream_that_ends_within_its_head_ends_the_flow() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let mut client = client(port).await;
    let served = far.serve().await;
    served.answer.push(served.head().slice(..20));
    far.answer(&served);
    eventually(async || (served.answer.buffered() == 0).then_some(())).await;
    served.answer.finish();
    assert!(read_to_reset(&mut client).await.is_empty());
    far.alone().await;
}

/// Resets the connection instead of ending it.
pub(super) fn reset(client: TcpStream) {
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(client);
}

#[tokio::test]
async fn a_reset_is_noticed_before_the_answer_has_come() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let client = client(port).await;
    let mut served = far.serve().await;
    reset(client);
    assert!(served.expect_abort().await.is_empty());
    far.alone().await;
}

#[tokio::test]
async fn a_reset_is_noticed_while_the_stream_is_full() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let client = client(port).await;
    let served = far.serve().await;
    served.answer.push(served.head());
    far.answer(&served);
    // Nobody reads at the far end.
    let block = vec![0; 64 * 1024];
    let full = || served.reader.stream().buffered() >= StreamLimits::DEFAULT.high;
    eventually(async || {
        let _ = client.try_write(&block);
        full().then_some(())
    })
    .await;
    reset(client);
    far.alone().await;
}

#[tokio::test]
async fn a_reset_is_noticed_after_the_clients_end() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let mut client = client(port).await;
    let mut served = far.serve().await;
    served.answer.push(served.head());
    far.answer(&served);
    client.write_all(b"question").await.expect("sent");
    client.shutdown().await.expect("half-closed");
    served.expect(b"question").await;
    assert_eq!(router.connection_rows(clock::now()).len(), 2, "a half-closed client waits for its answer");
    reset(client);
    far.alone().await;
}

#[tokio::test]
async fn an_answer_outlives_the_failure_of_a_question_that_was_sent_to_its_end() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let mut client = client(port).await;
    let mut served = far.serve().await;
    served.answer.push(served.head());
    far.answer(&served);
    client.write_all(b"question").await.expect("sent");
    client.shutdown().await.expect("half-closed");
    served.expect(b"question").await;
    let block = Bytes::from(vec![7; 64 * 1024]);
    const BLOCKS: usize = 256;
    for _ in 0..BLOCKS {
        served.answer.push(block.clone());
    }
    served.answer.finish();
    far.refuse(&mut served);
    let mut answer = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("in time").expect("received");
    assert_eq!(answer.len(), BLOCKS * block.len());
    far.alone().await;
}

/// A flow whose server has answered its first octets.
async fn flowing(far: &FarEnd, port: u16) -> (TcpStream, Served) {
    let client = client(port).await;
    let served = far.serve().await;
    served.answer.push(served.head());
    far.answer(&served);
    served.answer.push(Bytes::from_static(b"answer"));
    (client, served)
}

#[tokio::test]
async fn an_aborted_answer_is_delivered_as_far_as_it_came_and_ends_in_a_reset() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    for half_closed in [false, true] {
        let (mut client, mut served) = flowing(&far, port).await;
        client.write_all(b"question").await.expect("sent");
        if half_closed {
            client.shutdown().await.expect("half-closed");
            served.expect(b"question").await;
        }
        served.answer.abort();
        assert_eq!(read_to_reset(&mut client).await, b"answer");
        if !half_closed {
            served.expect_abort().await;
        }
        far.alone().await;
    }
}

/// Octets of an answer that waits in the kernel for a client that does not read.
const WAITING: usize = 256 * 1024;

#[tokio::test]
async fn what_the_kernel_has_still_to_send_comes_before_the_reset() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    for ended in [false, true] {
        let (mut client, mut served) = flowing(&far, port).await;
        served.answer.push(Bytes::from(vec![7; WAITING]));
        eventually(async || (served.answer.buffered() == 0).then_some(())).await;
        if ended {
            // The answer and its end are in the kernel when the client's stream turns out to have failed.
            served.answer.finish();
            far.settled().await;
            far.refuse(&mut served);
        } else {
            served.answer.abort();
        }
        served.expect_abort().await;
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("in time");
        assert_eq!((answer.len(), end.is_ok()), (6 + WAITING, ended), "{end:?}");
        far.alone().await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_more_is_reset_in_the_end() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let (client, mut served) = flowing(&far, port).await;
    served.answer.push(Bytes::from(vec![7; WAITING]));
    eventually(async || (served.answer.buffered() == 0).then_some(())).await;
    served.answer.abort();
    served.expect_abort().await;
    // From here on, time passes whenever nothing else is to be done.
    tokio::time::pause();
    tokio::time::sleep(2 * DELIVERY_LIMIT).await;
    tokio::time::resume();
    far.alone().await;
    drop(client);
}

#[tokio::test]
async fn deleting_a_listener_cuts_what_waits_for_its_reset() {
    let router = router();
    let (listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let (mut client, mut served) = flowing(&far, port).await;
    served.answer.push(Bytes::from(vec![7; WAITING]));
    eventually(async || (served.answer.buffered() == 0).then_some(())).await;
    served.answer.abort();
    served.expect_abort().await;
    listener.delete(true);
    far.alone().await;
    read_to_reset(&mut client).await;
}

#[tokio::test]
async fn a_failure_of_the_question_counts_before_an_end_of_the_answer_in_the_same_turn() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    for state in [modified(), DeliveryState::Released, DeliveryState::Rejected(None)] {
        let (mut client, mut served) = flowing(&far, port).await;
        // One thread: the flow sees neither before it has both.
        served.answer.finish();
        far.update(&served, state);
        assert_eq!(read_to_reset(&mut client).await, b"answer");
        served.expect_abort().await;
        far.alone().await;
    }
}

#[tokio::test]
async fn both_ends_in_order_are_no_reset() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    for client_first in [false, true] {
        let (mut client, mut served) = flowing(&far, port).await;
        if client_first {
            client.shutdown().await.expect("half-closed");
            served.expect(b"").await;
        }
        served.answer.finish();
        let mut answer = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("in time").expect("no reset");
        assert_eq!(answer, b"answer");
        drop(client);
        if !client_first {
            served.expect(b"").await;
        }
        far.alone().await;
    }
}

#[tokio::test]
async fn what_was_read_before_a_clients_reset_arrives_before_the_abort() {
    let router = router();
    let (_listener, port) = listener(&router);
    let far = FarEnd::new(&router);
    let (mut client, mut served) = flowing(&far, port).await;
    client.write_all(b"question").await.expect("sent");
    eventually(async || (served.answer.buffered() == 0).then_some(())).await;
    let pulled = async || {
        served.reader.pull(usize::MAX, &mut served.received);
        (!served.received.is_empty()).then_some(())
    };
    eventually(pulled).await;
    reset(client);
    assert_eq!(served.expect_abort().await, b"question");
    far.alone().await;
}

#[tokio::test]
async fn a_flow_whose_task_panics_is_cut_at_both_sides() {
    let router = router();
    let (listener, _) = listener(&router);
    let far = FarEnd::new(&router);
    let sockets = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = TcpStream::connect(sockets.local_addr().expect("bound")).await.expect("connected");
    let (stream, _) = sockets.accept().expect("accepted");
    stream.set_nonblocking(true).expect("an open socket");
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("as the listener's");
    let flow = flow(&router, &listener, Transport::plain(TcpStream::from_std(stream).expect("registered")));
    let mut served = far.serve().await;
    let task = tokio::spawn(async move {
        let _flow = flow;
        panic!("on purpose");
    });
    assert!(task.await.expect_err("no value").is_panic());
    served.expect_abort().await;
    assert!(read_to_reset(&mut client).await.is_empty());
    far.alone().await;
    assert_eq!((listener.service().opened(), listener.service().closed()), (1, 1));
}

#[tokio::test]
async fn a_flow_that_is_dropped_with_its_executor_is_cut_at_both_sides() {
    let router = router();
    let far = FarEnd::new(&router);
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let executor = executor.expect("an executor");
    let (_listener, port) = {
        let _context = executor.enter();
        listener(&router)
    };
    let (mut client, mut served) = flowing(&far, port).await;
    let mut answer = [0; 6];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("in time").expect("received");
    executor.shutdown_background();
    assert!(read_to_reset(&mut client).await.is_empty());
    served.expect_abort().await;
    assert_eq!(served.answer.push(Bytes::from_static(b"more")), Pressure::Discarded);
    far.alone().await;
}

#[tokio::test]
async fn a_listener_may_be_given_by_names() {
    let router = router();
    let _far = FarEnd::new(&router);
    let (literal, port) = listener(&router);
    literal.delete(false);
    let by_name = TcpListenerParams { host: "localhost".into(), ..params(port) };
    let named = active(by_name, &router);
    client(port).await;
    named.delete(false);
    let unknown = TcpListenerParams { port: "no-such-service".into(), ..params(port) };
    let nowhere = active(unknown, &router);
    let failure = eventually(async || Some(nowhere.status().1).filter(|text| !text.is_empty())).await;
    assert_eq!(failure, "Servname not supported for ai_socktype - listen on 127.0.0.1:no-such-service");
}

#[tokio::test]
async fn the_port_of_a_deleted_listener_is_free_at_once() {
    let router = router();
    let _far = FarEnd::new(&router);
    let (listener, port) = listener(&router);
    let live = client(port).await;
    listener.delete(false);
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    drop(live);
}

/// Octets of an answer that a buffer of TLS takes as a whole.
const SEALED: usize = 120_000;
/// What the kernel may have had when a socket was reset, or more.
const IN_KERNEL: usize = 32 * 1024;

/// A client with TLS and little room in the kernel, and its flow, whose answer the far end has begun.
async fn sealed_client(router: &Arc<Router>, far: &FarEnd) -> (TcpStream, Served, TcpListener) {
    let sockets = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpSocket::new_v4().expect("a socket");
    client.set_recv_buffer_size(4096).expect("a small buffer");
    let client = client.connect(sockets.local_addr().expect("bound")).await.expect("connected");
    let (stream, _) = sockets.accept().await.expect("accepted");
    SockRef::from(&stream).set_send_buffer_size(4096).expect("a small buffer");
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("as the listener's");
    let session = Session::established(Suite::numbered(0).established(false, Vec::new()), u64::MAX).expect("keys");
    let (listener, _) = listener(router);
    let flow = flow(router, &listener, Transport::tls(stream, session));
    let served = far.serve().await;
    served.answer.push(served.head());
    served.answer.push(Bytes::from(vec![7; SEALED]));
    far.answer(&served);
    tokio::spawn(flow.run());
    eventually(async || (served.answer.buffered() == 0).then_some(())).await;
    (client, served, listener)
}

/// Takes a little now and then. Returns how much it was, and how it ended.
async fn sip(client: &TcpStream, pause: Duration) -> (usize, std::io::Result<()>) {
    let mut received = 0;
    loop {
        tokio::time::sleep(pause).await;
        match client.try_read(&mut [0; 4096]) {
            Ok(0) => return (received, Ok(())),
            Ok(n) => received += n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return (received, Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_with_tls_gets_what_a_refused_flow_has_for_it() {
    let router = router();
    let far = FarEnd::new(&router);
    let (client, mut served, _listener) = sealed_client(&router, &far).await;
    far.refuse(&mut served);
    let (received, end) = sip(&client, Duration::from_secs(2)).await;
    assert_eq!(end.expect_err("no end in order").kind(), std::io::ErrorKind::ConnectionReset);
    assert!(received > SEALED - IN_KERNEL, "{received}");
    far.alone().await;
    // One that takes nothing does not.
    let (_client, mut served, _listener) = sealed_client(&router, &far).await;
    far.refuse(&mut served);
    served.answer.finish();
    tokio::time::sleep(Duration::from_secs(15)).await;
    far.alone().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_tls_waits_for_a_slow_client_and_not_for_one_that_takes_nothing() {
    let close = seal(&mut Suite::numbered(0).protector(true, 0), 21, &[1, 0], 0);
    for takes in [true, false] {
        let router = router();
        let far = FarEnd::new(&router);
        let (mut client, mut served, _listener) = sealed_client(&router, &far).await;
        client.write_all(&close).await.expect("sent");
        served.expect(b"").await;
        served.answer.finish();
        let begun = tokio::time::Instant::now();
        if takes {
            let (received, end) = sip(&client, Duration::from_secs(60)).await;
            end.expect("an end in order");
            assert!(received > SEALED, "{received}");
        } else {
            tokio::time::sleep(Duration::from_secs(290)).await;
            assert_eq!(router.connection_rows(clock::now()).len(), 2, "it may go on yet");
            far.alone().await;
            assert!(begun.elapsed() < Duration::from_secs(310), "{:?}", begun.elapsed());
            let (received, end) = sip(&client, Duration::from_secs(1)).await;
            assert_eq!(end.expect_err("no end in order").kind(), std::io::ErrorKind::ConnectionReset);
            assert!(received < IN_KERNEL, "{received}");
        }
        far.alone().await;
    }
}

/// A flow of a client.
fn flow(router: &Arc<Router>, listener: &TcpListener, transport: Transport<TcpStream>) -> Flow {
    let mailbox = Arc::default();
    let member = listener.service().join(&mailbox).expect("open");
    let identity = setup::flow(false, "client".to_owned(), None);
    let connection = Connection::join(router, identity, mailbox, clock::now());
    let exchange = Exchange::requester(connection, head::RequestHead::new(ADDRESS), setup::opened(), clock::now());
    let exchange = exchange.expect("attached");
    let socket = Socket::new(transport, exchange.id(), Role::Requester);
    let mut flow = Flow::new(exchange, socket, member);
    flow.submit();
    flow
}
