//! Services of HTTP/2, between a client and servers that speak it frame by frame.

use super::*;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, client};
use hyper::{Request, Response};
use parking_lot::Mutex;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What a server does with a request, by its path.
struct Server2 {
    at: SocketAddr,
    heard: Arc<Heard>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Heard {
    /// Paths, and resets of their streams.
    told: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    news: Notify,
    go_on: Notify,
}

impl Heard {
    fn tell(&self, what: String) {
        self.told.lock().push(what);
        self.news.notify_waiters();
    }
}

impl Server2 {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        let heard = Arc::<Heard>::default();
        let mut tasks = JoinSet::new();
        let known = Arc::clone(&heard);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *known.connections.lock() += 1;
                connections.spawn(serve(stream, Arc::clone(&known)));
            }
        });
        Self { at, heard, _tasks: tasks }
    }

    async fn until(&self, what: &str) {
        let wait = async {
            loop {
                let news = self.heard.news.notified();
                if self.heard.told.lock().iter().any(|told| told == what) {
                    return;
                }
                news.await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: {:?}", self.heard.told.lock()));
    }
}

async fn serve(stream: TcpStream, heard: Arc<Heard>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        heard.tell(path.clone());
        if path == "/last" {
            connection.graceful_shutdown();
        }
        streams.spawn(answer(path, request.into_body(), respond, Arc::clone(&heard)));
    }
    while streams.join_next().await.is_some() {}
}

async fn answer(path: String, mut body: RecvStream, mut respond: SendResponse<Bytes>, heard: Arc<Heard>) {
    match path.as_str() {
        "/refuse" if heard.told.lock().iter().filter(|told| *told == "/refuse").count() == 1 => {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        "/wait" => {
            let go_on = heard.go_on.notified();
            tokio::select! {
                () = go_on => drop(respond.send_response(Response::new(()), true)),
                reset = std::future::poll_fn(|cx| respond.poll_reset(cx)) => heard.tell(format!("reset {reset:?}")),
            }
        }
        "/last" => {
            let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
            heard.go_on.notified().await;
            let _ = stream.send_data(Bytes::from_static(b"the end"), true);
        }
        "/early" => {
            let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
            let _ = stream.send_data(Bytes::from_static(b"enough"), true);
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
            heard.tell("body ended".to_owned());
        }
        _ => {
            let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                let _ = stream.send_data(data, false);
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            let _ = stream.send_trailers(trailers);
        }
    }
}

/// A service of HTTP/2, its server, and a client.
async fn service() -> (World, Server2, HttpConnector, client::SendRequest<Bytes>, JoinSet<()>) {
    let world = World::with("svc", HttpListenerParams { version: HttpVersion::Http2, ..Default::default() });
    let server = Server2::new().await;
    let params = HttpConnectorParams { version: HttpVersion::Http2, ..Default::default() };
    let connector = world.connect_at("server", server.at, params);
    is_up(&connector, true).await;
    let stream = world.client().await.stream;
    let (requests, connection) = client::handshake(stream).await.expect("HTTP/2");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { connection.await.unwrap_or_default() });
    (world, server, connector, requests.ready().await.expect("ready"), tasks)
}

fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://h{path}")).body(()).expect("a request")
}

async fn read(mut body: RecvStream) -> Result<(String, bool), h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    let trailers = body.trailers().await?;
    Ok((String::from_utf8_lossy(&all).into_owned(), trailers.is_some()))
}

#[tokio::test]
async fn both_directions_flow_side_by_side_and_trailers_come_last() {
    let (_world, _server, _connector, mut requests, _tasks) = service().await;
    let (response, mut body) = requests.send_request(request("POST", "/echo"), false).expect("sent");
    let response = timeout(PATIENCE, response).await.expect("before the body").expect("an answer");
    let mut answer = response.into_body();
    for word in ["one", "two"] {
        body.send_data(word.into(), false).expect("sent");
        let echoed = timeout(PATIENCE, answer.data()).await.expect("in time").expect("data").expect("good");
        assert_eq!(echoed, word);
    }
    body.send_data(Bytes::new(), true).expect("ended");
    let rest = timeout(PATIENCE, read(answer)).await.expect("in time").expect("good");
    assert_eq!(rest, (String::new(), true));
}

#[tokio::test]
async fn a_request_that_the_server_refuses_is_given_again() {
    let (_world, server, _connector, mut requests, _tasks) = service().await;
    let (response, mut body) = requests.send_request(request("POST", "/refuse"), false).expect("sent");
    body.send_data("x".into(), true).expect("sent");
    let response = timeout(PATIENCE, response).await.expect("in time").expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(read(response.into_body()).await.expect("good"), ("x".to_owned(), true));
    assert_eq!(*server.heard.told.lock(), ["/refuse", "/refuse"]);
}

#[tokio::test]
async fn a_server_that_takes_nothing_new_goes_on_with_what_it_has() {
    let (_world, server, connector, mut requests, _tasks) = service().await;
    let (last, _) = requests.send_request(request("GET", "/last"), true).expect("sent");
    let last = timeout(PATIENCE, last).await.expect("in time").expect("an answer");
    // Others get a connection of their own.
    for _ in 0..3 {
        let (next, _) = requests.send_request(request("GET", "/next"), true).expect("sent");
        assert_eq!(timeout(PATIENCE, next).await.expect("in time").expect("an answer").status(), 200);
    }
    assert_eq!(*server.heard.connections.lock(), 2);
    server.heard.go_on.notify_waiters();
    let whole = timeout(PATIENCE, read(last.into_body())).await.expect("in time").expect("good");
    assert_eq!(whole.0, "the end");
    eventually(async || (connector.service().opened() - connector.service().closed() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_server_learns_that_its_client_has_reset_a_stream() {
    let (_world, server, _connector, mut requests, _tasks) = service().await;
    for end in [true, false] {
        let (response, mut stream) = requests.send_request(request("POST", "/wait"), end).expect("sent");
        server.until("/wait").await;
        stream.send_reset(Reason::CANCEL);
        drop(response);
        server.until("reset Ok(CANCEL)").await;
        server.heard.told.lock().clear();
    }
}

#[tokio::test]
async fn a_body_that_nobody_wants_any_more_is_not_sent() {
    let (_world, server, _connector, mut requests, _tasks) = service().await;
    let (response, _body) = requests.send_request(request("POST", "/early"), false).expect("sent");
    let response = timeout(PATIENCE, response).await.expect("in time").expect("an answer");
    assert_eq!(read(response.into_body()).await.expect("good").0, "enough");
    server.until("body ended").await;
}

/// A server of HTTP/1, or none at all, where HTTP/2 is expected.
#[tokio::test]
async fn a_server_that_closes_at_once_is_none() {
    let world = World::with("svc", HttpListenerParams { version: HttpVersion::Http2, ..Default::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    let accepted = Arc::<Mutex<usize>>::default();
    let count = Arc::clone(&accepted);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while listener.accept().await.is_ok() {
            *count.lock() += 1;
        }
    });
    let params = HttpConnectorParams { version: HttpVersion::Http2, ..Default::default() };
    let connector = world.connect_at("server", at, params);
    let closes = "the server closes connections at once";
    eventually(async || (connector.status() == (false, closes.to_owned())).then_some(())).await;
    assert!((2..=4).contains(&*accepted.lock()), "{}", accepted.lock());
}
