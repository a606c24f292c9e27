//! What watches a client's flow for HTTP requests: a tap beside the copy loop, which sees octets and changes none.

use crate::clock;
use crate::observe::{Fact, Mode, Observer, Off, Records, RequestHead, Side};
use amqp_core::Instant;
use router_engine::core::ids::ConnId;
use router_engine::log::{Level, LogModule};
use router_engine::vanflow::{Attribute, Attributes, Http1Flow, Identity, Record, RecordType, Registry, Value};
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A tap, until it has seen enough.
#[derive(Debug)]
pub(super) struct Tap(Option<Box<Watched>>);

#[derive(Debug)]
struct Watched {
    observer: Observer<Request>,
    requests: Requests,
    conn: ConnId,
    /// While it is taken for HTTP/1.
    http1: Option<Http1Flow>,
}

/// Where requests are recorded: as parts of a flow.
#[derive(Debug)]
struct Requests {
    records: Arc<Registry>,
    flow: Identity,
}

/// The record of a request, and what is told of it at its end.
#[derive(Debug)]
struct Request {
    record: Record,
    last: Attributes,
}

// === impl Tap ===

impl Tap {
    /// Watches nothing.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Watches the flow with that record.
    pub(super) fn new(mode: Mode, records: &Arc<Registry>, flow: Identity, conn: ConnId) -> Self {
        let requests = Requests { records: Arc::clone(records), flow };
        Self(Some(Box::new(Watched { observer: Observer::new(mode), requests, conn, http1: None })))
    }

    /// The client has sent octets.
    pub(super) fn read(&mut self, octets: &[u8]) {
        self.watch_octets(Side::Client, |Watched { observer, requests, .. }| {
            observer.on_client(octets, clock::now(), requests)
        });
    }

    /// So many of these octets were written to the client.
    pub(super) fn written(&mut self, slices: &[IoSlice<'_>], mut count: usize) {
        self.watch_octets(Side::Server, |Watched { observer, requests, .. }| {
            let now = clock::now();
            slices.iter().find_map(|slice| {
                let part = &slice[..slice.len().min(count)];
                count -= part.len();
                if part.is_empty() { None } else { observer.on_server(part, now, requests) }
            })
        });
    }

    /// The flow has ended, and with it all requests.
    pub(super) fn end(&mut self) {
        self.watch(|Watched { observer, requests, .. }| {
            observer.end(clock::now(), requests);
            None
        });
        self.0 = None;
    }

    /// Lets the observer see octets, unless it rests.
    fn watch_octets(&mut self, side: Side, work: impl FnOnce(&mut Watched) -> Option<Off>) {
        let Some(watched) = &mut self.0 else { return };
        if watched.observer.rests(side, &watched.requests) {
            watched.count();
        } else {
            self.watch(work);
        }
    }

    /// Lets the observer work. One that is through, or fails, is gone: the flow goes on without.
    fn watch(&mut self, work: impl FnOnce(&mut Watched) -> Option<Off>) {
        let Some(watched) = &mut self.0 else { return };
        let conn = watched.conn;
        match catch_unwind(AssertUnwindSafe(|| work(watched))) {
            Ok(None) => watched.count(),
            Ok(Some(off)) => {
                off.log(conn);
                self.0 = None;
            }
            Err(_) => {
                let text = "Internal error: a protocol observer has panicked and is switched off";
                router_engine::log!(LogModule::Error, Level::Error, conn = conn, "{text}");
                self.0 = None;
            }
        }
    }
}

impl Watched {
    /// Counts the flow among those of HTTP/1 as long as it seems to be one.
    fn count(&mut self) {
        if self.observer.is_http1() != self.http1.is_some() {
            self.http1 = self.observer.is_http1().then(|| self.requests.records.count_http1());
        }
    }
}

// === impl Requests ===

impl Records for Requests {
    type Slot = Request;

    /// Only while somebody collects them: there may be tens of thousands in a second.
    fn are_wanted(&self) -> bool {
        self.records.collects_flows()
    }

    fn begin(&mut self, request: &RequestHead<'_>, now: Instant) -> Option<Request> {
        if !self.are_wanted() {
            return None;
        }
        let attributes = [
            (Attribute::Parent, self.flow.into()),
            (Attribute::Protocol, request.protocol.as_str().into()),
            (Attribute::Method, request.method().into_owned().into()),
        ];
        let stream = request.stream.map(|stream| (Attribute::StreamId, Value::Number(stream.into())));
        let attributes = attributes.into_iter().chain(stream).collect();
        let record = self.records.begin_flow(RecordType::BiflowApp, attributes, now)?;
        Some(Request { record, last: Attributes::new() })
    }

