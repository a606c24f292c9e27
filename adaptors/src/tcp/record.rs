//! What is recorded of tcpListeners, tcpConnectors and their flows (spec `tcp-adaptor.md` section 12).

use super::{TcpConnectorParams, TcpListenerParams};
use crate::clock;
use router_engine::Router;
use router_engine::annotations::{Annotations, Trace};
use router_engine::exchange::{Exchange, Failure, Role};
use router_engine::vanflow::{Attribute, Attributes, Identity, Record, RecordType};
use std::net::SocketAddr;
use std::time::Duration;

/// The protocol of all services here.
const PROTOCOL: &str = "tcp";
/// The trace of a stream that no other router has sent.
const LOCAL: &str = "Local";

/// The record of a flow, or this router's part of one; none where that is not recorded. It ends when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct FlowRecord(Option<Box<Flow>>);

#[derive(Debug)]
struct Flow {
    record: Record,
    side: Role,
    error: Option<String>,
}

/// Begins the record of a listener, for one of its addresses.
pub(super) fn listener(router: &Router, params: &TcpListenerParams, address: &str) -> Option<Record> {
    let attributes = service(&params.name, address, &params.host, &params.port);
    Some(router.records()?.begin(RecordType::Listener, attributes, clock::now()))
}

/// Begins the record of a connector.
pub(super) fn connector(router: &Router, params: &TcpConnectorParams) -> Option<Record> {
    let mut attributes = service(&params.name, &params.address, &params.host, &params.port);
    attributes.extend(params.process_id.clone().map(|process| (Attribute::Process, process.into())));
    Some(router.records()?.begin(RecordType::Connector, attributes, clock::now()))
}

fn service(name: &str, address: &str, host: &str, port: &str) -> Attributes {
    [
        (Attribute::Protocol, PROTOCOL.into()),
        (Attribute::Name, name.to_owned().into()),
        (Attribute::DestinationHost, host.to_owned().into()),
        (Attribute::DestinationPort, port.to_owned().into()),
        (Attribute::VanAddress, address.to_owned().into()),
    ]
    .into_iter()
    .collect()
}

/// The routers that a stream has passed, as records show them.
pub(crate) fn trace_text(trace: &Trace) -> String {
    let path = path(trace);
    if path.is_empty() { LOCAL.to_owned() } else { path }
}

fn path(trace: &Trace) -> String {
    let nodes = trace.iter().map(String::from_utf8_lossy);
    nodes.fold(String::new(), |path, node| if path.is_empty() { node.into_owned() } else { path + "|" + &node })
}

// === impl FlowRecord ===

impl FlowRecord {
    /// Begins the record of a client of that listener.
    pub(super) fn client(router: &Router, listener: Option<Identity>, peer: SocketAddr) -> Self {
        let begin = || {
            let attributes = [
                (Attribute::Parent, listener?.into()),
                (Attribute::SourceHost, peer.ip().into()),
                (Attribute::SourcePort, peer.port().into()),
            ];
            router.records()?.begin_flow(RecordType::BiflowTport, attributes.into_iter().collect(), clock::now())
        };
        Self::new(begin(), Role::Requester)
    }

    /// Begins the part of a flow that has come to that connector.
    pub(super) fn server(base: Option<Identity>, connector: Option<&Record>, annotations: &Annotations) -> Self {
        let begin = || {
            let connector = connector?;
            let trace = trace_text(&annotations.trace).into();
            let attributes =
                [(Attribute::Connector, connector.identity().into()), (Attribute::Trace, trace)].into_iter().collect();
            connector.registry().join_flow(base?, attributes, clock::now())
        };
        Self::new(begin(), Role::Responder)
    }

    fn new(record: Option<Record>, side: Role) -> Self {
        let flow = |record| Box::new(Flow { record, side, error: None });
        Self(record.map(flow))
    }

    /// Notes whose connection it is, as a proxy says.
    pub(super) fn source(&self, client: SocketAddr) {
        if let Some(record) = self.record() {
            let host = (Attribute::SourceHost, client.ip().into());
            record.set([host, (Attribute::SourcePort, client.port().into())].into_iter().collect());
        }
    }

    fn record(&self) -> Option<&Record> {
        self.0.as_ref().map(|flow| &flow.record)
    }

