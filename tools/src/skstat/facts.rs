//! `-g` and `-p`: attributes of single entities, one below the other.

use serde_json::{Map, Value as Json};

use super::connections::yes_no;
use super::report::Report;
use crate::client::Client;
use crate::display::{Cell, Table};
use crate::error::{Error, Result};

/// What a router says about itself in several entities.
struct Entities {
    found: Vec<(&'static str, Map<String, Json>)>,
}

/// A line: its label, and where the value is.
struct Fact {
    label: &'static str,
    kind: &'static str,
    attribute: &'static str,
    form: fn(&Json) -> Cell,
    /// Left out if the value is null, or the router does not report it.
    optional: bool,
}

const ROUTER: &str = "router";
const METRICS: &str = "routerMetrics";
const NETWORK: &str = "network";
const POLICY: &str = "policy";

const GENERAL: &[Fact] = &[
    Fact::new("Version", METRICS, "version"),
    Fact::new("Mode", ROUTER, "mode"),
    Fact::new("Router Id", METRICS, "id"),
    Fact::new("Network Id", NETWORK, "networkId").optional(),
    Fact::new("Tenant Id", NETWORK, "tenantId").optional(),
    Fact::new("Host Name", ROUTER, "hostName"),
    Fact::new("Hello Interval Seconds", ROUTER, "helloIntervalSeconds"),
    Fact::new("Hello Max Age Seconds", ROUTER, "helloMaxAgeSeconds"),
    Fact::new("RA Interval Seconds", ROUTER, "raIntervalSeconds"),
    Fact::new("RA Interval Flux Seconds", ROUTER, "raIntervalFluxSeconds"),
    Fact::new("Remote Ls Max Age Seconds", ROUTER, "remoteLsMaxAgeSeconds"),
    Fact::new("Debug Dump File", ROUTER, "debugDumpFile"),
    Fact::new("Sasl Config Dir", ROUTER, "saslConfigDir"),
    Fact::new("Sasl Config Name", ROUTER, "saslConfigName"),
    Fact::new("Timestamps In UTC", ROUTER, "timestampsInUTC").shown(|value| yes_no(value == true)),
    Fact::new("Timestamp Format", ROUTER, "timestampFormat"),
    Fact::new("Default Distribution", ROUTER, "defaultDistribution"),
    Fact::new("Metadata", ROUTER, "metadata"),
    Fact::new("Data Connection Count", ROUTER, "dataConnectionCount"),
    Fact::new("Worker Threads", ROUTER, "workerThreads").optional(),
    Fact::new("Uptime", METRICS, "uptimeSeconds").shown(|value| Cell::number(value, Cell::LongTime)).optional(),
    Fact::new("VmSize", METRICS, "memoryUsage").shown(|value| Cell::number(value, Cell::Octets)).optional(),
    Fact::new("RSS", METRICS, "residentMemoryUsage").shown(|value| Cell::number(value, Cell::Octets)).optional(),
    Fact::new("Area", ROUTER, "area"),
    Fact::new("Auto Links", METRICS, "autoLinkCount"),
    Fact::new("Links", METRICS, "linkCount"),
    Fact::new("Nodes", METRICS, "nodeCount"),
    Fact::new("Addresses", METRICS, "addrCount"),
    Fact::new("Total Connections", METRICS, "connectionCount"),
    Fact::new("Presettled Count", METRICS, "presettledDeliveries"),
    Fact::new("Dropped Presettled Count", METRICS, "droppedPresettledDeliveries"),
    Fact::new("Accepted Count", METRICS, "acceptedDeliveries"),
    Fact::new("Rejected Count", METRICS, "rejectedDeliveries"),
    Fact::new("Released Count", METRICS, "releasedDeliveries"),
    Fact::new("Modified Count", METRICS, "modifiedDeliveries"),
    Fact::new("Deliveries Delayed > 1sec", METRICS, "deliveriesDelayed1Sec"),
    Fact::new("Deliveries Delayed > 10sec", METRICS, "deliveriesDelayed10Sec"),
    Fact::new("Deliveries Stuck > 10sec", METRICS, "deliveriesStuck"),
    Fact::new("Ingress Count", METRICS, "deliveriesIngress"),
    Fact::new("Egress Count", METRICS, "deliveriesEgress"),
    Fact::new("Transit Count", METRICS, "deliveriesTransit"),
    Fact::new("Deliveries from Route Container", METRICS, "deliveriesIngressRouteContainer"),
    Fact::new("Deliveries to Route Container", METRICS, "deliveriesEgressRouteContainer"),
    Fact::new("Deliveries from Remote Network", METRICS, "deliveriesIngressInterNetwork"),
    Fact::new("Deliveries to Remote Network", METRICS, "deliveriesEgressInterNetwork"),
];

const POLICY_CONFIGURATION: &[Fact] = &[
    Fact::new("Maximum Concurrent Connections", POLICY, "maxConnections"),
    Fact::new("Maximum Message Size", POLICY, "maxMessageSize").optional(),
    Fact::new("Enable Vhost Policy", POLICY, "enableVhostPolicy"),
    Fact::new("Enable Vhost Name Patterns", POLICY, "enableVhostNamePatterns"),
    Fact::new("Policy Directory", POLICY, "policyDir").shown(nil_if_empty),
    Fact::new("Default Vhost", POLICY, "defaultVhost").shown(nil_if_empty),
];

const POLICY_STATUS: &[Fact] = &[
    Fact::new("Connections Processed", POLICY, "connectionsProcessed"),
    Fact::new("Connections Denied", POLICY, "connectionsDenied"),
    Fact::new("Connections Current", POLICY, "connectionsCurrent"),
    Fact::new("Links Denied", POLICY, "linksDenied"),
    Fact::new("Maximum Message Size Denied", POLICY, "maxMessageSizeDenied").optional(),
    Fact::new("Total Denials", POLICY, "totalDenials"),
];

/// `-g`.
///
/// # Errors
/// Those of [`Client::query`].
pub(super) async fn general(client: &mut Client) -> Result<Report> {
    let entities = Entities::read(client, &[ROUTER, METRICS, NETWORK]).await?;
    let mut values = entities.values(GENERAL);
    if let Json::Object(counters) = entities.get(METRICS, "connectionCounters") {
        let line = |(protocol, count): (&String, &Json)| {
            (format!("{} Service Connections", protocol.to_uppercase()), Cell::plain(count))
        };
        values.extend(counters.iter().map(line));
    }
    Ok(Report { tables: vec![Table::of_values("Router Statistics", values)], ..Report::default() })
}

/// `-p`.
///
/// # Errors
/// Those of [`Client::query`].
pub(super) async fn policy(client: &mut Client) -> Result<Report> {
    let entities = Entities::read(client, &[POLICY]).await?;
    let configuration = Table::of_values("Policy Configuration", entities.values(POLICY_CONFIGURATION));
    let status = Table::of_values("Policy Status", entities.values(POLICY_STATUS));
    Ok(Report { tables: vec![configuration, status], ..Report::default() })
}

fn nil_if_empty(value: &Json) -> Cell {
    match value.as_str() {
        None | Some("") => Cell::text("(nil)"),
        Some(text) => Cell::text(text),
    }
}

// === impl Entities ===

impl Entities {
    async fn read(client: &mut Client, kinds: &[&'static str]) -> Result<Self> {
        let mut found = Vec::new();
        for kind in kinds {
            let rows = client.query(Some(&format!("io.skupper.router.{kind}")), &[], 0).await?;
            let first = rows.first().map(|row| row.pairs().map(|(name, value)| (name.to_owned(), value.clone())));
            match first {
                Some(pairs) => found.push((*kind, pairs.collect())),
                // Routers before 3.4 have none.
                None if *kind == NETWORK => {}
                None => return Err(Error::Value(format!("the router has no entity of type {kind}"))),
            }
        }
        Ok(Self { found })
    }

    fn get(&self, kind: &str, attribute: &str) -> &Json {
        let entity = self.found.iter().find(|(known, _)| *known == kind);
        entity.and_then(|(_, entity)| entity.get(attribute)).unwrap_or(&Json::Null)
    }

    fn values(&self, facts: &[Fact]) -> Vec<(String, Cell)> {
        let wanted = facts.iter().map(|fact| (fact, self.get(fact.kind, fact.attribute)));
        let wanted = wanted.filter(|(fact, value)| !(fact.optional && value.is_null()));
        wanted.map(|(fact, value)| (fact.label.to_owned(), (fact.form)(value))).collect()
    }
}

// === impl Fact ===

impl Fact {
    const fn new(label: &'static str, kind: &'static str, attribute: &'static str) -> Self {
        Self { label, kind, attribute, form: Cell::plain, optional: false }
    }

    const fn shown(self, form: fn(&Json) -> Cell) -> Self {
        Self { form, ..self }
    }

    const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}