    fn update(&mut self, request: &mut Request, fact: Fact<'_>) {
        let meter = request.record.meter();
        match fact {
            Fact::RequestOctets(octets) => meter.set_read(octets),
            Fact::ResponseOctets(octets) => meter.set_written(octets),
            Fact::Latency(time) => meter.set_latency(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            Fact::SourceHost(host) => request.last.push((Attribute::SourceHost, host.into_owned().into())),
            Fact::Result { status, reason } => {
                request.last.push((Attribute::Result, status.to_string().into()));
                let reason = reason.map(|reason| (Attribute::Reason, reason.into_owned().into()));
                request.last.extend(reason);
            }
        }
    }

    fn end(&mut self, mut request: Request, now: Instant) {
        request.record.end(request.last, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::testing::Records;
    use super::super::report::capture;
    use super::super::tests::{active, client, connector, eventually, free_port, params, router};
    use super::super::{TcpListener, TcpListenerParams};
    use super::*;
    use router_engine::Router;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const REQUEST: &[u8] = b"POST /form HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\nContent-Length: 5\r\n\r\nhello";
    const ANSWER: &[u8] = b"HTTP/1.1 201 Made it\r\nContent-Length: 7\r\n\r\n1234567";

    /// A listener of the service, whose flows are watched for that, and its port.
    fn watching(router: &Arc<Router>, observer: Option<Mode>) -> (TcpListener, u16) {
        let port = free_port();
        (active(TcpListenerParams { observer, ..params(port) }, router), port)
    }

    /// A client sends two requests on a connection, and its server answers as it should or with something else.
    async fn converse(router: &Arc<Router>, (listener, port): &(TcpListener, u16), answers: [&[u8]; 2]) {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let connector = connector(router, server.local_addr().expect("bound"));
        let mut near = client(*port).await;
        let (mut far, _) = server.accept().await.expect("connected");
        for answer in answers {
            near.write_all(REQUEST).await.expect("sent");
            far.read_exact(&mut vec![0; REQUEST.len()]).await.expect("received");
            far.write_all(answer).await.expect("sent");
            near.read_exact(&mut vec![0; answer.len()]).await.expect("received");
        }
        drop((near, far));
        let service = listener.service();
        eventually(async || (service.closed() == service.opened()).then_some(())).await;
        connector.delete(false);
    }

    #[tokio::test]
    async fn requests_are_recorded_while_somebody_collects() {
        for collected in [false, true] {
            let router = router();
            let mut records = Records::of(&router);
            capture::start();
            if collected {
                records.collect();
            }
            converse(&router, &watching(&router, Some(Mode::Auto)), [ANSWER, ANSWER]).await;
            let requests = records.ended("BIFLOW_APP");
            assert_eq!(requests.len(), if collected { 2 } else { 0 }, "{requests:?}");
            for line in requests {
                let parts = [
                    "sourceHost=192.0.2.7 protocol=HTTP/1.1 octets=5 latency=",
                    "method=POST result=201 reason=Made it octetsReverse=7",
                ];
                assert!(parts.iter().all(|part| line.contains(part)), "{line}");
            }
        }
    }

    #[tokio::test]
    async fn flows_of_http1_count_as_such() {
        for collected in [false, true] {
            let router = router();
            let mut records = Records::of(&router);
            if collected {
                records.collect();
            }
            let count = |protocol| {
                let services = router.router_row(clock::now()).services;
                services.iter().find(|(there, _)| *there == protocol).map_or(0, |(_, count)| *count)
            };
            let (listener, port) = watching(&router, Some(Mode::Auto));
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
            let _connector = connector(&router, server.local_addr().expect("bound"));
            let mut flows = Vec::new();
            for said in [REQUEST, b"PING\r\n", REQUEST] {
                let mut near = client(port).await;
                let (mut far, _) = server.accept().await.expect("connected");
                near.write_all(said).await.expect("sent");
                far.read_exact(&mut vec![0; said.len()]).await.expect("received");
                flows.push((near, far));
            }
            // Both sides of each, and the dispatcher of the connector.
            eventually(async || ((count("http1"), count("tcp")) == (2, 5)).then_some(())).await;
            drop(flows);
            let service = listener.service();
            eventually(async || (service.closed() == 3 && count("http1") == 0).then_some(())).await;
        }
    }

    #[tokio::test]
    async fn what_is_not_understood_goes_on_without() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        records.collect();
        let listener = watching(&router, Some(Mode::Http1));
        converse(&router, &listener, [ANSWER, b"\0\x01 what?\r\n"]).await;
        assert_eq!(records.ended("BIFLOW_APP").len(), 2, "the second request has ended, too");
        assert_eq!(capture::with("observer disabled due to protocol error").len(), 1);
    }

    #[tokio::test]
    async fn the_next_flow_is_watched_as_was_said_last() {
        let router = router();
        let mut records = Records::of(&router);
        capture::start();
        records.collect();
        let listener = watching(&router, None);
        converse(&router, &listener, [ANSWER, ANSWER]).await;
        assert_eq!(capture::with("no protocol observer").len(), 1);
        assert!(records.ended("BIFLOW_APP").is_empty());
        listener.0.set_observer(Some(Mode::Http1));
        converse(&router, &listener, [ANSWER, ANSWER]).await;
        assert_eq!(records.ended("BIFLOW_APP").len(), 2);
    }
}
