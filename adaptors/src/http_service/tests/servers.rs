//! Connections to servers that do not keep to the ordinary course of things.

use super::*;
use tokio::net::TcpListener;

/// Who takes nothing for so long takes nothing.
const STALL: Duration = Duration::from_millis(300);

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    (listener, at)
}

/// The next connection.
async fn accepted(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("in time").expect("accepted").0
}

/// Connections of a connector that are there.
fn connections(connector: &HttpConnector) -> u64 {
    connector.service().opened() - connector.service().closed()
}

async fn has_connections(connector: &HttpConnector, count: u64) {
    eventually(async || (connections(connector) == count).then_some(())).await;
}

/// A request that was answered while most of it has not left, and its server, which reads no more.
async fn answered_but_unread(world: &World) -> (HttpConnector, TcpListener, TcpStream) {
    let (listener, at) = listening().await;
    let connector = world.connect_at("server", at, HttpConnectorParams::default());
    is_up(&connector, true).await;
    let mut server = accepted(&listener).await;
    let mut client = world.client().await;
    client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000000\r\n\r\n").await;
    head(&mut server, &mut Vec::new()).await.expect("a request");
    let piece = [b'x'; 65536];
    while timeout(STALL, client.stream.write_all(&piece)).await.is_ok() {}
    server.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n").await.expect("sent");
    assert_eq!(client.answer(false).await.expect("an answer").status, 413);
    (connector, listener, server)
}

#[tokio::test]
async fn a_server_that_reads_no_more_is_given_up() {
    let world = World::new();
    let (connector, _listener, _server) = answered_but_unread(&world).await;
    assert_eq!(connections(&connector), 1);
    eventually(async || (connector.service().closed() == 1).then_some(())).await;
    // There is another for what comes next.
    has_connections(&connector, 1).await;
}

#[tokio::test]
async fn a_server_that_reads_no_more_does_not_hold_up_a_connector_that_goes() {
    let world = World::new();
    let (connector, _listener, _server) = answered_but_unread(&world).await;
    connector.delete(false);
    // Sooner than it would be given up otherwise.
    timeout(Duration::from_secs(4), has_connections(&connector, 0)).await.expect("at once");
}
