//! How the adaptor's peers show themselves in the core (spec `tcp-adaptor.md` 2.5).

use amqp_core::value::Map;
use router_engine::Action;
use router_engine::core::action::PeerOpen;
use router_engine::core::connection::PeerKind;
use router_engine::port::local::Identity;

/// Capacity of the adaptor's links.
const LINK_CAPACITY: u32 = 5;

/// A client (not `initiator`) or a server.
pub(super) fn flow(initiator: bool, host: String, local_socket: Option<String>) -> Identity {
    Identity { kind: PeerKind::TcpFlow, initiator, host, local_socket, capacity: LINK_CAPACITY }
}

/// What takes the client streams of a tcpConnector.
pub(super) fn dispatcher(host: &str) -> Identity {
    let host = host.to_owned();
    Identity { kind: PeerKind::TcpDispatcher, initiator: true, host, local_socket: None, capacity: LINK_CAPACITY }
}

/// What management shows of a peer that is open.
pub(super) fn open() -> PeerOpen {
    PeerOpen {
        container_id: "TcpAdaptor".to_owned(),
        properties: Map::new().with("qd.adaptor", "tcp"),
        ..PeerOpen::default()
    }
}

/// Opens a connection.
pub(super) fn opened() -> Action {
    Action::Opened(Box::new(open()))
}
