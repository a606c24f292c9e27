//! Clients that come by way of a proxy, which says first whose connection it is ([`crate::proxy_protocol`]).

use super::listener::Client;
use super::service::told_to_close;
use crate::proxy_protocol::{ProxyError, accept};
use router_engine::exchange::Failure;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a proxy may take for its header.
const LIMIT: Duration = Duration::from_secs(5);

/// The condition of a flow that has none.
const NO_HEADER: &str = "proxy-protocol";

/// Learns from the proxy whose connection it is. False: the client has to go, as was logged for the named listener.
pub(super) async fn introduce(listener: &str, stream: &mut TcpStream, client: &mut Client) -> bool {
    let mut others = Vec::new();
    let late = || io::Error::from(io::ErrorKind::TimedOut).into();
    let header = tokio::select! {
        header = timeout(LIMIT, accept(stream)) => header.unwrap_or_else(|_| Err(late())),
        () = told_to_close(&client.mailbox, &mut others) => {
            client.member.record.blame(Some(Failure::Closed));
            return false;
        }
    };
    match header {
        Ok(ends) => ends.into_iter().for_each(|ends| client.introduce(ends)),
        Err(ref error) => refuse(listener, client, error),
    }
    header.is_ok()
}

fn refuse(listener: &str, client: &mut Client, error: &ProxyError) {
    client.member.record.fail(NO_HEADER, &error.to_string());
    let host = &client.host;
    log!(LogModule::TcpAdaptor, Level::Warning, "Listener {listener}: connection of {host} refused: {error}");
}

#[cfg(test)]
mod tests {
    use super::super::record::testing::Records;
    use super::super::report::capture;
    use super::super::tests::{
        FarEnd, active, client, connector, eventually, free_port, io, listener, params, read_to_reset, retrying_router,
        router,
    };
    use super::super::{TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
    use super::*;
    use crate::clock;
    use crate::proxy_protocol::compose;
    use router_engine::Router;
    use router_engine::exchange::head::ClientEnds;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    /// A listener whose clients come by way of a proxy, and its port.
    fn proxied(router: &Arc<Router>) -> (TcpListener, u16) {
        let port = free_port();
        (active(TcpListenerParams { proxy_protocol: true, ..params(port) }, router), port)
    }

    /// A connector that tells a server of its clients, and the server.
    async fn telling(router: &Arc<Router>) -> (TcpConnector, tokio::net::TcpListener) {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let at = server.local_addr().expect("bound");
        let params = TcpConnectorParams {
            name: "c".into(),
            address: "svc".into(),
            host: at.ip().to_string(),
            port: at.port().to_string(),
            proxy_protocol: true,
            ..TcpConnectorParams::default()
        };
        let connector = TcpConnector::create(params, &io(router)).expect("no TLS");
        connector.activate();
        (connector, server)
    }

    fn ends(client: &str, server: &str) -> ClientEnds {
        let [client, server] = [client, server].map(|text| text.parse().expect("an address"));
        ClientEnds { client, server }
    }

    /// What a server hears of its next client, and the first octets of that.
    async fn told(server: &tokio::net::TcpListener, payload: &[u8]) -> Option<ClientEnds> {
        let (mut far, _) = server.accept().await.expect("connected");
        let told = accept(&mut far).await.expect("a header");
        let mut received = vec![0; payload.len()];
        far.read_exact(&mut received).await.expect("received");
        assert_eq!(received, payload);
        told
    }

    #[tokio::test]
    async fn a_server_hears_of_the_client_behind_the_proxy() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        let (_connector, server) = telling(&router).await;
        let (listener, port) = proxied(&router);
        let behind = ends("[2001:db8::7]:50123", "[2001:db8::1]:443");
        let mut near = client(port).await;
        near.write_all(&[&compose(Some(behind)), &b"ping"[..]].concat()).await.expect("sent");
        assert_eq!(told(&server, b"ping").await, Some(behind));
        let rows = router.connection_rows(clock::now());
        assert!(rows.iter().any(|row| row.params.facts.host == "[2001:db8::7]:50123"), "{rows:?}");
        drop(near);
        eventually(async || (listener.service().closed() == 1).then_some(())).await;
        let ended = records.ended("BIFLOW_TPORT");
        assert!(ended[0].contains("sourceHost=2001:db8::7 sourcePort=50123 "), "{ended:?}");
    }

