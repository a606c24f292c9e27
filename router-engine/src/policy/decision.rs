//! The settings of a connection whose peer has opened (spec `security-and-policy.md` 10.4, 10.7).

use super::rules::CONNECTOR_GROUP;
use super::{Policy, Settings, Vhost};
use crate::core::connection::ConnectionRole;
use std::net::IpAddr;
use std::sync::Arc;

/// What the settings of a connection depend on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The router opened it.
    pub initiator: bool,
    /// The configured role.
    pub role: ConnectionRole,
    /// The configured vhost, whatever the peer asks for.
    pub policy_vhost: Option<&'a str>,
    /// The hostname field of the peer's open.
    pub hostname: Option<&'a str>,
    /// The peer's user id.
    pub user: Option<&'a str>,
    /// Where the peer connects from.
    pub remote_host: Option<IpAddr>,
}

/// What policy says of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    #[default]
    Unrestricted,
    /// It may do this.
    Granted(Arc<Settings>),
    /// It should not be there.
    Refused(Refusal),
}

/// Why a connection should not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are no rules for its vhost.
    NoVhost,
    /// The user is in no group, and such users are not let in.
    UnknownUser,
    /// The user may not connect from there.
    RemoteHost,
    /// The configured vhost of a connector has no settings for connectors.
    NoConnectorGroup,
}

// === impl Decision ===

impl Decision {
    /// Whether requests over the connection may set `adminStatus` of connections.
    #[must_use]
    pub fn allows_admin_status_update(&self) -> bool {
        match self {
            Self::Unrestricted => true,
            Self::Granted(settings) => settings.allow_admin_status_update,
            // Whoever should not be there may not send others away.
            Self::Refused(_) => false,
        }
    }
}

// === impl Policy ===

impl Policy {
    /// What the rules say of a connection.
    #[must_use]
    pub fn decide(&self, asked: &Asked<'_>) -> Decision {
        let result = match (self.enabled, asked.initiator) {
            (false, _) => return Decision::Unrestricted,
            (true, true) => self.decide_connector(asked),
            (true, false) => self.decide_listener(asked),
        };
        match result {
            Ok(Some(settings)) => Decision::Granted(settings),
            Ok(None) => Decision::Unrestricted,
            Err(refusal) => Decision::Refused(refusal),
        }
    }

    fn decide_listener(&self, asked: &Asked<'_>) -> Result<Option<Arc<Settings>>, Refusal> {
        if asked.role.is_inter_router() {
            return Ok(None);
        }
        let name = asked.policy_vhost.or(asked.hostname).unwrap_or_default();
        let vhost = self.vhost_for(name).ok_or(Refusal::NoVhost)?;
        let group = vhost.group_of(asked.user).ok_or(Refusal::UnknownUser)?;
        if !group.admits(asked.remote_host) {
            return Err(Refusal::RemoteHost);
        }
        Ok(Some(Arc::clone(&group.settings)))
    }

    fn decide_connector(&self, asked: &Asked<'_>) -> Result<Option<Arc<Settings>>, Refusal> {
        let is_policed = asked.role.is_policed_as_connector();
        let Some(name) = asked.policy_vhost.filter(|name| is_policed && !name.is_empty()) else { return Ok(None) };
        let vhost = self.vhost_for(name).ok_or(Refusal::NoVhost)?;
        let group = vhost.group(CONNECTOR_GROUP).ok_or(Refusal::NoConnectorGroup)?;
        Ok(Some(Arc::clone(&group.settings)))
    }

    /// The vhost that a name stands for, else the default one.
    fn vhost_for(&self, name: &str) -> Option<&Vhost> {
        let named = self.literal(name).and_then(|name| self.owner(name));
        named.or_else(|| self.vhosts.get(&self.default_vhost).filter(|_| !self.default_vhost.is_empty()))
    }

    /// The configured name that covers a name that a peer asks for.
    fn literal<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match &self.patterns {
            // The empty name has no tokens for a pattern to match, but may be there as such.
            Some(patterns) if !name.is_empty() || self.owner(name).is_none() => {
                patterns.best_match(name).map(String::as_str)
            }
            _ => Some(name),
        }
    }

    /// The vhost of that name or alias.
    fn owner(&self, name: &str) -> Option<&Vhost> {
        self.vhosts.get(self.aliases.get(name).map_or(name, String::as_str))
    }
}
