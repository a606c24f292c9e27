//! What management waits for holds up neither traffic nor, where that can be, other requests.

mod common;

use adaptors::resolver::{self, Resolve};
use amqp_core::value::Map;
use common::{Client, field, free_port, start, status};
use management::log::logger;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A resolver that answers when it is told to.
struct Slow {
    asked: Mutex<Sender<String>>,
    answers: Mutex<Receiver<io::Result<Vec<SocketAddr>>>>,
}

impl Resolve for Slow {
    fn host(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let _ = self.asked.lock().expect("unpoisoned").send(name.to_owned());
        self.answers.lock().expect("unpoisoned").recv().expect("the test says when")
    }

    fn service(&self, _: &str) -> Option<u16> {
        None
    }
}

/// Makes names slow: what is asked for, and where the answers are to be given.
fn slow_names() -> (Receiver<String>, Sender<io::Result<Vec<SocketAddr>>>) {
    let (ask, asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    assert!(resolver::install(Arc::new(Slow { asked: Mutex::new(ask), answers: Mutex::new(answers) })));
    (asked, answer)
}

const CONFIG: &str = "router {\n id: R\n}\n";

/// An executor with one worker: if that one waited, everything would.
fn one_worker() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("made")
}

/// Nothing tells of log lines.
fn wait_for_log(line: &str) {
    let since = Instant::now();
    while !logger().recent(0).iter().any(|entry| entry.text == line) {
        assert!(since.elapsed() < PATIENCE, "{line}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_listener_with_a_slow_name_holds_nobody_up() {
    let (asked, answer) = slow_names();
    let executor = one_worker();
    let router = start(executor.handle(), CONFIG);
    let mut client = Client::attach(&router);
    let port = free_port();
    let listener = |name: &str| Map::new().with("host", name).with("port", port.to_string());
    executor.block_on(async {
        client.create("listener", "slow", listener("slow.test")).await;
        assert_eq!(asked.recv_timeout(PATIENCE).expect("asked"), "slow.test");
        // The lookup is still under way: whatever else is asked for is answered, and messages flow.
        let read = client.request("READ", "listener", "slow", Map::new()).await;
        assert_eq!(field(&read, "host").as_str(), Some("slow.test"));
        client.create("connector", "other", listener("slow.test")).await;
        client.create("tcpConnector", "service", listener("slow.test").with("address", "a")).await;
        common::exchange(&router).await;
    });
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody knows where to listen");
    answer.send(Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])).expect("awaited");
    wait_for_log(&format!("Listening on slow.test:{port}"));
    TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    // Lets the lookups of the connectors end too.
    drop(answer);
    executor.shutdown_background();
}

#[test]
fn a_name_that_does_not_resolve_is_tried_again_and_reported_once() {
    let (asked, answer) = slow_names();
    let executor = one_worker();
    let router = start(executor.handle(), CONFIG);
    let mut client = Client::attach(&router);
    let port = free_port();
    let listener = |name: &str| Map::new().with("host", name).with("port", port.to_string());
    let unknown = || Err(io::Error::other("Name or service not known"));
    executor.block_on(client.create("listener", "l", listener("later.test")));
    for _ in 0..2 {
        asked.recv_timeout(PATIENCE).expect("asked");
        answer.send(unknown()).expect("awaited");
    }
    // Another listener cuts the pause short.
    let other = Map::new().with("host", "127.0.0.1").with("port", "0");
    executor.block_on(client.create("listener", "m", other));
    asked.recv_timeout(PATIENCE).expect("asked again");
    answer.send(Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])).expect("awaited");
    wait_for_log(&format!("Listening on later.test:{port}"));
    let complaint = format!("Listener error on later.test:{port}: Name or service not known - listen on");
    let complaints = logger().recent(0).into_iter().filter(|entry| entry.text.starts_with(&complaint)).count();
    assert_eq!(complaints, 1);
    executor.shutdown_background();
}

#[test]
fn a_listener_that_is_deleted_during_its_lookup_never_listens() {
    let (asked, answer) = slow_names();
    let executor = one_worker();
    let router = start(executor.handle(), CONFIG);
    let mut client = Client::attach(&router);
    let port = free_port();
    let body = Map::new().with("host", "slow.test").with("port", port.to_string());
    executor.block_on(async {
        client.create("listener", "l", body).await;
        asked.recv_timeout(PATIENCE).expect("asked");
        let deleted = client.request("DELETE", "listener", "l", Map::new()).await;
        assert_eq!(status(&deleted), 204);
        // The port is free for another.
        let body = Map::new().with("host", "127.0.0.1").with("port", port.to_string());
        client.create("listener", "m", body).await;
        answer.send(Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])).expect("awaited");
    });
    TcpStream::connect(("127.0.0.1", port)).expect("the second one listens");
    assert!(
        !logger().recent(0).iter().any(|entry| entry.text.contains("slow.test") && entry.text.starts_with("Listen"))
    );
    executor.shutdown_background();
}

#[test]
fn a_file_that_cannot_be_read_yet_holds_no_traffic_up() {
    // Whoever opens a pipe waits for its other end.
    let dir = std::env::temp_dir().join(format!("waits-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let pipe = dir.join("skrouterd.conf");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let executor = one_worker();
    let config = format!("router {{\n id: R\n saslConfigDir: {}\n}}\n", dir.display());
    let router = start(executor.handle(), &config);
    let mut client = Client::attach(&router);
    executor.block_on(async {
        client.ask("CREATE", "listener", "l", Map::new().with("port", "0"));
        // The request is being served by now or it will be; either way messages flow.
        for _ in 0..100 {
            common::exchange(&router).await;
        }
        std::fs::write(&pipe, "mech_list: ANONYMOUS\n").expect("somebody reads");
        assert_eq!(status(&client.answer().await), 201);
    });
    executor.shutdown_background();
    std::fs::remove_dir_all(dir).expect("removed");
}
