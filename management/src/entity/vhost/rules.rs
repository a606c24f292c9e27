//! The rules in a vhost entity (spec `security-and-policy.md` 10.2, 10.3).

use super::group;
use crate::attributes::Attributes;
use crate::error::RouterError;
use crate::notation::Plain;
use amqp_core::Value;
use router_engine::policy::{Group, Vhost};

/// Connections at a time of whatever kind.
pub(super) const MAX_CONNECTIONS: i64 = 65535;

/// The rules that a vhost entity stands for. Looks up the names of hosts in them, which may take its time.
///
/// # Errors
/// When they make no sense.
pub(super) fn read(a: &Attributes) -> Result<Vhost, RouterError> {
    let name = a.text("hostname").unwrap_or_default();
    let invalid = |detail: String| RouterError::policy(format!("Policy '{name}' is invalid: {detail}"));
    check_numbers(name, a).map_err(invalid)?;
    let aliases = a.text("aliases").map(items).unwrap_or_default();
    let groups = groups(name, a).map_err(invalid)?;
    Vhost::new(name.to_owned(), aliases, a.flag("allowUnknownUser"), groups).map_err(|error| invalid(error.to_string()))
}

fn check_numbers(vhost: &str, a: &Attributes) -> Result<(), String> {
    for (key, max) in [
        ("maxConnections", Some(MAX_CONNECTIONS)),
        ("maxConnectionsPerUser", Some(MAX_CONNECTIONS)),
        ("maxConnectionsPerHost", Some(MAX_CONNECTIONS)),
        ("maxMessageSize", None),
    ] {
        if let Some(value) = a.get(key).filter(|value| !value.is_null()) {
            check_number(value, max).map_err(|e| format!("Policy vhost '{vhost}' option '{key}' has error '{e}'."))?;
        }
    }
    Ok(())
}

fn groups(vhost: &str, a: &Attributes) -> Result<Vec<(String, Group)>, String> {
    let Some(map) = a.get("groups").and_then(Value::as_map) else { return Ok(Vec::new()) };
    let group = |(name, settings): &(Value, Value)| {
        let name = Plain(name).to_string();
        let group = group::read(vhost, &name, settings)?;
        Ok((name, group))
    };
    map.iter().map(group).collect()
}

/// Items separated by commas; blanks around them do not count.
pub(super) fn items(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.trim_matches(' ').to_owned()).collect()
}

pub(super) fn check_number(value: &Value, max: Option<i64>) -> Result<(), String> {
    let shown = Plain(value);
    let number = whole(value).ok_or_else(|| format!("Value '{shown}' does not resolve to an integer."))?;
    if number < 0 {
        return Err(format!("Value '{shown}' is below minimum '0'."));
    }
    match max.filter(|max| number > *max) {
        Some(max) => Err(format!("Value '{shown}' is above maximum '{max}'.")),
        None => Ok(()),
    }
}

/// The whole number that a value stands for; what is too large is the largest.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        // Conversion saturates.
        Value::Float(number) => number.is_finite().then_some(*number as i64),
        Value::Double(number) => number.is_finite().then_some(*number as i64),
        _ => {
            let large = || value.as_u64().map(|_| i64::MAX);
            value.as_i64().or_else(large).or_else(|| value.as_str()?.trim().parse().ok())
        }
    }
}
