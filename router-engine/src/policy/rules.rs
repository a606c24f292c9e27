//! What an operator says about one vhost.

use super::address::AddressRules;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The group of users that no other group has, where such users are let in.
pub(super) const DEFAULT_GROUP: &str = "$default";

/// The group of the router's own connections that are subject to a vhost.
pub(super) const CONNECTOR_GROUP: &str = "$connector";

/// The name in a list of users that stands for everybody who is in no other group.
pub(super) const ANY_USER: &str = "*";

/// What the connections of a group may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Octets in the largest frame, where it is not what their listener says.
    pub max_frame_size: Option<u32>,
    /// Octets under way to the router in one session, where it is not what their listener says.
    pub max_session_window: Option<u32>,
    /// Sessions on one connection, where it is not what their listener says.
    pub max_sessions: Option<u32>,
    /// Links on one connection by which the peer sends.
    pub max_senders: Option<u32>,
    /// Links on one connection by which the peer receives.
    pub max_receivers: Option<u32>,
    /// Octets in the largest message, zero for any; `None` is what the vhost says, or else the router's policy.
    pub max_message_size: Option<u64>,
    /// Have the router make up addresses to receive from.
    pub allow_dynamic_source: bool,
    /// Send on links without an address.
    pub allow_anonymous_sender: bool,
    /// Send messages with the user id of somebody else.
    pub allow_user_id_proxy: bool,
    /// Have management cut connections.
    pub allow_admin_status_update: bool,
    /// Receive from these addresses.
    pub sources: AddressRules,
    /// Send to these addresses.
    pub targets: AddressRules,
}

/// How many connections there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In the vhost.
    pub total: u32,
    /// Of one user in the vhost.
    pub per_user: u32,
    /// From one host in the vhost.
    pub per_host: u32,
}

/// Hosts that users may connect from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRange {
    /// Every host.
    Any,
    /// Addresses of one family, the first one no higher than the last.
    Addresses(RangeInclusive<IpAddr>),
}

/// A group of users of a vhost.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Their names; a group without users has the one that is empty.
    pub users: Vec<String>,
    /// Where they may connect from: nowhere, when there is none.
    pub remote_hosts: Vec<HostRange>,
    /// Connections at a time of one of them, where it is not what the vhost says.
    pub max_connections_per_user: Option<u32>,
    /// Connections at a time from one of their hosts, where it is not what the vhost says.
    pub max_connections_per_host: Option<u32>,
    /// What they may do.
    pub settings: Arc<Settings>,
}

/// The rules of one vhost.
#[derive(Debug, Clone)]
pub struct Vhost {
    name: String,
    aliases: Vec<String>,
    allow_unknown_user: bool,
    limits: ConnectionLimits,
    max_message_size: Option<u64>,
    groups: HashMap<String, Group>,
    group_of: HashMap<String, String>,
}

/// Why rules are refused; the text is what the operator is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A range between an IPv4 and an IPv6 address.
    #[error("mixed IPv4 and IPv6 host specs in range not allowed")]
    MixedRange,
    /// A range that ends before it begins.
    #[error("host specs in range must have lower numeric address first")]
    ReversedRange,
    /// An alias of a vhost is its name.
    #[error("Policy vhost '{vhost}' option 'aliases' value '{vhost}' duplicates vhost name")]
    AliasIsName {
        /// The vhost.
        vhost: String,
    },
    /// An alias is there twice.
    #[error("Policy vhost '{vhost}' option 'aliases' value '{alias}' is duplicated")]
    AliasRepeated {
        /// The vhost.
        vhost: String,
        /// The alias.
        alias: String,
    },
    /// Nobody could tell which group applies.
    #[error("Policy vhost '{vhost}' user '{user}' is in multiple user groups '{first}' and '{second}'")]
    UserInTwoGroups {
        /// The vhost.
        vhost: String,
        /// The user.
        user: String,
        /// One group.
        first: String,
        /// The other.
        second: String,
    },
    /// Users in no group are let in, and nothing says what they may do.
    #[error("Policy vhost '{vhost}' allows connections by default but default settings are not defined")]
    NoDefaultGroup {
        /// The vhost.
        vhost: String,
    },
    /// The name of a vhost is an alias of another.
    #[error("Policy is creating vhost '{vhost}' but that name is already an alias for vhost '{owner}'")]
    NameIsAlias {
        /// The vhost.
        vhost: String,
        /// The other.
        owner: String,
    },
    /// An alias is the name of another vhost.
    #[error(
        "Policy for vhost '{vhost}' defines alias '{alias}' which conflicts with an existing vhost named '{alias}'"
    )]
    AliasIsVhost {
        /// The vhost.
        vhost: String,
        /// The alias.
        alias: String,
    },
    /// An alias belongs to another vhost.
    #[error("Policy for vhost '{vhost}' alias '{alias}' conflicts with existing alias for vhost '{owner}'")]
    AliasTaken {
        /// The vhost.
        vhost: String,
        /// The alias.
        alias: String,
        /// The other vhost.
        owner: String,
    },
    /// A name is the same pattern as another.
    #[error("Policy for vhost '{vhost}' alias '{alias}' optimized pattern conflicts with existing pattern")]
    PatternTaken {
        /// The vhost.
        vhost: String,
        /// The name.
        alias: String,
    },
}

