//! Router configuration text.

use std::fmt::Write as _;
use std::path::Path;

use super::Certificates;

/// Name of the TLS profile that [`RouterConfig::tls_profile`] writes.
pub(crate) const TLS_PROFILE: &str = "mesh";

/// A configuration file in the making.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    id: String,
    text: String,
    listeners: Vec<String>,
}

// === impl RouterConfig ===

impl RouterConfig {
    /// Configuration of an interior router.
    pub fn interior(id: &str) -> Self {
        Self::new("interior", id)
    }

    /// Configuration of a router without inter-router connections.
    pub fn standalone(id: &str) -> Self {
        Self::new("standalone", id)
    }

    /// Configuration of an edge router.
    pub fn edge(id: &str) -> Self {
        Self::new("edge", id)
    }

    /// Configuration of an interior router with that many data connections beside each of its connectors to routers.
    pub fn trunking(id: &str, data_connections: &str) -> Self {
        Self::with(id, &[("mode", "interior"), ("id", id), ("dataConnectionCount", data_connections)])
    }

    fn new(mode: &str, id: &str) -> Self {
        Self::with(id, &[("mode", mode), ("id", id)])
    }

    /// Configuration of a router with these attributes.
    pub fn with(id: &str, router: &[(&str, &str)]) -> Self {
        let empty = Self { id: id.to_owned(), text: String::new(), listeners: Vec::new() };
        empty.section("router", router)
    }

    /// Adds a section with the given attributes.
    #[must_use]
    pub fn section(mut self, kind: &str, attributes: &[(&str, &str)]) -> Self {
        let _ = writeln!(self.text, "{kind} {{");
        for (name, value) in attributes {
            let _ = writeln!(self.text, "    {name}: {value}");
        }
        let _ = writeln!(self.text, "}}");
        let speaks_http = attributes.iter().any(|(name, _)| name.starts_with("http"));
        if kind == "listener" && !speaks_http {
            let value = |wanted| attributes.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
            self.listeners.push(format!("{}:{}", value("host"), value("port")));
        }
        self
    }

    /// Adds log settings for the hunt after a failure: `INTEROP_ROUTER_LOG=PROTOCOL=debug+,ROUTER_CORE=debug+`.
    #[must_use]
    pub fn with_wanted_logs(self) -> Self {
        let text = std::env::var("INTEROP_ROUTER_LOG").unwrap_or_default();
        let settings = text.split(',').filter_map(|setting| setting.split_once('='));
        settings.fold(self, |config, (module, enable)| config.section("log", &[("module", module), ("enable", enable)]))
    }

    /// Adds the TLS profile of the mesh.
    #[must_use]
    pub fn tls_profile(self, files: &Certificates) -> Self {
        let path = |path: &Path| path.display().to_string();
        let (ca, certificate, key) = (path(&files.ca), path(&files.certificate), path(&files.key));
        let password = files.password.as_ref().map(|password| format!("pass:{password}"));
        let mut attributes =
            vec![("name", TLS_PROFILE), ("caCertFile", &ca), ("certFile", &certificate), ("privateKeyFile", &key)];
        attributes.extend(password.as_deref().map(|password| ("password", password)));
        self.section("sslProfile", &attributes)
    }

    /// The router's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `host:port` of the AMQP listeners.
    pub fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// The file's content.
    pub fn text(&self) -> &str {
        &self.text
    }
}
