//! One answer made of those of all servers (spec `tcp-adaptor.md` 15.5).

use super::Aggregation;
use super::body::Outgoing;
use super::message::{Answer, Part};
use super::requester::Exchange;
use super::respond::{Failure, Head, bad_answer};
use amqp_core::performative::DeliveryState;
use bytes::{BufMut, Bytes, BytesMut};
use hyper::Response;
use hyper::header::{self, HeaderValue};
use router_engine::port::local::Delivery;
use serde_json::{Map, Value};
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};

/// Octets of all bodies together.
const OCTETS_MAX: usize = 8 * 1024 * 1024;

/// What an answer counts besides its fields and its body.
const ELEMENT_COST: usize = 1024;

/// What an answer counts that waits, and comes as a stream: of these much may be there unseen.
const STREAM_COST: usize = 16 * 1024;

/// How much waits to be put together.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    octets: usize,
    too_much: bool,
}

/// Answers that have come.
#[derive(Debug, Default)]
pub(super) struct Kept {
    elements: Vec<Element>,
    octets: usize,
}

/// One of the answers.
#[derive(Debug)]
struct Element {
    answer: Answer,
    body: BytesMut,
}

// === impl Waiting ===

impl Waiting {
    /// Takes an answer into account. False: that is too much, and so is the whole.
    pub(super) fn add(&mut self, answer: &Delivery) -> bool {
        let octets = self.octets + cost(answer);
        if octets > OCTETS_MAX {
            self.too_much = true;
        } else {
            self.octets = octets;
        }
        !self.too_much
    }

    /// An answer does not wait any more.
    pub(super) fn take(&mut self, answer: &Delivery) {
        self.octets = self.octets.saturating_sub(cost(answer));
    }

    /// Some answers are missing.
    pub(super) const fn is_too_much(&self) -> bool {
        self.too_much
    }
}

fn cost(answer: &Delivery) -> usize {
    answer.message().map_or(STREAM_COST, |chunks| ELEMENT_COST + chunks.iter().map(Bytes::len).sum::<usize>())
}

/// Reads an answer to its end, and settles it: its sender may wait for that before it settles the request.
pub(super) async fn keep(exchange: &mut Exchange, head: Head) -> Result<(), Failure> {
    let Head { answer, mut body, delivery } = head;
    let fields: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    count(exchange, ELEMENT_COST + fields)?;
    let mut element = Element { answer, body: BytesMut::new() };
    loop {
        let part = poll_fn(|cx| body.poll_part(cx, |cx| exchange.wait_for_data(cx))).await;
        match part.map_err(|error| bad_answer(&error.to_string()))? {
            Some(Part::Data(data)) => {
                count(exchange, data.len())?;
                element.body.extend_from_slice(&data);
            }
            Some(Part::Trailers(_)) => {}
            None => break,
        }
    }
    exchange.settle(delivery, DeliveryState::Accepted);
    exchange.kept.elements.push(element);
    Ok(())
}

/// Takes so many octets more into account.
fn count(exchange: &mut Exchange, octets: usize) -> Result<(), Failure> {
    exchange.kept.octets += octets;
    if exchange.kept.octets > OCTETS_MAX { Err(too_much()) } else { Ok(()) }
}

/// What the client gets in place of answers of which some would be missing.
pub(super) fn too_much() -> Failure {
    bad_answer(&format!("more than {} MiB to be put together", OCTETS_MAX >> 20))
}

/// Makes one answer of those that have come; none when there are none.
pub(super) fn answer(aggregation: Aggregation, exchange: &Exchange) -> Option<Response<Outgoing>> {
    let elements = &exchange.kept.elements;
    if elements.is_empty() {
        return None;
    }
    exchange.count_answer(elements.iter().map(|element| element.body.len()).sum());
    Some(match aggregation {
        Aggregation::Json => json(elements),
        Aggregation::Multipart => multipart(elements, &boundary(exchange.id, elements)),
    })
}

fn json(elements: &[Element]) -> Response<Outgoing> {
    let objects = elements.iter().map(|Element { answer, body }| {
        let mut object = Map::new();
        object.insert(":status".to_owned(), answer.status.as_str().into());
        for (name, value) in &answer.headers {
            object.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
        }
        if let Some(kind) = answer.headers.get(header::CONTENT_TYPE) {
            object.insert("content_type".to_owned(), String::from_utf8_lossy(kind.as_bytes()).into());
        }
        object.insert("body".to_owned(), String::from_utf8_lossy(body).into());
        Value::Object(object)
    });
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // Writing to memory does not fail.
    let _ = serde::Serialize::serialize(&Value::Array(objects.collect()), &mut serializer);
    respond(text.into(), HeaderValue::from_static("application/json"))
}

fn multipart(elements: &[Element], boundary: &str) -> Response<Outgoing> {
    let mut out = BytesMut::new();
    for Element { answer, body } in elements {
        out.put_slice(format!("\r\n--{boundary}\r\n").as_bytes());
        for (name, value) in answer.headers.iter().filter(|(name, _)| *name != header::TRANSFER_ENCODING) {
            out.put_slice(name.as_str().as_bytes());
            out.put_slice(b": ");
            out.put_slice(value.as_bytes());
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"\r\n");
        out.put_slice(body);
    }
    out.put_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}"));
    respond(out.freeze(), kind.unwrap_or(HeaderValue::from_static("multipart/mixed")))
}

fn respond(body: Bytes, kind: HeaderValue) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::Whole { data: [body].into(), trailers: None });
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Fifteen letters that are in none of the bodies.
fn boundary(seed: u64, elements: &[Element]) -> String {
    // Nobody may know it before: bodies that are full of boundaries would keep this busy.
    let mut state = RandomState::new().hash_one(seed);
    loop {
        let letters: String = (0..15)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b'a' + ((state >> 33) % 26) as u8)
            })
            .collect();
        let is_in = |element: &Element| element.body.windows(15).any(|part| part == letters.as_bytes());
        if !elements.iter().any(is_in) {
            return letters;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::boundary;

    #[test]
    fn nobody_knows_a_boundary_before() {
        assert_ne!(boundary(1, &[]), boundary(1, &[]));
        assert!(boundary(1, &[]).bytes().all(|octet| octet.is_ascii_lowercase()));
    }
}
