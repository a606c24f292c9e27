//! SASL configuration as existing deployments have it: a Cyrus configuration file and a sasldb of
//! users (spec `security-and-policy.md` 7.3, 7.4), read without the Cyrus library.

mod cyrus;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod sasldb;

pub use sasldb::SaslDb;

use crate::amqp::Authenticator;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::port::PlainCredentials;
use std::path::Path;

/// Mechanisms that this router can do as a server.
const KNOWN: [&str; 3] = ["EXTERNAL", "PLAIN", "ANONYMOUS"];

/// What a Cyrus configuration file says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslConfig {
    /// `mech_list`: the only mechanisms to offer, in this order.
    mechanisms: Option<Vec<String>>,
    /// `sasldb_path`.
    database: String,
}

// === impl SaslConfig ===

impl SaslConfig {
    /// Reads `<name>.conf` from the configured directory, or from where the library would look.
    /// A missing file is not an error: the library's defaults hold then.
    #[must_use]
    pub fn load(directory: Option<&str>, name: &str) -> Self {
        let from_environment = std::env::var("PN_SASL_CONFIG_PATH").ok();
        let directories: Vec<&str> = match directory.or(from_environment.as_deref()) {
            Some(list) => list.split(':').collect(),
            None => vec!["/etc/sasl2", "/usr/lib/sasl2"],
        };
        let read = |directory: &&str| {
            let path = Path::new(directory).join(format!("{name}.conf"));
            Some((std::fs::read_to_string(&path).ok()?, path))
        };
        let Some((text, path)) = directories.iter().find_map(read) else { return Self::parse("").0 };
        let (config, fault) = Self::parse(&text);
        if let Some(fault) = fault {
            log!(LogModule::Server, Level::Warning, "SASL configuration {}: {fault}", path.display());
        }
        config
    }

    /// What a text says, and what is wrong with it. Keys are of any case, and the first of equal ones holds, as the
    /// library has it.
    fn parse(text: &str) -> (Self, Option<cyrus::Fault>) {
        let (options, fault) = cyrus::options(text);
        let value = |key: &str| options.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| *value);
        for (key, supported) in [("pwcheck_method", "auxprop"), ("auxprop_plugin", "sasldb")] {
            if let Some(other) = value(key).filter(|value| *value != supported) {
                log!(LogModule::Server, Level::Warning, "SASL configuration: {key} '{other}' is not supported");
            }
        }
        let words = |list: &str| list.split_whitespace().map(str::to_ascii_uppercase).collect();
        let mechanisms = value("mech_list").map(words);
        (Self { mechanisms, database: value("sasldb_path").unwrap_or("/etc/sasldb2").to_owned() }, fault)
    }

    /// The mechanisms for a listener, in order: those of the configuration that the router knows and
    /// that the listener's own list, if there is one, has too.
    #[must_use]
    pub fn mechanisms(&self, listed: Option<&[String]>) -> Vec<String> {
        let admitted = |name: &str| listed.is_none_or(|list| list.iter().any(|m| m.eq_ignore_ascii_case(name)));
        let configured: Vec<&str> = match &self.mechanisms {
            Some(list) => list.iter().map(String::as_str).collect(),
            None => KNOWN.to_vec(),
        };
        configured.into_iter().filter(|m| KNOWN.contains(m) && admitted(m)).map(str::to_owned).collect()
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> SaslDb {
        SaslDb::new(&self.database)
    }
}

impl Authenticator for SaslDb {
    fn check(&self, credentials: &PlainCredentials) -> bool {
        let (user, realm) = match credentials.username.rsplit_once('@') {
            Some((user, realm)) => (user, realm.to_owned()),
            None => (credentials.username.as_str(), host_name()),
        };
        match self.password(user, &realm) {
            Some(password) => !password.is_empty() && equal(&password, credentials.password.as_bytes()),
            None => false,
        }
    }
}

/// Compares in time that does not depend on where the difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration() {
        let text = "# comment\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: users.db\n\
                    Mech_List: ANONYMOUS DIGEST-MD5 EXTERNAL PLAIN\nsql_select: dummy\nmech_list: GSSAPI\n";
        let (config, fault) = SaslConfig::parse(text);
        assert_eq!(fault, None);
        assert_eq!(config.database, "users.db");
        assert_eq!(config.mechanisms(None), ["ANONYMOUS", "EXTERNAL", "PLAIN"]);
        let listed = ["plain".to_owned(), "ANONYMOUS".to_owned()];
        assert_eq!(config.mechanisms(Some(&listed)), ["ANONYMOUS", "PLAIN"]);
        assert_eq!(SaslConfig::parse("").0.mechanisms(None), KNOWN);
        assert_eq!(SaslConfig::load(Some("/no/such"), "x").database, "/etc/sasldb2");
    }
}
