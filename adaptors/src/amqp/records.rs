//! What is recorded of connectors to other routers and of listeners for them (spec `vanflow.md` section 7.3).

use super::params::{ConnectorParams, ListenerParams};
use crate::clock;
use parking_lot::Mutex;
use router_engine::Router;
use router_engine::port::{ACCESS_ID, AmqpPort, PortError};
use router_engine::vanflow::{Attribute, Attributes, Meter, Record, RecordType, Value};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const UP: &str = "up";
const DOWN: &str = "down";

/// The record of a connector. It ends with the connector and its last connection.
#[derive(Debug)]
pub(super) struct LinkRecord {
    record: Record,
    state: Mutex<LinkState>,
}

#[derive(Debug, Default)]
struct LinkState {
    /// Control connections that are open.
    open: u32,
    /// It was told to be down, and is not up again.
    is_down: bool,
    downs: u64,
}

/// A control connection of a connector that is open.
#[derive(Debug)]
pub(super) struct OpenLink(Arc<LinkRecord>);

/// The record of a listener for routers. It ends with the listener and its last connection.
#[derive(Debug)]
pub(super) struct AccessRecord(Record);

/// A connection of a listener that is open and carries more than streams.
#[derive(Debug)]
pub(super) struct OpenAccess(Arc<AccessRecord>);

/// Microseconds since the epoch.
fn wall_clock() -> Value {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Value::Number(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

fn tls_ordinal(ordinal: Option<u64>) -> Option<(Attribute, Value)> {
    ordinal.map(|ordinal| (Attribute::ActiveTlsOrdinal, Value::Number(ordinal)))
}

// === impl LinkRecord ===

impl LinkRecord {
    /// None for connectors to peers that are no routers of this network.
    pub(super) fn begin(router: &Router, params: &ConnectorParams) -> Option<Arc<Self>> {
        let endpoint = &params.endpoint;
        let records = router.records().filter(|_| endpoint.role.tells_access_id())?;
        let attributes = [
            (Attribute::Name, endpoint.name.clone().into()),
            (Attribute::Role, endpoint.role.name().into()),
            (Attribute::LinkCost, Value::Number(endpoint.cost.into())),
            (Attribute::OperStatus, DOWN.into()),
            (Attribute::DownCount, Value::Number(0)),
            (Attribute::Protocol, "amqp".into()),
            (Attribute::DestinationPort, endpoint.port.clone().into()),
            (Attribute::HttpProxy, if params.proxy.is_some() { "yes" } else { "no" }.into()),
        ];
        let record = records.begin(RecordType::Link, attributes.into_iter().collect(), clock::now());
        Some(Arc::new(Self { record, state: Mutex::default() }))
    }

    /// Where its connections count their octets.
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(self.record.meter())
    }

    /// A control connection has opened.
    pub(super) fn opened(self: &Arc<Self>, port: &AmqpPort, ordinal: Option<u64>) -> OpenLink {
        let access = port.remote_open().and_then(|open| open.properties.as_ref()?.get(ACCESS_ID)?.as_str());
        let access = access.map(|access| (Attribute::Peer, access.to_owned().into()));
        let mut attributes: Attributes = tls_ordinal(ordinal).into_iter().chain(access).collect();
        let mut state = self.state.lock();
        state.open += 1;
        if state.open == 1 {
            state.is_down = false;
            attributes.extend([(Attribute::OperStatus, UP.into()), (Attribute::UpTimestamp, wall_clock())]);
        }
        self.record.set(attributes);
        OpenLink(Arc::clone(self))
    }

    /// An attempt to have a control connection is over, and was not ended by request.
    pub(super) fn failed(&self, failure: Option<&PortError>) {
        let mut state = self.state.lock();
        if state.open > 0 || state.is_down {
            return;
        }
        (state.is_down, state.downs) = (true, state.downs + 1);
        let (result, reason) = failure.map_or(("unknown", ""), |f| (f.condition.as_str(), f.description.as_str()));
        let attributes = [
            (Attribute::OperStatus, DOWN.into()),
            (Attribute::DownCount, Value::Number(state.downs)),
            (Attribute::DownTimestamp, wall_clock()),
            (Attribute::Result, result.to_owned().into()),
            (Attribute::Reason, reason.to_owned().into()),
        ];
        self.record.set(attributes.into_iter().collect());
    }
}

impl Drop for OpenLink {
    fn drop(&mut self) {
        self.0.state.lock().open -= 1;
    }
}

// === impl AccessRecord ===

impl AccessRecord {
    /// None for listeners for peers that are no routers of this network.
    pub(super) fn begin(router: &Router, params: &ListenerParams) -> Option<Arc<Self>> {
        let endpoint = &params.endpoint;
        let records = router.records().filter(|_| endpoint.role.tells_access_id())?;
        let attributes =
            [(Attribute::Name, endpoint.name.clone().into()), (Attribute::Role, endpoint.role.name().into())];
        let record = records.begin(RecordType::RouterAccess, attributes.into_iter().collect(), clock::now());
        Some(Arc::new(Self(record)))
    }

    /// What peers are told that it is.
    pub(super) fn id(&self) -> String {
        self.0.identity().to_string()
    }

    /// A connection that carries more than streams has opened.
    pub(super) fn opened(self: &Arc<Self>, ordinal: Option<u64>) -> OpenAccess {
        self.0.meter().count();
        if let Some(ordinal) = tls_ordinal(ordinal) {
            self.0.set([ordinal].into_iter().collect());
        }
        OpenAccess(Arc::clone(self))
    }
}

impl Drop for OpenAccess {
    fn drop(&mut self) {
        self.0.0.meter().discount();
    }
}
