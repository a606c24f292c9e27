//! What other sites tell of themselves: the records of their routers and controllers (spec `vanflow.md`), as far as the
//! state of resources depends on them.
//!
//! Whoever is in the network can send anything, so what is kept is bounded.

use crate::status::{Service, SiteRecord};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::vanflow::Attribute;
use std::collections::{BTreeMap, HashMap};

/// Where sources of records announce themselves.
pub const BEACONS: &str = "mc/sfe.all";

const MAX_SOURCES: usize = 4096;
const MAX_RECORDS: usize = 100_000;
const MAX_TEXT: usize = 256;

/// Ticks without a word after which a source is gone. Heartbeats come every other second.
const PATIENCE: u32 = 20;

/// Types of records that matter here.
const SITE: u64 = 0;
const ROUTER: u64 = 1;
const LISTENER: u64 = 4;
const CONNECTOR: u64 = 5;

/// Attributes that matter here.
const KEPT: [Attribute; 6] = [
    Attribute::Parent,
    Attribute::Name,
    Attribute::Platform,
    Attribute::Namespace,
    Attribute::BuildVersion,
    Attribute::VanAddress,
];

/// The network as its sources of records tell it.
#[derive(Debug, Default)]
pub struct Network {
    sources: HashMap<String, Source>,
    records: usize,
}

/// A source that was not known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Where its records are sent to.
    pub address: String,
    /// Where it takes commands.
    pub direct: String,
}

#[derive(Debug, Default)]
struct Source {
    records: HashMap<String, Record>,
    silent: u32,
}

#[derive(Debug)]
struct Record {
    ty: u64,
    texts: HashMap<Attribute, String>,
}

// === impl Network ===

impl Network {
    /// A source announces itself.
    pub fn on_beacon(&mut self, properties: &Map) -> Option<Discovered> {
        let text = |name| properties.get(name).and_then(Value::as_str).filter(|text| text.len() <= MAX_TEXT);
        let (address, direct) = (text("address")?, text("direct")?);
        if let Some(source) = self.sources.get_mut(address) {
            source.silent = 0;
            return None;
        }
        if self.sources.len() == MAX_SOURCES || !address.starts_with("mc/sfe.") || !direct.starts_with("sfe.") {
            return None;
        }
        self.sources.insert(address.to_owned(), Source::default());
        Some(Discovered { address: address.to_owned(), direct: direct.to_owned() })
    }

    /// Records, or a heartbeat, that were sent to an address.
    pub fn on_records(&mut self, address: &str, body: &Value) {
        let Some(source) = self.sources.get_mut(address) else { return };
        source.silent = 0;
        let Value::List(records) = body else { return };
        for record in records {
            let Value::Map(map) = record else { continue };
            source.take(map, &mut self.records);
        }
    }

    /// A second has passed. The addresses of sources that have gone.
    pub fn tick(&mut self) -> Vec<String> {
        let mut gone = Vec::new();
        self.sources.retain(|address, source| {
            source.silent += 1;
            let stays = source.silent <= PATIENCE;
            if !stays {
                self.records -= source.records.len();
                gone.push(address.clone());
            }
            stays
        });
        gone
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Record)> {
        self.sources.values().flat_map(|source| &source.records)
    }

    /// The sites, by their identities.
    #[must_use]
    pub fn sites(&self) -> BTreeMap<String, SiteRecord> {
        let mut sites = BTreeMap::new();
        for (id, site) in self.all().filter(|(_, record)| record.ty == SITE) {
            let text = |attribute| site.texts.get(&attribute).cloned().unwrap_or_default();
            let record = SiteRecord {
                name: site_name(&text(Attribute::Name)),
                namespace: text(Attribute::Namespace),
                platform: text(Attribute::Platform),
                version: text(Attribute::BuildVersion),
            };
            sites.insert(id.clone(), record);
        }
        sites
    }

    /// The identity of the site of a router.
    #[must_use]
    pub fn site_of(&self, router: &str) -> Option<String> {
        let name = format!("0/{router}");
        let is_it = |record: &Record| record.ty == ROUTER && record.texts.get(&Attribute::Name) == Some(&name);
        self.all().find(|(_, record)| is_it(record))?.1.texts.get(&Attribute::Parent).cloned()
    }

    /// What there is of each routing key.
    #[must_use]
    pub fn services(&self) -> BTreeMap<String, Service> {
        let mut services: BTreeMap<String, Service> = BTreeMap::new();
        for (_, record) in self.all() {
            let Some(key) = record.texts.get(&Attribute::VanAddress) else { continue };
            match record.ty {
                LISTENER => services.entry(key.clone()).or_default().listeners += 1,
                CONNECTOR => services.entry(key.clone()).or_default().connectors += 1,
                _ => {}
            }
        }
        services
    }
}

/// Routers name the record of their site after themselves on hosts without a controller: `<site>-<seconds>-<nanoseconds>`.
fn site_name(name: &str) -> String {
    let is_number = |part: &str| part.len() <= 12 && part.chars().all(|c| c.is_ascii_digit()) && !part.is_empty();
    let mut parts = name.rsplitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(nanos), Some(seconds), Some(site)) if is_number(nanos) && is_number(seconds) && seconds.len() >= 9 => {
            site.to_owned()
        }
        _ => name.to_owned(),
    }
}

