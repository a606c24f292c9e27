//! How the peers of HTTP services show themselves in the core, and their records.

use super::{HttpConnectorParams, HttpListenerParams, HttpVersion};
use crate::clock;
use router_engine::Router;
use router_engine::core::action::PeerOpen;
use router_engine::core::connection::PeerKind;
use router_engine::port::local::Identity;
use router_engine::vanflow::{Attribute, Attributes, Record, RecordType};

/// Capacity of the links of services: requests that are under way at a consumer before others are preferred.
const LINK_CAPACITY: u32 = 250;

/// What takes the requests of a connector.
pub(super) fn dispatcher(host: String) -> Identity {
    Identity { kind: PeerKind::HttpDispatcher, initiator: true, host, local_socket: None, capacity: LINK_CAPACITY }
}

/// A client's connection (not `initiator`), or one to a server.
pub(super) fn identity(version: HttpVersion, initiator: bool, host: String, local_socket: Option<String>) -> Identity {
    let kind = match version {
        HttpVersion::Http1 => PeerKind::Http1,
        HttpVersion::Http2 => PeerKind::Http2,
    };
    Identity { kind, initiator, host, local_socket, capacity: LINK_CAPACITY }
}

/// What management shows of a peer that is open.
pub(super) fn open(version: HttpVersion) -> PeerOpen {
    let container_id = match version {
        HttpVersion::Http1 => "HTTP/1.x Adaptor",
        HttpVersion::Http2 => "HttpAdaptor",
    };
    PeerOpen { container_id: container_id.to_owned(), ..PeerOpen::default() }
}

/// Begins the record of a listener.
pub(super) fn listener_record(router: &Router, params: &HttpListenerParams) -> Option<Record> {
    let HttpListenerParams { name, address, host, port, version, .. } = params;
    let attributes = service(*version, name, address, host, port);
    Some(router.records()?.begin(RecordType::Listener, attributes, clock::now()))
}

/// Begins the record of a connector.
pub(super) fn connector_record(router: &Router, params: &HttpConnectorParams) -> Option<Record> {
    let HttpConnectorParams { name, address, host, port, version, .. } = params;
    let mut attributes = service(*version, name, address, host, port);
    attributes.extend(params.process_id.clone().map(|process| (Attribute::Process, process.into())));
    Some(router.records()?.begin(RecordType::Connector, attributes, clock::now()))
}

fn service(version: HttpVersion, name: &str, address: &str, host: &str, port: &str) -> Attributes {
    [
        (Attribute::Protocol, version.protocol().into()),
        (Attribute::Name, name.to_owned().into()),
        (Attribute::DestinationHost, host.to_owned().into()),
        (Attribute::DestinationPort, port.to_owned().into()),
        (Attribute::VanAddress, address.to_owned().into()),
    ]
    .into_iter()
    .collect()
}
