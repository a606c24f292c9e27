//! Log lines about connections that are let in or not (spec `security-and-policy.md` 10.4, 10.7).

use super::decision::{Asked, Refusal};
use super::stats::Exceeded;
use crate::log;
use crate::log::{Level, LogModule};
use std::fmt::{self, Display, Formatter, Write};

/// Characters of what a peer says that a line has.
const SHOWN: usize = 256;

/// What a peer says, as a line shows it: of bounded length, and without what would begin another line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (shown, character) in self.0.chars().enumerate() {
            if shown == SHOWN {
                return f.write_str("...");
            }
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// By which pattern a name was found.
pub(super) fn pattern(name: &str, pattern: Option<&str>) {
    let (name, pattern) = (Shown(name), pattern.unwrap_or("null"));
    log!(LogModule::Policy, Level::Debug, "vhost hostname pattern '{name}' lookup returned '{pattern}'");
}

/// The rules are those of a vhost with another name.
pub(super) fn other_vhost(asked: &Asked<'_>, vhost: &str) {
    let (user, host, name) = (Shown(asked.user_name()), asked.host_name(), Shown(asked.vhost_name()));
    log!(
        LogModule::Policy,
        Level::Debug,
        "AMQP Open for user '{user}', rhost '{host}', vhost '{name}': proceeds using vhost '{vhost}' ruleset"
    );
}

/// A connection is let in.
pub(super) fn granted(asked: &Asked<'_>, group: &str) {
    let (user, host, vhost) = (Shown(asked.user_name()), asked.host_name(), Shown(asked.vhost_name()));
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
    let (user, host, vhost) = (Shown(asked.user_name()), asked.host_name(), Shown(vhost));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_part_of_a_line() {
        assert_eq!(Shown("a 'b' ü").to_string(), "a 'b' ü");
        assert_eq!(Shown("x\n\u{1b}[0m").to_string(), "x\\n\\u{1b}[0m");
        assert_eq!(Shown(&"ü".repeat(1000)).to_string().chars().count(), SHOWN + 3);
    }
}
