//! The attributes of one entity: a small ordered map.

use amqp_core::Value;
use amqp_core::value::Map;
use std::borrow::Cow;
use std::time::Duration;

/// An attribute name. Names from the schema are borrowed from it.
pub type Name = Cow<'static, str>;

/// Attribute names and values in the order in which they came to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(Vec<(Name, Value)>);

// === impl Attributes ===

impl Attributes {
    /// No attributes.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets an attribute: in its place when there is one of that name, else at the end.
    pub fn set(&mut self, name: impl Into<Name>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
    }

    /// [`Self::set`] for building.
    #[must_use]
    pub fn with(mut self, name: impl Into<Name>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Keeps the attributes that the predicate holds for.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.0.retain(|(n, v)| keep(n, v));
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The text of an attribute that has one.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// As [`Self::text`], as a copy.
    #[must_use]
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A copy of the text of an attribute; empty when it has none.
    #[must_use]
    pub fn string(&self, name: &str) -> String {
        self.owned(name).unwrap_or_default()
    }

    /// The number in an attribute that has one.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    /// A count; zero when there is none.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.number(name).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }

    /// A time in seconds; zero when there is none.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.count(name))
    }

    /// The truth value of an attribute; absent is false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The attributes in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(n, v)| (n.as_ref(), v))
    }

    /// The attributes as an AMQP map.
    #[must_use]
    pub fn into_map(self) -> Map {
        Map(self.0.into_iter().map(|(n, v)| (Value::String(n.into_owned()), v)).collect())
    }
}

impl FromIterator<(Name, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(entries: I) -> Self {
        let mut attributes = Self::new();
        for (name, value) in entries {
            attributes.set(name, value);
        }
        attributes
    }
}

impl IntoIterator for Attributes {
    type Item = (Name, Value);
    type IntoIter = std::vec::IntoIter<(Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_takes_the_place_of_the_first() {
        let attributes = Attributes::new().with("a", 1).with("b", 2).with("a", 3);
        let shown: Vec<_> = attributes.iter().map(|(name, value)| (name, value.as_i64())).collect();
        assert_eq!(shown, [("a", Some(3)), ("b", Some(2))]);
    }

    #[test]
    fn what_is_not_there_or_of_another_kind_counts_as_nothing() {
        let attributes = Attributes::new().with("n", -1).with("t", "x").with("s", 3).with("f", true);
        assert_eq!((attributes.count("n"), attributes.count("t"), attributes.count("none")), (0, 0, 0));
        assert_eq!((attributes.seconds("s"), attributes.seconds("n")), (Duration::from_secs(3), Duration::ZERO));
        assert_eq!((attributes.string("t").as_str(), attributes.string("s").as_str()), ("x", ""));
        assert_eq!((attributes.flag("f"), attributes.flag("t"), attributes.owned("f")), (true, false, None));
    }
}
