//! Parameters of `router.config.address` and `router.config.autoLink`.

use super::owned;
use crate::attributes::Attributes;
use crate::entity::config_address::treatment;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::forward::Treatment;

/// Highest priority of messages.
pub const MAX_PRIORITY: u8 = 9;

/// Parameters of an address configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressParams {
    /// The name, when one was given.
    pub name: Option<String>,
    /// The pattern; a prefix `p` is the pattern `p/#`.
    pub pattern: String,
    /// Given as a prefix.
    pub is_prefix: bool,
    /// The distribution.
    pub distribution: Treatment,
    /// Priority of messages without one; negative is none.
    pub priority: i64,
}

/// The direction of an auto-link as the router sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoLinkDirection {
    /// The router receives.
    In,
    /// The router sends.
    Out,
}

/// Parameters of an auto-link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoLinkParams {
    /// The name, when one was given.
    pub name: Option<String>,
    /// The address inside the network.
    pub address: Option<String>,
    /// The direction.
    pub direction: AutoLinkDirection,
    /// The container id of the peer.
    pub container_id: Option<String>,
    /// The name of the listener or connector.
    pub connection: Option<String>,
    /// The address at the peer.
    pub external_address: Option<String>,
}

// === impl AddressParams ===

impl AddressParams {
    /// Reads the body of a CREATE request (spec `management-protocol.md` 4.4).
    ///
    /// # Errors
    /// The description to answer with.
    pub fn from_body(name: Option<&str>, body: &Map) -> Result<Self, String> {
        let given = |key| body.get(key).filter(|v| !v.is_null());
        let (key, label, value) = match (given("prefix"), given("pattern")) {
            (None, None) => return Err("Either a 'prefix' or 'pattern' attribute must be provided".to_owned()),
            (Some(_), Some(_)) => return Err("Cannot specify both a 'prefix' and a 'pattern' attribute".to_owned()),
            (Some(prefix), None) => ("prefix", "Prefix", prefix),
            (None, Some(pattern)) => ("pattern", "Pattern", pattern),
        };
        let text = value.as_str().filter(|t| !t.is_empty());
        let text = text.ok_or_else(|| format!("{label} must be a non-empty string type"))?;
        let text = text.trim_matches(['.', '/']);
        if text.is_empty() {
            return Err(format!("{label} invalid - no tokens"));
        }
        let priority = given("priority").map_or(Some(-1), Value::as_i64).unwrap_or(-1);
        if priority > i64::from(MAX_PRIORITY) {
            return Err("Priority value, if present, must be between 0 and QDR_MAX_PRIORITY".to_owned());
        }
        let is_prefix = key == "prefix";
        Ok(Self {
            name: name.map(str::to_owned),
            pattern: if is_prefix { format!("{text}/#") } else { text.to_owned() },
            is_prefix,
            distribution: treatment(given("distribution").and_then(Value::as_str)),
            priority,
        })
    }

    /// Whether it was given as a pattern.
    #[must_use]
    pub const fn is_pattern(&self) -> bool {
        !self.is_prefix
    }

    /// The prefix, when given as one.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        if self.is_prefix { self.pattern.strip_suffix("/#") } else { None }
    }
}

// === impl AutoLinkParams ===

impl AutoLinkParams {
    /// Reads the body of a CREATE request (spec `management-protocol.md` 4.5).
    ///
    /// # Errors
    /// The description to answer with.
    pub fn from_body(name: Option<&str>, body: &Map) -> Result<Self, String> {
        let text = |key| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let (container_id, connection) = (text("containerId"), text("connection"));
        if container_id.is_some() && connection.is_some() {
            return Err("Both connection and containerId cannot be specified. Specify only one".to_owned());
        }
        let direction = body.get("direction").filter(|v| !v.is_null());
        let direction = match direction.ok_or("direction field is mandatory")?.as_str() {
            Some("in") => AutoLinkDirection::In,
            Some("out") => AutoLinkDirection::Out,
            _ => return Err("Invalid value for 'direction'".to_owned()),
        };
        let address = text("address");
        if address.is_none() && direction == AutoLinkDirection::Out {
            return Err("address field is only optional if direction is incoming".to_owned());
        }
        let external_address = text("externalAddress");
        Ok(Self { name: name.map(str::to_owned), address, direction, container_id, connection, external_address })
    }

    /// Reads an entity of a configuration file.
    ///
    /// # Errors
    /// As [`Self::from_body`].
    pub fn from_attributes(attributes: &Attributes) -> Result<Self, String> {
        Self::from_body(owned(attributes, "name").as_deref(), &attributes.clone().into_map())
    }
}
