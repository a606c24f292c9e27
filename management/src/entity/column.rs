//! Columns: attributes that show live state.

use crate::attributes::Attributes;
use amqp_core::Value;
use std::time::Duration;

/// The name of an attribute, and what it shows.
pub(super) type Column<T> = (&'static str, fn(&T) -> Value);

/// Live attributes of a listener: whether it takes connections, and why not.
pub(super) const LISTENING: &[Column<(bool, String)>] = &[
    ("operStatus", |(up, _)| if *up { "up" } else { "down" }.into()),
    ("connectionMsg", |(_, message)| message.as_str().into()),
];

/// What all columns show.
pub(super) fn shown<T>(columns: &[Column<T>], row: &T) -> Attributes {
    columns.iter().map(|(name, value)| ((*name).into(), value(row))).collect()
}

/// A counter in an attribute of an entity that the agent keeps.
pub(super) fn counter(number: u64) -> Value {
    Value::Long(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Counts by the index of a router, where there are any.
pub(super) fn counts(counts: Option<&[u64]>) -> Value {
    counts.map_or(Value::Null, |counts| Value::List(counts.iter().map(|&count| Value::Ulong(count)).collect()))
}

/// Seconds in a column of a table.
pub(super) fn seconds(duration: Duration) -> Value {
    Value::Uint(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
}
