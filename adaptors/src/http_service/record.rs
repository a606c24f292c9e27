//! What is recorded of requests, while somebody collects records of flows: of each one a flow from the client to its server,
//! and in it the request.

use super::HttpVersion;
use crate::clock;
use hyper::StatusCode;
use router_engine::Router;
use router_engine::annotations::Annotations;
use router_engine::vanflow::{Attribute, Identity, Record, RecordType, Registry};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where the requests of one client are recorded.
#[derive(Debug)]
pub(super) struct Records {
    registry: Option<Arc<Registry>>,
    listener: Option<Identity>,
    peer: SocketAddr,
    version: HttpVersion,
}

/// The records of a request, if it has any. They end when the last copy of this is dropped.
#[derive(Debug, Clone)]
pub(super) struct RequestRecord(Option<Arc<Pair>>);

#[derive(Debug)]
struct Pair {
    flow: Record,
    request: Record,
}

/// This router's part of the record of a request that has come from elsewhere.
#[derive(Debug)]
pub(super) struct ServerRecord(Option<Record>);

// === impl Records ===

impl Records {
    pub(super) fn new(router: &Router, listener: Option<Identity>, peer: SocketAddr, version: HttpVersion) -> Self {
        Self { registry: router.records().cloned(), listener, peer, version }
    }

    /// Begins the records of a request.
    pub(super) fn request(&self, request: &http::request::Parts) -> RequestRecord {
        RequestRecord(self.begin(request).map(Arc::new))
    }

    fn begin(&self, request: &http::request::Parts) -> Option<Pair> {
        let registry = self.registry.as_ref().filter(|registry| registry.collects_flows())?;
        let now = clock::now();
        let flow = [
            (Attribute::Parent, self.listener?.into()),
            (Attribute::SourceHost, self.peer.ip().into()),
            (Attribute::SourcePort, self.peer.port().into()),
        ];
        let flow = registry.begin_flow(RecordType::BiflowTport, flow.into_iter().collect(), now)?;
        let protocol = match (self.version, request.version) {
            (HttpVersion::Http2, _) => "HTTP/2",
            (HttpVersion::Http1, hyper::Version::HTTP_10) => "HTTP/1.0",
            (HttpVersion::Http1, _) => "HTTP/1.1",
        };
        let attributes = [
            (Attribute::Parent, flow.identity().into()),
            (Attribute::Protocol, protocol.into()),
            (Attribute::Method, request.method.as_str().to_owned().into()),
        ];
        let request = registry.begin_flow(RecordType::BiflowApp, attributes.into_iter().collect(), now)?;
        Some(Pair { flow, request })
    }
}

// === impl RequestRecord ===

impl RequestRecord {
    /// The flow's, by which the server's router finds it.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.0.as_ref().map(|pair| pair.flow.identity())
    }

    /// The request was answered.
    pub(super) fn answered(&self, status: StatusCode, octets: (u64, u64), latency: Duration) {
        let Some(pair) = &self.0 else { return };
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        for meter in [pair.flow.meter(), pair.request.meter()] {
            meter.set_read(octets.0);
            meter.set_written(octets.1);
            meter.set_latency(micros);
        }
        let reason = status.canonical_reason().map(|reason| (Attribute::Reason, reason.into()));
        let result = (Attribute::Result, status.as_str().to_owned().into());
        pair.request.set(std::iter::once(result).chain(reason).collect());
    }

    /// The request got no answer of a server.
    pub(super) fn failed(&self, text: &str) {
        if let Some(pair) = &self.0 {
            pair.flow.set([(Attribute::ErrorListenerSide, text.to_owned().into())].into_iter().collect());
        }
    }
}

// === impl ServerRecord ===

impl ServerRecord {
    /// Joins the record of a request that has come to that connector.
    pub(super) fn join(base: Option<Identity>, connector: Option<&Record>, annotations: &Annotations) -> Self {
        let join = || {
            let (base, connector) = (base?, connector?);
            let trace = crate::tcp::trace_text(&annotations.trace);
            let attributes = [(Attribute::Connector, connector.identity().into()), (Attribute::Trace, trace.into())];
            connector.registry().join_flow(base, attributes.into_iter().collect(), clock::now())
        };
        Self(join())
    }

    /// The near end of the connection to the server.
    pub(super) fn proxy(&self, address: Option<SocketAddr>) {
        if let Some((record, address)) = self.0.as_ref().zip(address) {
            let host = (Attribute::ProxyHost, address.ip().into());
            record.set([host, (Attribute::ProxyPort, address.port().into())].into_iter().collect());
        }
    }

    /// The server took so long.
    pub(super) fn waited(&self, latency: Duration) {
        if let Some(record) = &self.0 {
            record.meter().set_latency(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }
}