    #[tokio::test]
    async fn a_proxy_on_its_own_behalf_is_the_client() {
        let router = router();
        let (_connector, server) = telling(&router).await;
        let (_listener, port) = proxied(&router);
        let mut near = client(port).await;
        near.write_all(&[&compose(None), &b"ping"[..]].concat()).await.expect("sent");
        let [client, server_end] = [near.local_addr(), near.peer_addr()].map(|end| end.expect("open"));
        assert_eq!(told(&server, b"ping").await, Some(ClientEnds { client, server: server_end }));
    }

    #[tokio::test]
    async fn a_server_hears_of_a_client_without_a_proxy() {
        let router = router();
        let (_connector, server) = telling(&router).await;
        let (_listener, port) = listener(&router);
        let mut near = client(port).await;
        near.write_all(b"ping").await.expect("sent");
        let [client, server_end] = [near.local_addr(), near.peer_addr()].map(|end| end.expect("open"));
        assert_eq!(told(&server, b"ping").await, Some(ClientEnds { client, server: server_end }));
    }

    #[tokio::test]
    async fn a_request_that_is_sent_again_tells_the_same() {
        let router = retrying_router(Duration::from_secs(2));
        let deaf = TcpSocket::new_v4().expect("a socket");
        deaf.bind(([127, 0, 0, 1], 0).into()).expect("a port that does not listen");
        let refusing = connector(&router, deaf.local_addr().expect("bound"));
        let (_connector, server) = telling(&router).await;
        let (_listener, port) = listener(&router);
        for _ in 0..4 {
            let mut near = client(port).await;
            near.write_all(b"ping").await.expect("sent");
            let told = told(&server, b"ping").await.expect("told");
            assert_eq!(told.client, near.local_addr().expect("open"));
        }
        // Its dispatcher counts, too.
        assert!(refusing.service().opened() > 1, "some were sent again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_header_is_reset() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        let far = FarEnd::new(&router);
        let (listener, port) = proxied(&router);
        let begun = Instant::now();
        for (said, reason) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "no PROXY protocol header"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY protocol of version 1; version 2 is expected"),
            (b"\r\n\r\n\0\r\n", "timed out within the PROXY protocol header"),
        ] {
            let mut near = client(port).await;
            let host = near.local_addr().expect("open");
            near.write_all(said).await.expect("sent");
            assert_eq!(read_to_reset(&mut near).await, b"");
            let line = format!("Listener l: connection of {host} refused: {reason}");
            assert_eq!(capture::with(&line).len(), 1, "{:?}", capture::with("refused"));
        }
        let limit = begun.elapsed().as_secs();
        assert!((5..8).contains(&limit), "{limit}");
        eventually(async || (listener.service().closed() == 3).then_some(())).await;
        let ended = records.ended("BIFLOW_TPORT");
        let named = ended.iter().filter(|line| line.contains("errorListenerSide=proxy-protocol ("));
        assert_eq!(named.count(), 3, "{ended:?}");
        // The mesh has not heard of any.
        far.alone().await;
    }

    #[tokio::test]
    async fn a_listener_that_is_deleted_waits_for_no_header() {
        let router = router();
        let far = FarEnd::new(&router);
        let (listener, port) = proxied(&router);
        let mut near = client(port).await;
        eventually(async || (listener.service().opened() == 1).then_some(())).await;
        listener.delete(true);
        read_to_reset(&mut near).await;
        far.alone().await;
    }
}
