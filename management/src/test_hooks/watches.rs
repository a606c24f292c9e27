//! Watches on addresses that can be seen from outside: some for as long as the router runs, others by request.

use super::CREDIT;
use amqp_core::message::{Message, MessageBuilder};
use amqp_core::performative::DeliveryState;
use amqp_core::value::Map;
use amqp_core::{Instant, Value};
use bytes::Bytes;
use router_engine::LinkId;
use router_engine::core::WatchId;
use router_engine::core::effect::WatchCounts;
use router_engine::log::{Level, LogModule};
use router_engine::port::local::{Attach, Delivery, Endpoint, Envelope};
use router_engine::stream::Payload;
use std::collections::BTreeMap;

/// Addresses `0` to `9` below this are watched for as long as the router runs.
const FIXED: &str = "addr_watch/test_address/";
const FIXED_COUNT: u64 = 10;

/// Where watches are asked for.
const CONTROL: &str = "_local/_testhook/address_watch";
/// Where changes are told.
const EVENTS: &str = "_local/_testhook/watch_event";

/// Watches by request at a time.
const MAX_WATCHES: usize = 1000;

/// The watches. A fixed one has its number as key, others have later ones.
#[derive(Debug)]
pub(super) struct Watches {
    control: Option<LinkId>,
    events: Option<LinkId>,
    dynamic: BTreeMap<u64, (String, WatchId)>,
    last_key: u64,
}

// === impl Watches ===

impl Watches {
    pub(super) fn begin(endpoint: &mut Endpoint, now: Instant) -> Self {
        for key in 0..FIXED_COUNT {
            endpoint.router().watch(&format!("{FIXED}{key}"), endpoint.notify(key));
        }
        let control = Attach::receiver("address-watch", CONTROL).with_credit(CREDIT);
        let links = endpoint.attach([control, Attach::sender("watch-event", EVENTS)], now);
        let [control, events] = links.map(|attached| attached.ok().map(|attached| attached.link));
        Self { control, events, dynamic: BTreeMap::new(), last_key: FIXED_COUNT }
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.control == Some(link)
    }

    pub(super) fn on_request(&mut self, endpoint: &mut Endpoint, delivery: Delivery) {
        if let Ok(Message { application_properties: asked, .. }) =
            Message::decode(delivery.message().unwrap_or_default())
        {
            let text = |key| asked.get(key).and_then(Value::as_str);
            match (text("opcode"), text("address")) {
                (Some("watch-on"), Some(address)) => self.start(endpoint, address),
                (Some("watch-off"), Some(address)) => self.stop(endpoint, address),
                _ => {}
            }
        }
        endpoint.settle(delivery, DeliveryState::Accepted);
    }

    fn start(&mut self, endpoint: &Endpoint, address: &str) {
        if self.dynamic.len() >= MAX_WATCHES {
            return;
        }
        router_engine::log!(LogModule::AddressWatch, Level::Debug, "Start Watch: {address}");
        self.last_key += 1;
        let watch = endpoint.router().watch(address, endpoint.notify(self.last_key));
        self.dynamic.insert(self.last_key, (address.to_owned(), watch));
    }

    fn stop(&mut self, endpoint: &Endpoint, address: &str) {
        let Some(key) = self.dynamic.iter().find(|(_, (watched, _))| watched == address).map(|(key, _)| *key) else {
            return;
        };
        router_engine::log!(LogModule::AddressWatch, Level::Debug, "Stop Watch: {address}");
        if let Some((_, watch)) = self.dynamic.remove(&key) {
            endpoint.router().unwatch(watch);
        }
    }

    pub(super) fn on_change(&self, endpoint: &mut Endpoint, key: u64, counts: WatchCounts) {
        let WatchCounts { local, remote, producers, .. } = counts;
        if key < FIXED_COUNT {
            router_engine::log!(
                LogModule::AddressWatch,
                Level::Debug,
                "on_watch({key}): loc: {local} rem: {remote} prod: {producers}"
            );
        } else if let Some((address, _)) = self.dynamic.get(&key) {
            router_engine::log!(
                LogModule::AddressWatch,
                Level::Debug,
                "On Dynamic Watch: {address} loc: {local} rem: {remote} prod: {producers}"
            );
            if let Some(events) = self.events {
                endpoint.send(events, Payload::One(told(address, counts)), Envelope::default().settled());
            }
        }
    }
}

/// The message that tells of a change.
fn told(address: &str, counts: WatchCounts) -> Bytes {
    let figures = [
        ("local_consumers", counts.local),
        ("in_proc_consumers", counts.in_process),
        ("remote_consumers", counts.remote),
        ("local_producers", counts.producers),
    ];
    let start = Map::new().with(Value::symbol("address"), address);
    let told = figures.iter().fold(start, |map, (name, count)| map.with(Value::symbol(*name), Value::Uint(*count)));
    MessageBuilder::new().application_properties(&told).without_body()
}
