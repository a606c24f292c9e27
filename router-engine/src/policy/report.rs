//! Log lines about connections that are let in or not (spec `security-and-policy.md` 10.4, 10.7).

use super::decision::{Asked, Refusal};
use super::stats::Exceeded;
use crate::log;
use crate::log::{Level, LogModule};

/// By which pattern a name was found.
pub(super) fn pattern(name: &str, pattern: Option<&str>) {
    let pattern = pattern.unwrap_or("null");
    log!(LogModule::Policy, Level::Debug, "vhost hostname pattern '{name}' lookup returned '{pattern}'");
}

/// The rules are those of a vhost with another name.
pub(super) fn other_vhost(asked: &Asked<'_>, vhost: &str) {
    let (user, host, name) = (asked.user_name(), asked.host_name(), asked.vhost_name());
    log!(
        LogModule::Policy,
        Level::Debug,
        "AMQP Open for user '{user}', rhost '{host}', vhost '{name}': proceeds using vhost '{vhost}' ruleset"
    );
}

/// A connection is let in.
pub(super) fn granted(asked: &Asked<'_>, group: &str) {
    let (user, host, vhost) = (asked.user_name(), asked.host_name(), asked.vhost_name());
    log!(
        LogModule::Policy,
        Level::Debug,
        conn = asked.number,
        "ALLOW AMQP Open lookup_user: {user}, rhost: {host}, vhost: {vhost}, connection: {}. Usergroup: '{group}'",
        asked.peer
    );
}

/// A connection is not let in.
pub(super) fn refused(asked: &Asked<'_>, vhost: &str, refusal: Refusal) {
    let (user, host) = (asked.user_name(), asked.host_name());
    let say = |why: &str| {
        let module = LogModule::Policy;
        log!(module, Level::Info, "DENY AMQP Open for user '{user}', rhost '{host}', vhost '{vhost}': {why}");
    };
    match refusal {
        Refusal::NoVhost | Refusal::NoConnectorGroup => say("No policy defined for vhost"),
        Refusal::UnknownUser => say("User is not in a user group and unknown users are denied"),
        Refusal::RemoteHost => say("User is not allowed to connect from this network host"),
        Refusal::TooMany(Exceeded { total, user, host }) => {
            for (is_exceeded, limit) in [(total, "connection"), (user, "per user"), (host, "per host")] {
                if is_exceeded {
                    say(&format!("Connection denied by application {limit} limit"));
                }
            }
        }
    }
}

/// The vhost of a connector has no rules for it.
pub(super) fn no_connector_settings(asked: &Asked<'_>) {
    let (number, vhost) = (asked.number, asked.vhost_name());
    log!(
        LogModule::Policy,
        Level::Error,
        conn = number,
        "Failed to find policyVhost settings for connection '{number}', policyVhost: '{vhost}'"
    );
}
