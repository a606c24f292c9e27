//! Parameters of `router`, `network` and `policy`.

use super::address::treatment;
use super::{count, owned, text};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use router_engine::core::Mode;
use router_engine::forward::Treatment;
use router_engine::log::{Level, LogModule};
use router_engine::mesh::Timing;
use std::time::Duration;

/// How many connections carry streams beside an inter-router connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataConnections {
    /// As many as the number of worker threads suggests.
    Auto,
    /// That many.
    Count(u32),
}

/// Parameters of the router.
#[derive(Debug, Clone)]
pub struct RouterParams {
    /// The configured id.
    pub id: Option<String>,
    /// The mode.
    pub mode: Mode,
    /// Periods and ages of the routing protocols.
    pub timing: Timing,
    /// Worker threads, at least one.
    pub worker_threads: usize,
    /// Directory of the SASL configuration.
    pub sasl_config_dir: Option<String>,
    /// Name of the SASL configuration.
    pub sasl_config_name: String,
    /// Log times in UTC.
    pub timestamps_in_utc: bool,
    /// Pattern of log times.
    pub timestamp_format: Option<String>,
    /// Distribution of addresses that are not configured.
    pub default_distribution: Treatment,
    /// Connections for streams.
    pub data_connections: DataConnections,
    /// Cut TCP flows when their listener or connector is deleted.
    pub drop_tcp_connections: bool,
    /// The older spelling of the tenant id.
    pub van_id: Option<String>,
}

/// Parameters of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkParams {
    /// The network id.
    pub network_id: Option<String>,
    /// The tenant id.
    pub tenant_id: Option<String>,
}

/// Parameters of the policy of the router as a whole.
#[derive(Debug, Clone)]
pub struct PolicyParams {
    /// Client connections at a time.
    pub max_connections: u64,
    /// Octets in the largest message; zero is no limit.
    pub max_message_size: u64,
    /// Apply vhost rules.
    pub enable_vhost_policy: bool,
    /// Vhost names are patterns.
    pub enable_vhost_name_patterns: bool,
    /// Directory of files with vhosts.
    pub policy_dir: Option<String>,
    /// The vhost for what no other covers.
    pub default_vhost: String,
}

/// No router does more with more threads than this.
const MAX_WORKERS: usize = 1024;

impl TryFrom<&EntityConfig> for RouterParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        Ok(Self {
            id: owned(a, "id"),
            mode: match a.text("mode") {
                Some("interior") => Mode::Interior,
                Some("edge") => Mode::Edge,
                _ => Mode::Standalone,
            },
            timing: timing(a),
            worker_threads: usize::try_from(count(a, "workerThreads")).unwrap_or(1).clamp(1, MAX_WORKERS),
            sasl_config_dir: owned(a, "saslConfigDir"),
            sasl_config_name: text(a, "saslConfigName"),
            timestamps_in_utc: a.flag("timestampsInUTC"),
            timestamp_format: owned(a, "timestampFormat"),
            default_distribution: treatment(a.text("defaultDistribution")),
            data_connections: data_connections(a.text("dataConnectionCount").unwrap_or("auto")),
            drop_tcp_connections: a.flag("dropTcpConnections"),
            van_id: owned(a, "vanId"),
        })
    }
}

fn timing(a: &Attributes) -> Timing {
    let seconds = |name| Duration::from_secs(count(a, name));
    Timing {
        hello_interval: seconds("helloIntervalSeconds"),
        hello_max_age: seconds("helloMaxAgeSeconds"),
        ra_interval: seconds("raIntervalSeconds"),
        ra_interval_flux: seconds("raIntervalFluxSeconds"),
        link_state_max_age: seconds("remoteLsMaxAgeSeconds"),
        unreachable_hold_off: seconds("unreachableHoldoffSeconds"),
    }
}

fn data_connections(text: &str) -> DataConnections {
    let number: Option<i64> = text.trim().parse().ok();
    if number.is_none() && text != "auto" {
        let about = "for dataConnectionCount";
        router_engine::log!(LogModule::Router, Level::Info, "Bad value \"{text}\" {about}");
    }
    // Fewer than none is none.
    number.map_or(DataConnections::Auto, |n| DataConnections::Count(u32::try_from(n).unwrap_or(0)))
}

impl TryFrom<&EntityConfig> for NetworkParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        Ok(Self { network_id: owned(a, "networkId"), tenant_id: owned(a, "tenantId") })
    }
}

impl TryFrom<&EntityConfig> for PolicyParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        Ok(Self {
            max_connections: count(a, "maxConnections"),
            max_message_size: count(a, "maxMessageSize"),
            enable_vhost_policy: a.flag("enableVhostPolicy"),
            enable_vhost_name_patterns: a.flag("enableVhostNamePatterns"),
            policy_dir: owned(a, "policyDir").filter(|dir| !dir.is_empty()),
            default_vhost: text(a, "defaultVhost"),
        })
    }
}
