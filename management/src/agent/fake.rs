//! A router that is not one, and an agent of it, for tests.

use super::*;
use crate::config::{BootPlan, parse};
use crate::error::RouterError;
use amqp_core::Value;
use router_engine::core::connection::{ConnParams, ConnectionRole};
use router_engine::core::snapshot::{AddressRow, ConnectionRow, LinkKey, LinkRow, Page, RouterRow};
use router_engine::core::{AddressConfig, AddressCounters, AutoLinkConfig, AutoLinkStatus};
use router_engine::forward::Treatment;
use std::collections::HashSet;
use std::time::Duration;

/// A router that remembers what it was told.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) refuse: bool,
    /// Identities with this in them are refused, unless it is empty.
    pub(crate) refuses: &'static str,
    /// It has a fault that ends the creation of anything.
    pub(crate) panics: bool,
    pub(crate) patterns: HashSet<String>,
    pub(crate) calls: Vec<String>,
    pub(crate) cut: Vec<u32>,
    pub(crate) traced: HashSet<u32>,
}

impl Backend for Fake {
    fn create(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        self.call("create", entity)
    }
    fn update(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        self.call("update", entity)
    }
    fn delete(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        self.call("delete", entity)
    }
    fn live(&self, entity: &EntityConfig) -> Attributes {
        match entity.ty {
            EntityType::Connector => Attributes::new().with("connectionStatus", "CONNECTING"),
            _ => Attributes::new(),
        }
    }
    fn instances(&self, ty: EntityType) -> Vec<Attributes> {
        match ty {
            EntityType::Node => ["R1", "R2"].map(|id| Attributes::new().with("id", id)).to_vec(),
            EntityType::LogStats => crate::entity::log_stats::all(),
            _ => Vec::new(),
        }
    }
    fn add_address(&mut self, pattern: &str, _: AddressConfig) -> bool {
        self.patterns.insert(pattern.to_owned())
    }
    fn remove_address(&mut self, pattern: &str) {
        self.patterns.remove(pattern);
    }
    fn add_auto_link(&mut self, _: u64, _: AutoLinkConfig) {}
    fn remove_auto_link(&mut self, _: u64) {}
    fn auto_link_status(&self, _: u64) -> AutoLinkStatus {
        AutoLinkStatus::default()
    }
    fn connections(&self, page: Page) -> Vec<ConnectionRow> {
        let all = [connection(1, ConnectionRole::InterRouter), connection(2, ConnectionRole::Normal)];
        let all = all.map(|c| ConnectionRow { traced: self.traced.contains(&c.number), ..c });
        all.into_iter().skip(page.offset).take(page.count).collect()
    }
    fn connection(&self, number: u32) -> Option<ConnectionRow> {
        self.connections(Page::ALL).into_iter().find(|c| c.number == number)
    }
    fn links(&self, _: Page) -> Vec<LinkRow> {
        Vec::new()
    }
    fn link(&self, _: LinkKey<'_>) -> Option<LinkRow> {
        None
    }
    fn addresses(&self, page: Page) -> Vec<AddressRow> {
        ["Ma", "Mb", "Mc"].map(address).into_iter().skip(page.offset).take(page.count).collect()
    }
    fn address(&self, key: &str) -> Option<AddressRow> {
        self.addresses(Page::ALL).into_iter().find(|a| a.key == key)
    }
    fn totals(&self) -> RouterRow {
        RouterRow {
            connections: 2,
            services: vec![("amqp", 2)],
            addresses: 3,
            nodes: 1,
            uptime: Duration::from_secs(7),
            ..RouterRow::default()
        }
    }
    fn router_id(&self) -> String {
        "R1".to_owned()
    }
    fn may_update_admin_status(&self, requester: u32) -> bool {
        requester != 1
    }
    fn cut_connection(&mut self, number: u32) {
        self.cut.push(number);
    }
    fn trace_connection(&mut self, number: u32, on: bool) {
        if on {
            self.traced.insert(number)
        } else {
            self.traced.remove(&number)
        };
    }
}

impl Fake {
    fn call(&mut self, what: &str, entity: &EntityConfig) -> Result<(), RouterError> {
        assert!(!self.panics, "a fault");
        if self.refuse || !self.refuses.is_empty() && entity.identity().contains(self.refuses) {
            return Err(RouterError::configuration("no"));
        }
        self.calls.push(format!("{what} {}", entity.attributes.text("identity").unwrap_or_default()));
        Ok(())
    }
}

pub(crate) fn connection(number: u32, role: ConnectionRole) -> ConnectionRow {
    let mut params = ConnParams::amqp(role);
    params.facts.host = format!("127.0.0.1:{number}");
    let uptime = Duration::ZERO;
    ConnectionRow {
        number,
        params,
        role,
        peer: None,
        deleted: false,
        uptime,
        last_delivery: None,
        traced: false,
        active: true,
        mesh: None,
    }
}

pub(crate) fn address(key: &str) -> AddressRow {
    AddressRow {
        key: key.to_owned(),
        treatment: Treatment::Balanced,
        priority: None,
        in_process: 0,
        subscribers: 1,
        producers: 0,
        remotes: vec!["R2".to_owned()],
        watched: false,
        counters: AddressCounters::default(),
        tracked: 0,
        outstanding: None,
    }
}

pub(crate) fn agent() -> Agent<Fake> {
    agent_of(
        "router {\n id: R1\n mode: interior\n}\nlistener {\n name: l0\n port: 5672\n}\nconnector {\n name: c0\n}\n\
        address {\n prefix: multicast\n}\n",
    )
}

pub(crate) fn agent_of(conf: &str) -> Agent<Fake> {
    let plan = BootPlan::new(parse(conf, false).expect("valid")).expect("no directory is read");
    let mut agent = Agent::new(Fake::default());
    agent.load_all(plan.core).expect("accepted");
    agent.refresh();
    agent.load_all(plan.rest).expect("accepted");
    agent
}

pub(crate) fn call(agent: &mut Agent<Fake>, properties: &[(&str, &str)], body: impl Into<Value>) -> Response {
    call_from(2, agent, properties, body)
}

pub(crate) fn call_from(
    requester: u32,
    agent: &mut Agent<Fake>,
    properties: &[(&str, &str)],
    body: impl Into<Value>,
) -> Response {
    let request = Request {
        requester: Some(requester),
        reply_to: Some("reply".to_owned()),
        properties: properties.iter().map(|(k, v)| (*k, *v)).collect(),
        body: body.into(),
        ..Request::default()
    };
    agent.handle(&request).expect("answered")
}

pub(crate) fn refused(agent: &mut Agent<Fake>, properties: &[(&str, &str)], body: impl Into<Value>) -> (i32, String) {
    let response = call(agent, properties, body);
    (response.status.code(), response.description)
}

pub(crate) fn field<'a>(response: &'a Response, name: &str) -> &'a Value {
    response.body.as_map().and_then(|m| m.get(name)).unwrap_or(&Value::Null)
}
