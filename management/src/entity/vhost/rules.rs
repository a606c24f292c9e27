//! The rules in a vhost entity (spec `security-and-policy.md` 10.2, 10.3).

use super::group;
use crate::attributes::Attributes;
use crate::error::RouterError;
use crate::notation::Plain;
use amqp_core::Value;
use router_engine::policy::{ConnectionLimits, Group, Vhost};

/// Connections at a time of whatever kind.
pub(super) const MAX_CONNECTIONS: u64 = 65535;

/// The rules that a vhost entity stands for. Looks up the names of hosts in them, which may take its time.
///
/// # Errors
/// When they make no sense.
pub(super) fn read(a: &Attributes) -> Result<Vhost, RouterError> {
    let name = a.text("hostname").unwrap_or_default();
    let invalid = |detail: String| RouterError::policy(format!("Policy '{name}' is invalid: {detail}"));
    let read = |key, max| number_of(name, a, key, max).map_err(invalid);
    let connections = |key| Ok::<_, RouterError>(read(key, Some(MAX_CONNECTIONS))?.map(saturated));
    let mut limits = ConnectionLimits::default();
    limits.total = connections("maxConnections")?.unwrap_or(limits.total);
    limits.per_user = connections("maxConnectionsPerUser")?.unwrap_or(limits.per_user);
    limits.per_host = connections("maxConnectionsPerHost")?.unwrap_or(limits.per_host);
    let max_message_size = read("maxMessageSize", None)?;
    let aliases = a.text("aliases").map(items).unwrap_or_default();
    let groups = groups(name, a).map_err(invalid)?;
    let vhost = Vhost::new(name.to_owned(), aliases, a.flag("allowUnknownUser"), groups);
    let vhost = vhost.map_err(|error| invalid(error.to_string()))?;
    Ok(vhost.with_limits(limits).with_max_message_size(max_message_size))
}

/// A number of the vhost, if it is there.
fn number_of(vhost: &str, a: &Attributes, key: &str, max: Option<u64>) -> Result<Option<u64>, String> {
    let Some(value) = a.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = number(value, max).map_err(|e| format!("Policy vhost '{vhost}' option '{key}' has error '{e}'."))?;
    Ok(Some(number))
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

/// A number from zero to `max`.
pub(super) fn number(value: &Value, max: Option<u64>) -> Result<u64, String> {
    let shown = Plain(value);
    let number = whole(value).ok_or_else(|| format!("Value '{shown}' does not resolve to an integer."))?;
    let number = u64::try_from(number).map_err(|_| format!("Value '{shown}' is below minimum '0'."))?;
    match max.filter(|max| number > *max) {
        Some(max) => Err(format!("Value '{shown}' is above maximum '{max}'.")),
        None => Ok(number),
    }
}

/// What is too large is the largest.
pub(super) fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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
