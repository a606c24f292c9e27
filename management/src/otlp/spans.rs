//! Flows and requests as spans: of each flow one at the client's router, and one below it at the server's, where that is
//! another one; below the client's those of its HTTP requests, where they are watched.
//!
//! Both routers know the flow by the same identity, which makes its trace: they need not tell each other of it.

use super::settings::Sampler;
use super::{Resource, attribute, number_attribute, scope};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use prost::Message;
use router_engine::vanflow::{Attribute, Ended, Identity, RecordType, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Attributes that have a name among OpenTelemetry's.
const KNOWN: [(Attribute, &str); 7] = [
    (Attribute::SourceHost, "client.address"),
    (Attribute::SourcePort, "client.port"),
    (Attribute::ProxyHost, "network.local.address"),
    (Attribute::ProxyPort, "network.local.port"),
    (Attribute::Method, "http.request.method"),
    (Attribute::Result, "http.response.status_code"),
    (Attribute::Protocol, "network.protocol.name"),
];

/// Attributes that a span has elsewhere.
const ELSEWHERE: [Attribute; 4] =
    [Attribute::RecordType, Attribute::Identity, Attribute::StartTime, Attribute::EndTime];

/// Takes what is over. Nobody waits: what finds no room is dropped, and counted.
#[derive(Debug)]
pub struct Spans {
    pub(super) sampler: Sampler,
    pub(super) queue: Sender<Span>,
    pub(super) dropped: &'static AtomicU64,
}

/// Spans of this process that have found no room.
pub(super) static DROPPED: AtomicU64 = AtomicU64::new(0);

// === impl Spans ===

impl Spans {
    /// Takes a flow or request that is over.
    pub(crate) fn take(&self, ended: &Ended) {
        let trace = trace(flow(ended));
        if !self.sampler.takes(trace) {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.queue.try_send(span(ended, trace)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A message with spans, encoded.
pub(super) fn message(resource: Resource, spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, schema_url: String::new() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn of(ended: &Ended, wanted: Attribute) -> Option<&Value> {
    ended.attributes.iter().find(|(attribute, _)| *attribute == wanted).map(|(_, value)| value)
}

/// The flow that the client's router has begun.
fn flow(ended: &Ended) -> Identity {
    match (ended.kind, of(ended, Attribute::Parent)) {
        (RecordType::BiflowApp, Some(Value::Record(flow))) => *flow,
        _ => ended.base.unwrap_or(ended.identity),
    }
}

fn span(ended: &Ended, trace: u128) -> Span {
    let is_request = ended.kind == RecordType::BiflowApp;
    let parent = if is_request { Some(flow(ended)) } else { ended.base };
    let kind = if ended.base.is_some() { span::SpanKind::Client } else { span::SpanKind::Server };
    let [start, end] = ended.times.map(|micros| micros.saturating_mul(1000));
    let attributes = ended.attributes.iter().filter(|(attribute, _)| !ELSEWHERE.contains(attribute));
    let mut attributes: Vec<_> = attributes.map(|(attribute, value)| shown(*attribute, value)).collect();
    let [name, address] = ended.service.each_ref().map(|value| value.as_ref().map(Value::to_string));
    attributes.extend(name.map(|name| attribute("skrouter.service", &name)));
    if !is_request {
        attributes.push(attribute("network.transport", "tcp"));
    }
    let what = match (of(ended, Attribute::Method), address) {
        (Some(method), _) if is_request => known_method(&method.to_string()).to_owned(),
        (_, Some(address)) => {
            attributes.push(attribute("skrouter.address", &address));
            format!("tcp {address}")
        }
        _ => if is_request { "http" } else { "tcp" }.to_owned(),
    };
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: span_id(ended.identity),
        parent_span_id: parent.map(span_id).unwrap_or_default(),
        name: what,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end.max(start),
        attributes,
        status: failure(ended).map(|message| Status { message, code: status::StatusCode::Error.into() }),
        ..Default::default()
    }
}

/// The name of a request's span: whoever asks may use any word as a method.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("HTTP")
}

/// Why it is none that went well.
fn failure(ended: &Ended) -> Option<String> {
    let errors = [Attribute::ErrorListenerSide, Attribute::ErrorConnectorSide];
    if let Some(error) = errors.into_iter().find_map(|side| of(ended, side)) {
        return Some(error.to_string());
    }
    let status: u16 = of(ended, Attribute::Result)?.to_string().parse().ok()?;
    (status >= 500).then(String::new)
}

fn shown(key: Attribute, value: &Value) -> KeyValue {
    let known = KNOWN.iter().find(|(attribute, _)| *attribute == key);
    let name = known.map_or_else(|| format!("skrouter.{}", key.name()), |(_, name)| (*name).to_owned());
    let text = value.to_string();
    let is_number = matches!(value, Value::Number(_) | Value::Port(_)) || key == Attribute::Result;
    match text.parse() {
        Ok(number) if is_number => number_attribute(&name, number),
        _ => attribute(&name, &text),
    }
}

fn trace(flow: Identity) -> u128 {
    let text = flow.to_string();
    // All zeros would be none.
    (u128::from(digest(1, &text)) << 64 | u128::from(digest(2, &text))).max(1)
}

fn span_id(record: Identity) -> Vec<u8> {
    digest(3, &record.to_string()).max(1).to_be_bytes().to_vec()
}

/// A number for a text, the same at each router, spread evenly: FNV-1a, and the end of SplitMix64.
fn digest(kind: u64, text: &str) -> u64 {
    let begin = 0xcbf2_9ce4_8422_2325 ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = text.bytes().fold(begin, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::settings::Settings;

    fn identity(text: &str) -> Identity {
        Identity::parse(text).expect("an identity")
    }

    fn ended(kind: RecordType, number: &str, base: Option<&str>) -> Ended {
        let attributes = vec![(Attribute::SourcePort, Value::Port(50_123)), (Attribute::Octets, Value::Number(7))];
        let service = [Some("l".to_owned().into()), Some("svc".to_owned().into())];
        Ended { kind, identity: identity(number), base: base.map(identity), times: [1, 3], attributes, service }
    }

    fn made(ended: &Ended) -> Span {
        span(ended, trace(flow(ended)))
    }

    #[test]
    fn what_belongs_together_is_one_trace() {
        let client = made(&ended(RecordType::BiflowTport, "aaaaa:7", None));
        let server = made(&ended(RecordType::BiflowTport, "bbbbb:9", Some("aaaaa:7")));
        let mut request = ended(RecordType::BiflowApp, "aaaaa:8", None);
        request.attributes.push((Attribute::Parent, Value::Record(identity("aaaaa:7"))));
        request.attributes.push((Attribute::Method, "GET".to_owned().into()));
        request.attributes.push((Attribute::Result, "503".to_owned().into()));
        let request = made(&request);
        assert!(client.parent_span_id.is_empty() && client.trace_id.len() == 16 && client.span_id.len() == 8);
        for below in [&server, &request] {
            assert_eq!((&below.trace_id, &below.parent_span_id), (&client.trace_id, &client.span_id));
            assert_ne!(below.span_id, client.span_id);
        }
        assert_eq!([&client.name, &server.name, &request.name], ["tcp svc", "tcp svc", "GET"]);
        let kinds = [span::SpanKind::Server, span::SpanKind::Client, span::SpanKind::Server].map(i32::from);
        assert_eq!([client.kind, server.kind, request.kind], kinds);
        assert_eq!([client.start_time_unix_nano, client.end_time_unix_nano], [1000, 3000]);
        assert!(client.attributes.contains(&number_attribute("client.port", 50_123)));
        assert!(client.attributes.contains(&number_attribute("skrouter.octets", 7)));
        assert!(request.attributes.contains(&number_attribute("http.response.status_code", 503)));
        assert_eq!((client.status, request.status.map(|status| status.code)), (None, Some(2)));
        assert_ne!(made(&ended(RecordType::BiflowTport, "aaaaa:9", None)).trace_id, client.trace_id);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let variables = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://localhost".to_owned());
        let sampler = Settings::read(variables).expect("nothing wrong").expect("an endpoint").sampler;
        let (queue, mut taken) = tokio::sync::mpsc::channel(2);
        static DROPPED_HERE: AtomicU64 = AtomicU64::new(0);
        let spans = Spans { sampler, queue, dropped: &DROPPED_HERE };
        let flow = ended(RecordType::BiflowTport, "aaaaa:7", None);
        (0..5).for_each(|_| spans.take(&flow));
        assert_eq!(DROPPED_HERE.load(Ordering::Relaxed), 3);
        assert_eq!(taken.try_recv().ok().as_ref(), Some(&made(&flow)));
    }

    #[test]
    fn traces_are_spread_evenly() {
        let upper = (0..1000).filter(|n| trace(identity(&format!("x7k2p:{n}"))) >> 127 == 1).count();
        assert!((400..600).contains(&upper), "{upper}");
    }
}