// === impl Settings ===

impl Default for Settings {
    /// What applies where nothing is configured.
    fn default() -> Self {
        Self {
            max_frame_size: None,
            max_session_window: None,
            max_sessions: None,
            max_senders: None,
            max_receivers: None,
            max_message_size: None,
            allow_dynamic_source: false,
            allow_anonymous_sender: false,
            allow_user_id_proxy: false,
            allow_admin_status_update: true,
            sources: AddressRules::default(),
            targets: AddressRules::default(),
        }
    }
}

// === impl ConnectionLimits ===

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 65535, per_user: 65535, per_host: 65535 }
    }
}

// === impl HostRange ===

impl HostRange {
    /// From one address to another, both included.
    ///
    /// # Errors
    /// When they are of two families, or the first one is higher.
    pub fn new(low: IpAddr, high: IpAddr) -> Result<Self, RuleError> {
        match () {
            () if low.is_ipv4() != high.is_ipv4() => Err(RuleError::MixedRange),
            () if low > high => Err(RuleError::ReversedRange),
            () => Ok(Self::Addresses(low..=high)),
        }
    }

    /// `None`: where the peer connects from is not an address.
    fn contains(&self, host: Option<IpAddr>) -> bool {
        match self {
            Self::Any => true,
            // Addresses of two families are apart: all of one are lower than any of the other.
            Self::Addresses(range) => host.is_some_and(|host| range.contains(&host)),
        }
    }
}

// === impl Group ===

impl Group {
    pub(super) fn admits(&self, host: Option<IpAddr>) -> bool {
        self.remote_hosts.iter().any(|range| range.contains(host))
    }

    /// The limits of a vhost, as they apply to the group.
    pub(super) fn limits(&self, of_vhost: ConnectionLimits) -> ConnectionLimits {
        ConnectionLimits {
            per_user: self.max_connections_per_user.unwrap_or(of_vhost.per_user),
            per_host: self.max_connections_per_host.unwrap_or(of_vhost.per_host),
            ..of_vhost
        }
    }
}

// === impl Vhost ===

impl Vhost {
    /// The rules of a vhost, groups by name.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn new(
        name: String,
        aliases: Vec<String>,
        allow_unknown_user: bool,
        groups: Vec<(String, Group)>,
    ) -> Result<Self, RuleError> {
        check_aliases(&name, &aliases)?;
        let group_of = groups_by_user(&name, &groups)?;
        let groups: HashMap<_, _> = groups.into_iter().collect();
        if allow_unknown_user && !groups.contains_key(DEFAULT_GROUP) {
            return Err(RuleError::NoDefaultGroup { vhost: name });
        }
        let limits = ConnectionLimits::default();
        Ok(Self { name, aliases, allow_unknown_user, limits, max_message_size: None, groups, group_of })
    }

    /// How many connections there may be at a time.
    #[must_use]
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// Octets in the largest message of groups that say nothing of it, zero for any; `None` is what the router's policy
    /// says.
    #[must_use]
    pub fn with_max_message_size(self, max_message_size: Option<u64>) -> Self {
        Self { max_message_size, ..self }
    }

    pub(super) const fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    pub(super) const fn max_message_size(&self) -> Option<u64> {
        self.max_message_size
    }

    /// Its name, or pattern.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its other names, or patterns.
    #[must_use]
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The name of a user's group, and the group; `None`, or an empty name, is a user without one. Groups without users have
    /// the empty name, but nobody is meant by that.
    pub(super) fn group_of(&self, user: Option<&str>) -> Option<(&str, &Group)> {
        let by_name = user.filter(|user| !user.is_empty()).and_then(|user| self.group_of.get(user));
        let named = by_name.or_else(|| self.group_of.get(ANY_USER)).map(String::as_str);
        let name = named.or(self.allow_unknown_user.then_some(DEFAULT_GROUP))?;
        Some((name, self.group(name)?))
    }
}

fn check_aliases(vhost: &str, aliases: &[String]) -> Result<(), RuleError> {
    for (before, alias) in aliases.iter().enumerate() {
        if alias == vhost {
            return Err(RuleError::AliasIsName { vhost: vhost.to_owned() });
        }
        if aliases[..before].contains(alias) {
            return Err(RuleError::AliasRepeated { vhost: vhost.to_owned(), alias: alias.clone() });
        }
    }
    Ok(())
}

fn groups_by_user(vhost: &str, groups: &[(String, Group)]) -> Result<HashMap<String, String>, RuleError> {
    let mut group_of = HashMap::new();
    for (second, group) in groups {
        for user in &group.users {
            if let Some(first) = group_of.insert(user.clone(), second.clone()) {
                let (vhost, user, second) = (vhost.to_owned(), user.clone(), second.clone());
                return Err(RuleError::UserInTwoGroups { vhost, user, first, second });
            }
        }
    }
    Ok(group_of)
}
