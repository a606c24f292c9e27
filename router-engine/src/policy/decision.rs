//! What policy says of a connection whose peer has opened (spec `security-and-policy.md` 10.4, 10.7).

use super::report;
use super::rules::{CONNECTOR_GROUP, Group};
use super::stats::{Comer, Exceeded, Place, VhostStats};
use super::{Kept, Policy, Settings};
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
    /// How operators know the peer.
    pub peer: &'a str,
    /// The number of the connection, for the log.
    pub number: u32,
}

/// What policy says of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    #[default]
    Unrestricted,
    /// It may do this.
    Granted(Arc<Settings>),
    /// It may not be there.
    Refused(Refusal),
}

/// Why a connection may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are no rules for its vhost.
    NoVhost,
    /// The user is in no group, and such users are not let in.
    UnknownUser,
    /// The user may not connect from there.
    RemoteHost,
    /// There are too many connections already.
    TooMany(Exceeded),
    /// The configured vhost of a connector has no settings for connectors.
    NoConnectorGroup,
}

/// What becomes of a connection.
#[derive(Debug)]
pub enum Admission {
    /// Policy does not concern it.
    Unrestricted,
    /// It has a place.
    Granted(Box<Grant>),
    /// It has to go.
    Refused(Refusal),
}

/// What a connection may do. The connection is counted for as long as this lives.
#[derive(Debug)]
pub struct Grant {
    settings: Arc<Settings>,
    max_message_size: Option<u64>,
    stats: Arc<VhostStats>,
    /// Connections of connectors have none.
    _place: Option<Place>,
}

/// A group of a vhost that applies.
struct Applies<'a> {
    vhost: &'a Kept,
    name: &'a str,
    group: &'a Group,
}

// === impl Decision ===

impl Decision {
    /// Whether requests over the connection may set `adminStatus` of connections.
    #[must_use]
    pub fn allows_admin_status_update(&self) -> bool {
        match self {
            Self::Unrestricted => true,
            Self::Granted(settings) => settings.allow_admin_status_update,
            // Whoever may not be there may not send others away.
            Self::Refused(_) => false,
        }
    }
}

// === impl Admission ===

impl Admission {
    /// The same, to be kept.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self {
            Self::Unrestricted => Decision::Unrestricted,
            Self::Granted(grant) => Decision::Granted(Arc::clone(&grant.settings)),
            Self::Refused(refusal) => Decision::Refused(*refusal),
        }
    }
}

// === impl Grant ===

impl Grant {
    /// What it may do.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Octets in the largest message, if that is limited.
    #[must_use]
    pub const fn max_message_size(&self) -> Option<u64> {
        self.max_message_size
    }

    /// What is counted of its vhost.
    #[must_use]
    pub fn stats(&self) -> &VhostStats {
        &self.stats
    }
}

// === impl Asked ===

impl Asked<'_> {
    /// The name of the user; empty is none.
    pub(super) fn user_name(&self) -> &str {
        self.user.unwrap_or_default()
    }

    /// The name that the vhost is chosen by.
    pub(super) fn vhost_name(&self) -> &str {
        let hostname = if self.initiator { None } else { self.hostname };
        self.policy_vhost.or(hostname).unwrap_or_default()
    }

    /// Where the peer connects from, as text.
    pub(super) fn host_name(&self) -> String {
        self.remote_host.map(|host| host.to_string()).unwrap_or_default()
    }
}

// === impl Policy ===

impl Policy {
    /// Lets a connection in or not, and says so in the log, which `tells` or does not tell of one more refusal.
    #[must_use]
    pub fn admit(&self, asked: &Asked<'_>, tells: impl FnOnce() -> bool) -> Admission {
        let result = match (self.enabled, asked.initiator) {
            (false, _) => return Admission::Unrestricted,
            (true, true) => self.admit_to_connector(asked),
            (true, false) => self.admit_to_listener(asked, tells),
        };
        match result {
            Ok(Some(grant)) => Admission::Granted(Box::new(grant)),
            Ok(None) => Admission::Unrestricted,
            Err(refusal) => Admission::Refused(refusal),
        }
    }

