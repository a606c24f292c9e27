//! The environment variables of the process, and the references to them in configurations.

use management::config::env::expand;
use std::collections::BTreeMap;

/// Environment variables. Empty ones count as not set, as they do for shells that test for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(BTreeMap<String, String>);

// === impl Environment ===

impl Environment {
    /// Those of the process, as far as they are text.
    pub(super) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    #[cfg(test)]
    pub(super) fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// A variable that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The text with the values of the variables that it refers to.
    pub(super) fn expand(&self, text: &str) -> String {
        expand(text, |name| self.0.get(name).cloned())
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_are_not_set_but_have_a_value() {
        let environment = Environment::of([("HOSTNAME", "pod-1"), ("EMPTY", "")]);
        assert_eq!((environment.get("HOSTNAME"), environment.get("EMPTY")), (Some("pod-1"), None));
        assert_eq!(environment.expand("[$EMPTY] ${HOSTNAME} $NOTHING"), "[] pod-1 $NOTHING");
    }
}