// === impl Source ===

impl Source {
    fn take(&mut self, map: &Map, total: &mut usize) {
        let field = |attribute: Attribute| {
            let found = map.iter().find(|(key, _)| key.as_u64() == Some(attribute.code().into()));
            found.map(|(_, value)| value)
        };
        let ty = field(Attribute::RecordType).and_then(Value::as_u64);
        let identity = field(Attribute::Identity).and_then(Value::as_str).filter(|text| text.len() <= MAX_TEXT);
        let (Some(ty @ (SITE | ROUTER | LISTENER | CONNECTOR)), Some(identity)) = (ty, identity) else { return };
        if field(Attribute::EndTime).is_some() {
            *total -= usize::from(self.records.remove(identity).is_some());
            return;
        }
        if !self.records.contains_key(identity) {
            if *total == MAX_RECORDS {
                return;
            }
            *total += 1;
            self.records.insert(identity.to_owned(), Record { ty, texts: HashMap::new() });
        }
        let Some(record) = self.records.get_mut(identity) else { return };
        for attribute in KEPT {
            if let Some(text) = field(attribute).and_then(Value::as_str).filter(|text| text.len() <= MAX_TEXT) {
                record.texts.insert(attribute, text.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon(network: &mut Network, id: &str) -> Option<Discovered> {
        let (address, direct) = (format!("mc/sfe.{id}"), format!("sfe.{id}"));
        network.on_beacon(&Map::new().with("address", address.as_str()).with("direct", direct.as_str()))
    }

    fn record(ty: u64, id: &str, texts: &[(Attribute, &str)]) -> Value {
        let key = |attribute: Attribute| Value::Uint(attribute.code().into());
        let mut map = vec![(key(Attribute::RecordType), Value::Ulong(ty)), (key(Attribute::Identity), id.into())];
        map.extend(texts.iter().map(|(attribute, text)| (key(*attribute), (*text).into())));
        Value::Map(Map(map))
    }

    #[test]
    fn sites_and_services_come_and_go() {
        let mut network = Network::default();
        assert!(beacon(&mut network, "a:0").is_some() && beacon(&mut network, "a:0").is_none());
        let records = vec![
            record(SITE, "west-id", &[(Attribute::Name, "west-1795208426-1663"), (Attribute::Platform, "linux")]),
            record(ROUTER, "a:0", &[(Attribute::Name, "0/west-1795208426-1663"), (Attribute::Parent, "west-id")]),
            record(LISTENER, "a:1", &[(Attribute::VanAddress, "web")]),
            record(CONNECTOR, "a:2", &[(Attribute::VanAddress, "web")]),
        ];
        network.on_records("mc/sfe.b:0", &Value::List(records.clone()));
        assert!(network.sites().is_empty(), "nobody has announced that source");
        network.on_records("mc/sfe.a:0", &Value::List(records));
        assert_eq!(network.sites()["west-id"].name, "west");
        assert_eq!(network.site_of("west-1795208426-1663").as_deref(), Some("west-id"));
        assert_eq!(network.services()["web"], Service { listeners: 1, connectors: 1 });
        let key = |attribute: Attribute| Value::Uint(attribute.code().into());
        let ended = vec![
            (key(Attribute::RecordType), Value::Ulong(LISTENER)),
            (key(Attribute::Identity), "a:1".into()),
            (key(Attribute::EndTime), Value::Ulong(1)),
        ];
        network.on_records("mc/sfe.a:0", &Value::List(vec![Value::Map(Map(ended))]));
        assert_eq!(network.services()["web"], Service { listeners: 0, connectors: 1 });
        let gone: Vec<String> = (0..=PATIENCE).flat_map(|_| network.tick()).collect();
        assert_eq!((gone, network.records), (vec!["mc/sfe.a:0".to_owned()], 0));
        assert!(network.services().is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut network = Network::default();
        for id in 0..=MAX_SOURCES {
            assert_eq!(beacon(&mut network, &id.to_string()).is_some(), id < MAX_SOURCES);
        }
        let many = (0..=MAX_RECORDS).map(|id| record(LISTENER, &id.to_string(), &[(Attribute::VanAddress, "web")]));
        network.on_records("mc/sfe.1", &Value::List(many.collect()));
        assert_eq!(network.services()["web"].listeners, MAX_RECORDS);
        let long = "x".repeat(MAX_TEXT + 1);
        network.on_records("mc/sfe.1", &Value::List(vec![record(LISTENER, &long, &[])]));
        assert_eq!(network.records, MAX_RECORDS);
    }

    #[test]
    fn routers_of_hosts_name_their_sites() {
        for (record, name) in [("west-1795208426-1663", "west"), ("my-site", "my-site"), ("a-1-2", "a-1-2")] {
            assert_eq!(site_name(record), name);
        }
    }
}
