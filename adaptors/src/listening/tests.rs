use super::*;
use crate::amqp::Listener;
use crate::amqp::testing::{io, params};
use crate::tcp::capture;
use tokio::io::AsyncReadExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_was_taken_is_tried_again() {
    let taken = net::listen_on(SocketAddr::from(([127, 0, 0, 1], 0)), 16).expect("a port");
    let address = taken.local_addr().expect("bound");
    let listener = Listener::create(params(address.port().to_string()), &io()).expect("no TLS");
    let error = listener.activate().expect_err("taken");
    assert_eq!(error.description, format!("Address already in use - listen on {address}"));
    assert_eq!(listener.status(), (false, error.description));
    drop(taken);
    let shared = Arc::clone(listener.shared());
    let opened = tokio::task::spawn_blocking(move || {
        let mut opening = shared.opening.lock();
        while *opening != Opening::Open {
            shared.attempted.wait(&mut opening);
        }
    });
    tokio::time::timeout(Duration::from_secs(20), opened).await.expect("in time").expect("no panic");
    TcpStream::connect(address).await.expect("listens");
    assert_eq!(listener.status(), (true, String::new()));
    listener.delete();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_of_a_deleted_listener_is_free_at_once() {
    let io = io();
    let first = Listener::create(params("0".to_owned()), &io).expect("no TLS");
    first.activate().expect("listens");
    let bound = first.bound()[0];
    first.delete();
    let second = Listener::create(params(bound.port().to_string()), &io).expect("no TLS");
    second.activate().expect("the port is free");
    TcpStream::connect(bound).await.expect("the second one listens");
}

#[tokio::test]
async fn a_listener_whose_task_panics_goes_on() {
    capture::start();
    let listener = Listener::create(params("0".to_owned()), &io()).expect("no TLS");
    listener.activate().expect("listens");
    let connect = async || TcpStream::connect(listener.bound()[0]).await.expect("listens");
    capture::fail_at("accept");
    let lost = connect().await.read_to_end(&mut Vec::new()).await;
    assert!(lost.is_ok_and(|octets| octets == 0));
    let panicked = "ERROR (error) Internal error: a task has panicked: listener of listener l";
    assert_eq!(capture::with("panicked"), [panicked]);
    let _accepted = connect().await;
    let heard = capture::heard("Accepted connection", 1);
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("in time");
    listener.delete();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_listener_that_has_ended() {
    let io = io();
    let mut named = params("0".to_owned());
    named.endpoint.host = "localhost".to_owned();
    let listener = Listener::create(named, &io).expect("no TLS");
    io.tasks().drain();
    let activated = tokio::task::spawn_blocking(move || listener.activate());
    let ended = tokio::time::timeout(Duration::from_secs(20), activated).await.expect("in time").expect("no panic");
    ended.expect_err("not open");
}