    /// Who it is.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.record().map(Record::identity)
    }

    /// Has an exchange count where the record finds it.
    pub(super) fn count(&self, exchange: &mut Exchange) {
        if let Some(record) = self.record() {
            exchange.count_octets(record.meter().clone());
        }
    }

    /// Notes the near end of the connection to the server.
    pub(super) fn proxy(&self, address: Option<SocketAddr>) {
        if let Some((record, address)) = self.record().zip(address) {
            let host = (Attribute::ProxyHost, address.ip().into());
            record.set([host, (Attribute::ProxyPort, address.port().into())].into_iter().collect());
        }
    }

    /// Notes how long the first answer took.
    pub(super) fn set_latency(&self, taken: Duration) {
        if let Some(record) = self.record() {
            record.meter().set_latency(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Notes why the flow did not end well; the first cause counts.
    pub(super) fn fail(&mut self, condition: &str, description: &str) {
        if let Some(flow) = &mut self.0 {
            flow.error.get_or_insert_with(|| format!("{condition} ({description})"));
        }
    }

    /// Notes what kept an exchange from ending well.
    pub(super) fn blame(&mut self, failure: Option<Failure>) {
        match failure {
            Some(Failure::Unreachable) => self.fail("delivery-failed", "destination unreachable"),
            Some(Failure::Closed) => self.fail("Parent-deleted", "Forced closed"),
            None => {}
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let attribute = match self.side {
            Role::Requester => Attribute::ErrorListenerSide,
            Role::Responder => Attribute::ErrorConnectorSide,
        };
        let error = self.error.take().map(|error| (attribute, error.into()));
        self.record.end(error.into_iter().collect(), clock::now());
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::report::capture;
    use crate::clock;
    use router_engine::Router;
    use router_engine::rng::Seed;
    use router_engine::vanflow::{Attributes, Channel, Registry, Source, SourceId};
    use std::sync::Arc;
    use std::time::Duration;

    /// The records of a router, as the log tells of them. Their source is called `tests`.
    pub(in super::super) struct Records {
        source: Source,
        /// How far its clock is ahead.
        ahead: Duration,
    }

    impl Records {
        /// From now on what happens in the router is recorded.
        pub(in super::super) fn of(router: &Router) -> Self {
            let source = SourceId::new(Some("pod-tests"), Seed::from(1));
            let registry = Registry::new(source, Attributes::new(), clock::now());
            assert!(router.set_records(Arc::clone(&registry)));
            Self { source: Source::new(registry), ahead: Duration::ZERO }
        }

        /// Somebody collects records of flows from now on.
        pub(in super::super) fn collect(&mut self) {
            self.source.on_watch(Channel::Flows, true, clock::now());
        }

        /// Tells of what is over, as if its time had come. Returns the lines of the type so far.
        pub(in super::super) fn ended(&mut self, kind: &str) -> Vec<String> {
            self.ahead += Duration::from_secs(7);
            let end = clock::now() + self.ahead;
            self.source.wake(clock::now());
            while let Some(at) = self.source.poll_timeout().filter(|at| *at <= end) {
                self.source.handle_timeout(at, 0);
            }
            let mut lines = capture::with(&format!("FLOW_LOG (info) {kind} ["));
            lines.retain(|line| line.contains(" END "));
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::capture;
    use super::super::tests::{client, connector, eventually, listener, router};
    use super::testing::Records;
    use super::*;
    use router_engine::annotations::Trace;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn number(line: &str, name: &str) -> u64 {
        let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{name} in {line}"));
        rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    }

    #[tokio::test]
    async fn a_flow_is_recorded_with_both_its_sides() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let connector = connector(&router, server.local_addr().expect("bound"));
        let (listener, port) = listener(&router);
        let mut near = client(port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        near.write_all(b"ping").await.expect("sent");
        far.read_exact(&mut [0; 4]).await.expect("received");
        tokio::time::sleep(Duration::from_millis(20)).await;
        far.write_all(b"a longer answer").await.expect("sent");
        near.read_exact(&mut [0; 15]).await.expect("received");
        let (from, to) = (near.local_addr().expect("open"), far.peer_addr().expect("open"));
        drop((near, far));
        eventually(async || (listener.service().closed() == 1).then_some(())).await;
        eventually(async || (connector.service().closed() == 1).then_some(())).await;
        let ended = records.ended("BIFLOW_TPORT");
        assert_eq!(ended.len(), 1, "{ended:?}");
        let line = &ended[0];
        let parts = [
            "parent=tests:2".to_owned(),
            format!("sourceHost=127.0.0.1 sourcePort={} octets=4", from.port()),
            "trace=Local octetsReverse=15 connector=tests:1".to_owned(),
            format!("proxyHost=127.0.0.1 proxyPort={}", to.port()),
        ];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        let (whole, server) = (number(line, "latency"), number(line, "processLatency"));
        assert!(whole >= server && server >= 20_000, "{line}");
        listener.delete(false);
        connector.delete(false);
        drop((listener, connector));
        let listeners = records.ended("LISTENER");
        assert!(listeners[0].contains("vanAddress=svc name=l flowCountL4=1"), "{listeners:?}");
        // The connector's lives as long as its tasks.
        let connectors = eventually(async || Some(records.ended("CONNECTOR")).filter(|lines| !lines.is_empty())).await;
        assert!(connectors[0].contains("flowCountL4=2"), "{connectors:?}");
    }

    #[tokio::test]
    async fn a_flow_without_a_server_is_recorded_with_the_reasons() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let at = gone.local_addr().expect("bound");
        drop(gone);
        let _connector = connector(&router, at);
        let (listener, port) = listener(&router);
        let mut near = client(port).await;
        super::super::tests::read_to_reset(&mut near).await;
        eventually(async || (listener.service().closed() == 1).then_some(())).await;
        let ended = records.ended("BIFLOW_TPORT");
        let reasons = format!(
            "errorListenerSide=delivery-failed (destination unreachable) \
             errorConnectorSide=proton:io (Connection refused - on connect {at})"
        );
        assert!(ended.len() == 1 && ended[0].contains(&reasons), "{ended:?}");
    }

    #[test]
    fn paths() {
        assert_eq!(path(&Trace::default()), "");
    }
}
