//! User groups of a vhost. `vhostUserGroupSettings` describes their settings; no entity is of that type.

use super::hosts;
use super::rules::{self, MAX_CONNECTIONS, items, saturated};
use crate::notation::Plain;
use crate::schema::attribute::{flag, number, text};
use crate::schema::{EntityDef, Origin};
use amqp_core::Value;
use router_engine::log::{Level, LogModule};
use router_engine::policy::{AddressRules, Group, HostRange, Settings};
use std::sync::Arc;

pub(in crate::entity) static SETTINGS: EntityDef = EntityDef {
    name: "vhostUserGroupSettings",
    origin: Origin::None,
    description: "The settings of one user group of a vhost.",
    attributes: &[
        text("users", "The users, separated by commas.").required(),
        text("remoteHosts", "Where they may connect from: names, addresses, ranges, or *.").required(),
        number("maxConnectionsPerUser", "Connections at a time of one user.").natural(),
        number("maxConnectionsPerHost", "Connections at a time from one host.").natural(),
        number("maxMessageSize", "Octets in the largest message; 0 is no limit.").natural(),
        number("maxFrameSize", "Octets in the largest frame.").natural().create(),
        number("maxSessionWindow", "Octets under way to the router in one session.").natural().create(),
        number("maxSessions", "Sessions on one connection.").natural().create(),
        number("maxSenders", "Sending links on one connection.").natural().or_number(2_147_483_647).create(),
        number("maxReceivers", "Receiving links on one connection.").natural().or_number(2_147_483_647).create(),
        flag("allowDynamicSource", "May have the router make up addresses to receive from.").or_flag(false).create(),
        flag("allowAnonymousSender", "May send on links without an address.").or_flag(false).create(),
        flag("allowUserIdProxy", "May send messages with the user id of somebody else.").or_flag(false).create(),
        flag("allowAdminStatusUpdate", "May cut connections.").or_flag(true).create(),
        text("sources", "Addresses to receive from, separated by commas.").create(),
        text("targets", "Addresses to send to, separated by commas.").create(),
        text("sourcePattern", "Patterns of addresses to receive from.").create(),
        text("targetPattern", "Patterns of addresses to send to.").create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// A group as it is read: for error texts.
struct Reader<'a> {
    vhost: &'a str,
    name: &'a str,
    group: Group,
    settings: Settings,
}

/// Reads the settings of a group.
pub(super) fn read(vhost: &str, name: &str, settings: &Value) -> Result<Group, String> {
    let settings = settings.as_map().ok_or_else(|| {
        format!("Policy vhost '{vhost}' user group '{name}' must be a map but is '{}'.", Plain(settings))
    })?;
    let group = Group { users: vec![String::new()], ..Group::default() };
    let mut reader = Reader { vhost, name, group, settings: Settings::default() };
    for (key, value) in settings.iter() {
        reader.setting(&Plain(key).to_string(), value)?;
    }
    for [literal, pattern] in [["sources", "sourcePattern"], ["targets", "targetPattern"]] {
        if settings.get(literal).is_some() && settings.get(pattern).is_some() {
            return Err(format!(
                "Policy vhost '{vhost}' user group '{name}' specifies conflicting '{literal}' and '{pattern}' \
                 attributes. Use only one or the other."
            ));
        }
    }
    Ok(Group { settings: Arc::new(reader.settings), ..reader.group })
}

/// What a number says that stands for no limit where it is zero.
fn limit(number: u64) -> Option<u32> {
    Some(saturated(number)).filter(|&limit| limit > 0)
}

// === impl Reader ===

impl Reader<'_> {
    fn setting(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "users" => self.group.users = self.users(value)?,
            "remoteHosts" => self.group.remote_hosts = self.hosts(value)?,
            "maxConnectionsPerUser" => self.group.max_connections_per_user = Some(self.connections(key, value)?),
            "maxConnectionsPerHost" => self.group.max_connections_per_host = Some(self.connections(key, value)?),
            "maxFrameSize" => self.settings.max_frame_size = limit(self.number(key, value, None)?),
            "maxSessionWindow" => self.settings.max_session_window = limit(self.number(key, value, None)?),
            "maxSessions" => self.settings.max_sessions = limit(self.number(key, value, None)?),
            "maxSenders" => self.settings.max_senders = limit(self.number(key, value, None)?),
            "maxReceivers" => self.settings.max_receivers = limit(self.number(key, value, None)?),
            "maxMessageSize" => self.settings.max_message_size = Some(self.number(key, value, None)?),
            "allowAdminStatusUpdate" => self.settings.allow_admin_status_update = self.flag(key, value)?,
            "allowDynamicSource" => self.settings.allow_dynamic_source = self.flag(key, value)?,
            "allowAnonymousSender" => self.settings.allow_anonymous_sender = self.flag(key, value)?,
            "allowUserIdProxy" => self.settings.allow_user_id_proxy = self.flag(key, value)?,
            "sources" => self.settings.sources = self.addresses(key, value, AddressRules::literals())?,
            "targets" => self.settings.targets = self.addresses(key, value, AddressRules::literals())?,
            "sourcePattern" => self.settings.sources = self.addresses(key, value, AddressRules::patterns())?,
            "targetPattern" => self.settings.targets = self.addresses(key, value, AddressRules::patterns())?,
            _ => router_engine::log!(LogModule::Policy, Level::Warning, "{} is ignored.", self.option(key)),
        }
        Ok(())
    }

    fn option(&self, key: &str) -> String {
        format!("Policy vhost '{}' user group '{}' option '{key}'", self.vhost, self.name)
    }

    fn number(&self, key: &str, value: &Value, max: Option<u64>) -> Result<u64, String> {
        rules::number(value, max).map_err(|e| format!("{} has error '{e}'.", self.option(key)))
    }

    fn connections(&self, key: &str, value: &Value) -> Result<u32, String> {
        self.number(key, value, Some(MAX_CONNECTIONS)).map(saturated)
    }

    fn flag(&self, key: &str, value: &Value) -> Result<bool, String> {
        match (value, value.as_str()) {
            (Value::Bool(flag), _) => Ok(*flag),
            // Any spelling is taken, and only one of them is true.
            (_, Some(text)) if ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) => {
                Ok(text == "true")
            }
            _ => Err(format!("{} has illegal boolean value '{}'.", self.option(key), Plain(value))),
        }
    }

    /// A list, or items separated by commas.
    fn list(&self, key: &str, value: &Value) -> Result<Vec<String>, String> {
        let wrong = || {
            format!("{} has illegal value '{}'. It must be text or a list of texts.", self.option(key), Plain(value))
        };
        let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(wrong);
        match value.as_list() {
            Some(list) => list.iter().map(text).collect(),
            None => value.as_str().map(items).ok_or_else(wrong),
        }
    }

    fn users(&self, value: &Value) -> Result<Vec<String>, String> {
        let mut users: Vec<_> = self.list("users", value)?.iter().flat_map(|item| items(item)).collect();
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            users.push(String::new());
        }
        Ok(users)
    }

    fn hosts(&self, value: &Value) -> Result<Vec<HostRange>, String> {
        let key = "remoteHosts";
        let range = |item: &String| {
            let because = |why| format!("{} connectionOption '{item}' failed to translate: '{why}'.", self.option(key));
            hosts::range(item).map_err(because)
        };
        self.list(key, value)?.iter().map(range).collect()
    }

    fn addresses(&self, key: &str, value: &Value, mut rules: AddressRules) -> Result<AddressRules, String> {
        for item in self.list(key, value)?.iter().flat_map(|item| items(item)) {
            rules.add(&item).map_err(|error| {
                let (vhost, group) = (self.vhost, self.name);
                format!("Policy vhost '{vhost}' user group '{group}' policy key '{key}' item '{item}' {error}")
            })?;
        }
        Ok(rules)
    }
}
