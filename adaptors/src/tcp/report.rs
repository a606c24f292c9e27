//! Log lines of level debug about flows that come and go. There may be thousands of flows in a second: a line that is
//! not enabled costs the look at its level, is not counted, and what it would tell is not looked up.

use super::flow::Flow;
use super::setup;
use super::socket::side;
use router_engine::core::ids::ConnId;
use router_engine::exchange::Role;
use router_engine::log;
use router_engine::log::{Level, LogModule, enabled};

/// A client was accepted by the named listener at an address.
pub(super) fn incoming(listener: &str, host: &str, port: &str) {
    if enabled(LogModule::TcpAdaptor, Level::Debug) {
        log!(
            LogModule::TcpAdaptor,
            Level::Debug,
            "Listener {listener}: new incoming client connection to {host}:{port}"
        );
    }
}

/// A client gets no flow: the listener was deleted meanwhile, or nobody can be reached.
pub(super) fn denied(listener: &str, host: &str, port: &str) {
    if enabled(LogModule::TcpAdaptor, Level::Debug) {
        log!(
            LogModule::TcpAdaptor,
            Level::Debug,
            "Listener {listener}: denied new incoming client connection to {host}:{port}: service not available"
        );
    }
}

/// A client's flow is not looked into for its protocol.
pub(super) fn not_observed(conn: ConnId) {
    if enabled(LogModule::TcpAdaptor, Level::Debug) {
        let text = "on_accept, no protocol observer setup for this connection";
        log!(LogModule::TcpAdaptor, Level::Debug, conn = conn, "{text}");
    }
}

/// A flow has joined the core.
pub(super) fn flow_opened(flow: &Flow) {
    if !enabled(LogModule::RouterCore, Level::Debug) {
        return;
    }
    let host = flow.socket.transport.socket().peer_addr().map_or_else(|_| "(null)".to_owned(), |peer| peer.to_string());
    let encrypted = flow.socket.transport.info().map_or("no", |info| info.protocol);
    let direction = if flow.exchange.role() == Role::Requester { "in" } else { "out" };
    connection_opened(flow.id(), direction, &host, encrypted);
}

/// A flow was cut as it has carried nothing for so long.
pub(super) fn timed_out(flow: &Flow, seconds: u64) {
    let side = side(flow.exchange.role());
    log!(
        LogModule::TcpAdaptor,
        Level::Info,
        conn = flow.id(),
        "{side} side closed by idle timeout: no octets for {seconds} s"
    );
}

/// A tcpConnector takes client streams from here on, as a connection of its own.
pub(super) fn dispatcher_opened(conn: ConnId, host: &str) {
    if enabled(LogModule::RouterCore, Level::Debug) {
        connection_opened(conn, "out", host, "no");
    }
}

/// In the words that are known of AMQP connections. Only users of those are known.
fn connection_opened(conn: ConnId, direction: &str, host: &str, encrypted: &str) {
    #[cfg(test)]
    capture::trip(direction);
    let open = setup::open();
    log!(
        LogModule::RouterCore,
        Level::Debug,
        conn = conn,
        "Connection Opened: dir={direction} host={host} encrypted={encrypted} auth=no user=(null) container_id={} props={}",
        open.container_id,
        open.properties
    );
}

/// What was told as opened has left the core.
pub(super) fn connection_closed(conn: ConnId) {
    if enabled(LogModule::RouterCore, Level::Debug) {
        log!(LogModule::RouterCore, Level::Debug, conn = conn, "Connection Closed");
    }
}

/// What a test's thread logs.
#[cfg(test)]
pub(crate) mod capture {
    use router_engine::log::{LogModule, observe, set_mask};
    use std::cell::{Cell, RefCell};
    use std::pin::pin;
    use tokio::sync::Notify;

    static LOGGED: Notify = Notify::const_new();

    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
        static FAULT: Cell<Option<&str>> = const { Cell::new(None) };
    }

    /// Keeps what the thread logs from now on.
    pub(crate) fn start() {
        observe(|record| {
            let line = format!("{} ({}) {}", record.module.name(), record.level.name(), record.text());
            LINES.with_borrow_mut(|lines| lines.push(line));
            LOGGED.notify_waiters();
        });
        LogModule::ALL.into_iter().for_each(|module| set_mask(module, u8::MAX));
    }

    /// Makes the task panic that comes to the place of that name next.
    pub(crate) fn fail_at(place: &'static str) {
        FAULT.set(Some(place));
    }

    /// A place where a task may be told to panic.
    pub(crate) fn trip(place: &str) {
        if FAULT.get() == Some(place) {
            FAULT.set(None);
            panic!("on purpose");
        }
    }

    /// Whether a task has panicked as it was told.
    pub(in super::super) fn has_failed() -> bool {
        FAULT.get().is_none()
    }

    /// Lines with these words so far.
    pub(crate) fn with(words: &str) -> Vec<String> {
        LINES.with_borrow(|lines| lines.iter().filter(|line| line.contains(words)).cloned().collect())
    }

    /// Waits until there are so many lines with these words.
    pub(crate) async fn heard(words: &str, count: usize) {
        loop {
            let mut logged = pin!(LOGGED.notified());
            logged.as_mut().enable();
            if with(words).len() >= count {
                return;
            }
            logged.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{client, eventually, io, listener, router};
    use super::super::{TcpConnector, TcpConnectorParams};
    use super::capture;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn flows_that_come_and_go() {
        let router = router();
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let at = server.local_addr().expect("bound");
        capture::start();
        let (_listener, port) = listener(&router);
        let params = TcpConnectorParams {
            name: "c".into(),
            address: "svc".into(),
            host: at.ip().to_string(),
            port: at.port().to_string(),
            tls: None,
            verify_hostname: true,
            process_id: None,
            ..TcpConnectorParams::default()
        };
        let connector = TcpConnector::create(params, &io(&router)).expect("no TLS");
        connector.activate();
        let mut client = client(port).await;
        let from = client.local_addr().expect("connected");
        let (mut peer, _) = server.accept().await.expect("connected");
        client.write_all(b"ping").await.expect("sent");
        client.shutdown().await.expect("half-closed");
        peer.read_to_end(&mut Vec::new()).await.expect("an end");
        drop(peer);
        client.read_to_end(&mut Vec::new()).await.expect("an end");
        connector.delete(false);
        let closed =
            eventually(async || Some(capture::with("Connection Closed")).filter(|lines| lines.len() == 3)).await;
        let common = "encrypted=no auth=no user=(null) container_id=TcpAdaptor props={\"qd.adaptor\"=\"tcp\"}";
        let opened =
            |number: u32, end: String| format!("ROUTER_CORE (debug) [C{number}] Connection Opened: {end} {common}");
        let expected = [
            opened(1, "dir=out host=egress-dispatch".to_owned()),
            opened(2, format!("dir=in host={from}")),
            opened(3, format!("dir=out host={at}")),
        ];
        assert_eq!(capture::with("Connection Opened"), expected);
        for number in 1..=3 {
            assert!(closed.contains(&format!("ROUTER_CORE (debug) [C{number}] Connection Closed")), "{closed:?}");
        }
        let text = "on_accept, no protocol observer setup for this connection";
        assert_eq!(capture::with("observer"), [format!("TCP_ADAPTOR (debug) [C2] {text}")]);
        let text = "new incoming client connection to 127.0.0.1";
        assert_eq!(capture::with("new incoming"), [format!("TCP_ADAPTOR (debug) Listener l: {text}:{port}")]);
    }
}
