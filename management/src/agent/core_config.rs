//! Address configurations and auto-links: entities of the core tables that can be created and
//! deleted, and the copies that configuration files leave with the other entities.

use super::Agent;
use super::backend::{AutoLinkStatus, Backend};
use super::core_agent::Table;
use super::core_rows::{self, Row};
use super::failure::{Failure, Status};
use super::message::{Request, Response};
use crate::config::EntityConfig;
use crate::params::{AddressParams, AutoLinkDirection, AutoLinkParams};
use crate::schema::{EntityType, validate};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::log::{Level, LogModule};

/// What exists of both kinds, oldest first.
#[derive(Debug, Default)]
pub(super) struct CoreConfig {
    addresses: Vec<(u64, AddressParams)>,
    auto_links: Vec<(u64, AutoLinkParams)>,
    last_number: u64,
}

/// Whether entities of this type are only copies of what is in the core tables.
pub(super) fn is_core_copy(ty: EntityType) -> bool {
    matches!(ty, EntityType::ConfigAddress | EntityType::AutoLink)
}

// === impl CoreConfig ===

impl CoreConfig {
    pub(super) fn auto_link_count(&self) -> usize {
        self.auto_links.len()
    }

    pub(super) fn address_rows(&self) -> Vec<Row> {
        self.addresses.iter().map(|(number, params)| address_row(*number, params)).collect()
    }

