//! Which target a connector tries next (spec `amqp-endpoint.md` section 3, connector life cycle).

use amqp_core::Value;
use amqp_core::performative::Open;
use router_engine::log;
use router_engine::log::{Level, LogModule};

/// How often a target is tried before the next one gets its turn.
const TRIES: u32 = 2;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: String,
}

/// The targets of a connector: the configured one, then those that its peers told of.
#[derive(Debug)]
pub(super) struct FailoverList {
    targets: Vec<Target>,
    /// The target to be tried next, or in use.
    current: usize,
    tries: u32,
}

// === impl Target ===

impl Target {
    fn same_place(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }

    fn from_value(value: &Value) -> Option<Self> {
        let Value::Map(map) = value else { return None };
        let text = |key: &str| match map.get(key)? {
            Value::String(s) => Some(s.clone()),
            Value::Symbol(s) => Some(s.0.to_string()),
            other => other.as_i64().map(|n| n.to_string()),
        };
        Some(Self {
            scheme: text("scheme").unwrap_or_else(|| "amqp".to_owned()),
            host: text("network-host").or_else(|| text("hostname"))?,
            port: text("port").unwrap_or_else(|| "5672".to_owned()),
        })
    }
}

// === impl FailoverList ===

impl FailoverList {
    pub(super) fn new(host: &str, port: &str) -> Self {
        let configured = Target { scheme: "amqp".to_owned(), host: host.to_owned(), port: port.to_owned() };
        Self { targets: vec![configured], current: 0, tries: 0 }
    }

    pub(super) fn current(&self) -> &Target {
        &self.targets[self.current]
    }

    /// Whether there is a choice.
    pub(super) fn has_alternatives(&self) -> bool {
        self.targets.len() > 1
    }

    /// The current target failed or was lost.
    pub(super) fn on_failure(&mut self) {
        self.tries += 1;
        if self.tries >= TRIES {
            self.tries = 0;
            self.current = (self.current + 1) % self.targets.len();
        }
    }

    /// Takes over what the peer's open tells.
    pub(super) fn on_open(&mut self, open: &Open) {
        self.tries = 0;
        let Some(list) = open.properties.as_ref().and_then(|p| p.get("failover-server-list")) else { return };
        let entries: &[Value] = match list {
            Value::List(entries) | Value::Array(entries) => entries,
            _ => &[],
        };
        let in_use = self.targets[self.current].clone();
        self.targets.truncate(1);
        self.current = 0;
        if !self.targets[0].same_place(&in_use) {
            self.targets.push(in_use);
            self.current = 1;
        }
        for target in entries.iter().filter_map(Target::from_value) {
            if !self.targets.iter().any(|known| known.same_place(&target)) {
                log!(LogModule::Router, Level::Debug, "Added {}:{} as backup host", target.host, target.port);
                self.targets.push(target);
            }
        }
    }

    /// The attribute `failoverUrls`: beginning with the target to be tried next.
    pub(super) fn urls(&self) -> String {
        let (before, from) = self.targets.split_at(self.current);
        let urls: Vec<String> =
            from.iter().chain(before).map(|t| format!("{}://{}:{}", t.scheme, t.host, t.port)).collect();
        urls.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp_core::value::{Map, Symbol};

    fn entry(host: &str, port: Value) -> Value {
        let symbol = |s: &'static str| Value::Symbol(Symbol::from_static(s));
        Value::Map(Map(vec![(symbol("network-host"), Value::String(host.to_owned())), (symbol("port"), port)]))
    }

    fn open(list: Vec<Value>) -> Open {
        let key = Value::Symbol(Symbol::from_static("failover-server-list"));
        Open { properties: Some(Map(vec![(key, Value::List(list))])), ..Open::default() }
    }

    #[test]
    fn every_target_is_tried_twice() {
        let mut list = FailoverList::new("a", "1");
        assert!(!list.has_alternatives());
        list.on_open(&open(vec![entry("b", Value::Int(2)), entry("a", Value::String("1".into()))]));
        assert_eq!(list.urls(), "amqp://a:1, amqp://b:2");
        let mut order = Vec::new();
        for _ in 0..6 {
            order.push(list.current().host.clone());
            list.on_failure();
        }
        assert_eq!(order.concat(), "aabbaa");
    }

    #[test]
    fn a_list_keeps_configured_and_current_targets() {
        let mut list = FailoverList::new("a", "1");
        list.on_open(&open(vec![entry("b", Value::Int(2)), entry("c", Value::Int(3))]));
        list.on_failure();
        list.on_failure();
        assert_eq!(list.current().host, "b");
        list.on_open(&open(vec![entry("d", Value::Int(4))]));
        assert_eq!(list.urls(), "amqp://b:2, amqp://d:4, amqp://a:1");
        list.on_open(&Open::default());
        assert_eq!(list.urls(), "amqp://b:2, amqp://d:4, amqp://a:1");
        list.on_open(&open(Vec::new()));
        assert_eq!(list.urls(), "amqp://b:2, amqp://a:1");
    }
}
