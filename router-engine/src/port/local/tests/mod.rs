//! Endpoints against a core, and against each other.

mod credit;
mod drops;
mod messages;

use super::{Attach, Attached, Endpoint, Envelope, Event, Identity};
use crate::core::{Mode, RouterConfig};
use crate::stream::Payload;
use crate::{LinkId, Router};
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::sync::Arc;

const NOW: Instant = Instant::from_micros(0);

/// Credit of a sender at first.
const CAPACITY: u32 = 3;

fn router() -> Arc<Router> {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    Arc::new(Router::new(config, crate::rng::Seed::from(1), 1, NOW))
}

fn endpoint(router: &Arc<Router>) -> Endpoint {
    Endpoint::join(router, Identity::client("peer", CAPACITY), Default::default(), NOW)
}

/// An endpoint with one link.
fn linked(router: &Arc<Router>, link: Attach<'_>) -> (Endpoint, LinkId) {
    let mut endpoint = endpoint(router);
    let Attached { link, .. } = attach(&mut endpoint, link);
    (endpoint, link)
}

fn attach(endpoint: &mut Endpoint, link: Attach<'_>) -> Attached {
    let [attached] = endpoint.attach([link], NOW);
    attached.expect("attached")
}

fn message(text: &'static str) -> Payload {
    Payload::One(Bytes::from_static(text.as_bytes()))
}

/// Sends an unsettled message at once.
fn send(endpoint: &mut Endpoint, link: LinkId) {
    endpoint.send(link, message("m"), Envelope::default());
    endpoint.submit(NOW);
}

/// Everything that an endpoint has to tell now.
fn events(endpoint: &mut Endpoint) -> Vec<Event> {
    let mut events = Vec::new();
    while endpoint.take() {
        events.extend(std::iter::from_fn(|| endpoint.next_event()));
    }
    events
}

/// The only delivery that has come.
fn delivery(endpoint: &mut Endpoint) -> super::Delivery {
    let events = events(endpoint);
    let mut deliveries = events.into_iter().filter_map(|e| if let Event::Delivery(d) = e { Some(d) } else { None });
    let delivery = deliveries.next().expect("a delivery");
    assert!(deliveries.next().is_none(), "one only");
    delivery
}

/// Outcomes of what an endpoint has sent, as far as they have come; all of them settled.
fn outcomes(endpoint: &mut Endpoint) -> Vec<DeliveryState> {
    let outcome = |event| match event {
        Event::Update { state, settled, .. } => {
            assert!(settled);
            state
        }
        _ => None,
    };
    events(endpoint).into_iter().filter_map(outcome).collect()
}