    pub(super) fn auto_link_rows(&self, status: impl Fn(u64) -> AutoLinkStatus) -> Vec<Row> {
        self.auto_links.iter().map(|(number, params)| auto_link_row(*number, params, &status(*number))).collect()
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

// === impl Agent ===

impl<B: Backend> Agent<B> {
    pub(super) fn create_core_config(&mut self, table: Table, request: &Request) -> Result<Response, Failure> {
        let name = request.text("name");
        let body = request.body.as_map();
        let taken = match table {
            Table::ConfigAddress => self.core_config.addresses.iter().any(|(_, a)| is_named(a.name.as_deref(), name)),
            _ => self.core_config.auto_links.iter().any(|(_, a)| is_named(a.name.as_deref(), name)),
        };
        if taken {
            return Err(Failure::bad_request("Name conflicts with an existing entity"));
        }
        let body = body.ok_or_else(|| Failure::bad_request("Body of request must be a map"))?;
        let body = &validate::given(table.entity_type(), body)?.into_map();
        let row = match table {
            Table::ConfigAddress => {
                let params = AddressParams::from_body(name, body).map_err(Failure::bad_request)?;
                self.add_address(params)?
            }
            _ => {
                let params = AutoLinkParams::from_body(name, body).map_err(Failure::bad_request)?;
                self.add_auto_link(params)
            }
        };
        Ok(Response::new(Status::Created, table.map(row)))
    }

    fn add_address(&mut self, params: AddressParams) -> Result<Row, Failure> {
        if !self.backend.add_address(&params) {
            return Err(Failure::bad_request("Already exists"));
        }
        log_address("Created", &params);
        let number = self.core_config.next_number();
        let row = address_row(number, &params);
        self.core_config.addresses.push((number, params));
        Ok(row)
    }

    fn add_auto_link(&mut self, params: AutoLinkParams) -> Row {
        let number = self.core_config.next_number();
        self.backend.add_auto_link(number, &params);
        let (peer, value) = peer_of(&params);
        router_engine::log!(
            LogModule::ConnMgr,
            Level::Info,
            "Configured autolink with address={}, direction={} and {peer}={value}",
            params.address.as_deref().unwrap_or("<anonymous>"),
            direction(&params)
        );
        let row = auto_link_row(number, &params, &self.backend.auto_link_status(number));
        self.core_config.auto_links.push((number, params));
        row
    }

    pub(super) fn delete_core_config(&mut self, table: Table, request: &Request) -> Result<Response, Failure> {
        let (identity, name) = (request.text("identity"), request.text("name"));
        if identity.is_none() && name.is_none() {
            return Err(Failure::bad_request("No name or identity provided"));
        }
        let is_meant = |number: u64, own: Option<&str>| match identity {
            Some(identity) => identity == number.to_string(),
            None => is_named(own, name),
        };
        let missing = || Failure::not_found(Status::NotFound.description());
        if table == Table::ConfigAddress {
            let all = &mut self.core_config.addresses;
            let at = all.iter().position(|(n, a)| is_meant(*n, a.name.as_deref())).ok_or_else(missing)?;
            let (_, params) = all.remove(at);
            self.backend.remove_address(&params);
            log_address("Deleted", &params);
        } else {
            let all = &mut self.core_config.auto_links;
            let at = all.iter().position(|(n, a)| is_meant(*n, a.name.as_deref())).ok_or_else(missing)?;
            let (number, params) = all.remove(at);
            self.backend.remove_auto_link(number);
            let (peer, value) = peer_of(&params);
            router_engine::log!(
                LogModule::ConnMgr,
                Level::Info,
                "Deleted autolink with address={}, external_address={}, direction={} and {peer}={value}",
                params.address.as_deref().unwrap_or("(null)"),
                params.external_address.as_deref().unwrap_or("(null)"),
                direction(&params)
            );
        }
        Ok(Response::new(Status::NoContent, Map::new()))
    }

    /// An address of a configuration file. One that makes no sense is skipped, with a warning.
    pub(super) fn load_address(&mut self, entity: EntityConfig) -> Result<(), Failure> {
        let mut entity = entity;
        self.store.assign_names(entity.ty, &mut entity.attributes);
        let warn = |text: String| router_engine::log!(LogModule::Router, Level::Warning, "{text}");
        let a = &entity.attributes;
        match (a.text("prefix"), a.text("pattern")) {
            (Some(prefix), Some(pattern)) => {
                warn(format!("Cannot set both 'prefix' and 'pattern': ignoring configured address {prefix}, {pattern}"))
            }
            (None, None) => {
                warn("Must set either 'prefix' or 'pattern' attribute: ignoring configured address".to_owned());
            }
            (prefix, pattern) => {
                let name = a.text("name").map(str::to_owned);
                let body = a.clone().into_map();
                let made = AddressParams::from_body(name.as_deref(), &body)
                    .map_err(Failure::bad_request)
                    .and_then(|params| self.add_address(params));
                let shown = prefix.map(|p| format!("{p}/#")).or_else(|| pattern.map(str::to_owned));
                match made {
                    Err(failure) if failure.text == "Already exists" => router_engine::log!(
                        LogModule::Error,
                        Level::Error,
                        "Already exists: Duplicate pattern '{}' not added to parse tree",
                        shown.unwrap_or_default()
                    ),
                    Err(failure) => {
                        router_engine::log!(LogModule::Agent, Level::Error, "{}", failure.text);
                    }
                    Ok(_) => {}
                }
            }
        }
        self.keep_copy(entity)
    }

    /// An auto-link of a configuration file.
    pub(super) fn load_auto_link(&mut self, mut entity: EntityConfig) -> Result<(), Failure> {
        self.store.assign_names(entity.ty, &mut entity.attributes);
        match AutoLinkParams::from_attributes(&entity.attributes) {
            Ok(params) => {
                self.add_auto_link(params);
            }
            Err(text) => {
                router_engine::log!(LogModule::RouterCore, Level::Error, "Error configuring autoLink: {text}");
            }
        }
        self.keep_copy(entity)
    }

    /// An entity of these types created with a short type name: it and its copy, or neither.
    pub(super) fn add_core_copy(&mut self, mut entity: EntityConfig) -> Result<usize, Failure> {
        let name = entity.attributes.text("name").map(str::to_owned);
        self.store.assign_names(entity.ty, &mut entity.attributes);
        self.check_copy(&entity)?;
        let body = entity.attributes.clone().into_map();
        match entity.ty {
            EntityType::ConfigAddress => {
                let params = AddressParams::from_body(name.as_deref(), &body).map_err(Failure::bad_request)?;
                self.add_address(params)?;
            }
            _ => {
                let params = AutoLinkParams::from_body(name.as_deref(), &body).map_err(Failure::bad_request)?;
                self.add_auto_link(params);
            }
        }
        self.store.push(entity);
        Ok(self.store.iter().count() - 1)
    }

    fn keep_copy(&mut self, entity: EntityConfig) -> Result<(), Failure> {
        self.check_copy(&entity)?;
        self.store.push(entity);
        Ok(())
    }

    fn check_copy(&self, entity: &EntityConfig) -> Result<(), Failure> {
        let existing = self.store.iter().map(|e| (e.ty, &e.attributes));
        Ok(crate::config::check_singletons_and_names((entity.ty, &entity.attributes), existing)?)
    }
}

fn is_named(own: Option<&str>, name: Option<&str>) -> bool {
    own.is_some() && own == name
}

fn address_row(number: u64, params: &AddressParams) -> Row {
    vec![
        params.name.as_deref().into(),
        number.to_string().into(),
        EntityType::ConfigAddress.full().into(),
        params.prefix().into(),
        core_rows::distribution(params.distribution),
        params.is_pattern().then_some(params.pattern.as_str()).into(),
        Value::Int(i32::try_from(params.priority).unwrap_or(-1)),
    ]
}

fn auto_link_row(number: u64, params: &AutoLinkParams, status: &AutoLinkStatus) -> Row {
    vec![
        params.name.as_deref().into(),
        number.to_string().into(),
        EntityType::AutoLink.full().into(),
        params.address.as_deref().into(),
        direction(params).into(),
        params.connection.as_deref().into(),
        params.container_id.as_deref().into(),
        params.external_address.as_deref().into(),
        status.link.map(|l| l.to_string()).into(),
        status.state.value(),
        status.last_error.as_deref().into(),
    ]
}

const fn direction(params: &AutoLinkParams) -> &'static str {
    match params.direction {
        AutoLinkDirection::In => "in",
        AutoLinkDirection::Out => "out",
    }
}

fn peer_of(params: &AutoLinkParams) -> (&'static str, &str) {
    match (&params.connection, &params.container_id) {
        (Some(connection), _) => ("connection", connection),
        (None, container) => ("containerId", container.as_deref().unwrap_or("(null)")),
    }
}

fn log_address(what: &str, params: &AddressParams) {
    let label = if params.is_prefix { "Prefix" } else { "Pattern" };
    let distribution = match core_rows::distribution(params.distribution) {
        Value::String(name) => name,
        _ => "(null)".to_owned(),
    };
    router_engine::log!(
        LogModule::ConnMgr,
        Level::Info,
        "{what} address with {label}={} and distribution={distribution}",
        params.pattern
    );
}