    fn admit_to_listener(&self, asked: &Asked<'_>, tells: impl FnOnce() -> bool) -> Result<Option<Grant>, Refusal> {
        if asked.role.is_inter_router() {
            return Ok(None);
        }
        let (name, granted) = match self.vhost_for(asked) {
            Some(vhost) => (vhost.rules.name(), self.grant(asked, vhost)),
            None => (asked.vhost_name(), Err(Refusal::NoVhost)),
        };
        if let Err(refusal) = &granted
            && tells()
        {
            report::refused(asked, name, *refusal);
        }
        granted.map(Some)
    }

    fn grant(&self, asked: &Asked<'_>, vhost: &Kept) -> Result<Grant, Refusal> {
        let refuse = |refusal| {
            vhost.stats.refuse();
            refusal
        };
        let found = vhost.rules.group_of(asked.user).ok_or(Refusal::UnknownUser).map_err(refuse)?;
        let applies = Applies { vhost, name: found.0, group: found.1 };
        if !applies.group.admits(asked.remote_host) {
            return Err(refuse(Refusal::RemoteHost));
        }
        let host = asked.host_name();
        let comer = Comer { user: asked.user_name(), host: &host, peer: asked.peer };
        let limits = applies.group.limits(vhost.rules.limits());
        let place = vhost.stats.enter(comer, limits).map_err(Refusal::TooMany)?;
        report::granted(asked, applies.name);
        Ok(self.granted(&applies, Some(place)))
    }

    fn admit_to_connector(&self, asked: &Asked<'_>) -> Result<Option<Grant>, Refusal> {
        let is_policed = asked.role.is_policed_as_connector() && !asked.vhost_name().is_empty();
        if !is_policed {
            return Ok(None);
        }
        let applies = self.vhost_for(asked).ok_or(Refusal::NoVhost).and_then(|vhost| {
            let group = vhost.rules.group(CONNECTOR_GROUP).ok_or(Refusal::NoConnectorGroup)?;
            Ok(Applies { vhost, name: CONNECTOR_GROUP, group })
        });
        match applies {
            Ok(applies) => Ok(Some(self.granted(&applies, None))),
            Err(refusal) => {
                report::no_connector_settings(asked);
                Err(refusal)
            }
        }
    }

    fn granted(&self, applies: &Applies<'_>, place: Option<Place>) -> Grant {
        let settings = Arc::clone(&applies.group.settings);
        let configured = settings.max_message_size.or(applies.vhost.rules.max_message_size());
        let max_message_size = Some(configured.unwrap_or(self.max_message_size)).filter(|&max| max > 0);
        Grant { settings, max_message_size, stats: Arc::clone(&applies.vhost.stats), _place: place }
    }

    /// The vhost that a name stands for, else the default one.
    fn vhost_for(&self, asked: &Asked<'_>) -> Option<&Kept> {
        let name = asked.vhost_name();
        let named = self.literal(name).and_then(|name| self.owner(name));
        let vhost =
            named.or_else(|| self.vhosts.get(&self.default_vhost).filter(|_| !self.default_vhost.is_empty()))?;
        if vhost.rules.name() != name {
            report::other_vhost(asked, vhost.rules.name());
        }
        Some(vhost)
    }

    /// The configured name that covers a name that a peer asks for.
    fn literal<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match &self.patterns {
            // The empty name has no tokens for a pattern to match, but may be there as such.
            Some(patterns) if !name.is_empty() || self.owner(name).is_none() => {
                let pattern = patterns.best_match(name).map(String::as_str);
                report::pattern(name, pattern);
                pattern
            }
            _ => Some(name),
        }
    }

    /// The vhost of that name or alias.
    fn owner(&self, name: &str) -> Option<&Kept> {
        self.vhosts.get(self.aliases.get(name).map_or(name, String::as_str))
    }
}
