//! SASL configuration as existing deployments have it: a Cyrus configuration file and a sasldb of
//! users (spec `security-and-policy.md` 7.3, 7.4), read without the Cyrus library.

mod cyrus;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod sasldb;
mod scram;

pub use exchange::{Exchange, Login};
pub use sasldb::SaslDb;

use crate::amqp::Authenticator;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::port::{Mechanism, PlainCredentials};
use scram::{Hash, ScramServer, equal};
use std::path::Path;
use zeroize::Zeroizing;

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
        let known = |name: &String| Mechanism::parse(name);
        let configured: Vec<Mechanism> = match &self.mechanisms {
            Some(list) => list.iter().filter_map(known).collect(),
            None => Mechanism::ALL.to_vec(),
        };
        configured.into_iter().map(Mechanism::name).filter(|name| admitted(name)).map(str::to_owned).collect()
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> SaslDb {
        SaslDb::new(&self.database)
    }
}

impl Authenticator for SaslDb {
    fn check(&self, credentials: &PlainCredentials) -> bool {
        match self.password_of(&credentials.username) {
            Some(password) => !password.is_empty() && equal(&password, credentials.password.expose().as_bytes()),
            None => false,
        }
    }

    fn begin(&self, mechanism: Mechanism) -> Option<Box<dyn Exchange>> {
        let users = self.clone();
        let passwords = Box::new(move |name: &str| users.password_of(name));
        Some(Box::new(ScramServer::new(Hash::of(mechanism)?, passwords)))
    }
}

impl SaslDb {
    /// The password of who is called `user@realm`, or `user` in the realm of this host.
    fn password_of(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (user, realm) = match name.rsplit_once('@') {
            Some((user, realm)) => (user, realm.to_owned()),
            None => (name, host_name()),
        };
        self.password(user, &realm)
    }
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
        assert_eq!(SaslConfig::parse("").0.mechanisms(None), Mechanism::ALL.map(Mechanism::name));
        assert_eq!(SaslConfig::load(Some("/no/such"), "x").database, "/etc/sasldb2");
    }
}
