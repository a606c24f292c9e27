//! The kinds of resources, and what they say.

use crate::fields::{Complaints, Fields};
use crate::yaml::{Node, Value, shown};
use router_engine::log::LogModule;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// The group and version of Skupper's resources.
pub(crate) const VERSION: &str = "skupper.io/v2alpha1";

/// The kind of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The site itself.
    Site,
    /// A place where links come in.
    RouterAccess,
    /// A link to another site.
    Link,
    /// Where clients connect to.
    Listener,
    /// One with several routing keys.
    MultiKeyListener,
    /// A server of this site.
    Connector,
    /// A certificate to be made.
    Certificate,
    /// Credentials.
    Secret,
    /// Issues tokens: what the controller does.
    AccessGrant,
    /// To be redeemed: what the controller does.
    AccessToken,
    /// Of another Kubernetes namespace.
    AttachedConnector,
    /// Of another Kubernetes namespace.
    AttachedConnectorBinding,
    /// Exposed by Kubernetes.
    SecuredAccess,
}

/// What tells a resource from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// A resource that is as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) key: Key,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) spec: Spec,
    /// The same as it was written, where it may be shown.
    pub(crate) shown: Option<serde_json::Value>,
}

/// What a resource asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spec {
    Site(Site),
    RouterAccess(RouterAccess),
    Link(Link),
    Listener(Listener),
    MultiKeyListener(MultiKeyListener),
    Connector(Connector),
    Certificate(Certificate),
    Secret(BTreeMap<String, Vec<u8>>),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Site {
    pub(crate) link_access: bool,
    /// Why the link access that is asked for cannot be given.
    pub(crate) refused_access: Option<String>,
    pub(crate) default_issuer: Option<String>,
    pub(crate) edge: bool,
    pub(crate) logging: Vec<(String, String)>,
    pub(crate) data_connections: Option<String>,
}

/// A role of a [`RouterAccess`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    InterRouter,
    Edge,
    Normal,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RouterAccess {
    pub(crate) roles: Vec<(Role, u16)>,
    pub(crate) tls_credentials: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) bind_host: Option<String>,
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) tls_credentials: String,
    pub(crate) cost: u32,
}

/// Where clients connect to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Socket {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls_credentials: Option<String>,
    pub(crate) observer: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listener {
    pub(crate) routing_key: String,
    pub(crate) socket: Socket,
    pub(crate) require_client_cert: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MultiKeyListener {
    pub(crate) socket: Socket,
    pub(crate) require_client_cert: bool,
    pub(crate) strategy: &'static str,
    /// Routing keys and their weights, or how they come before others.
    pub(crate) keys: Vec<(String, u32)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Connector {
    pub(crate) routing_key: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls_credentials: Option<String>,
    pub(crate) use_client_cert: bool,
    pub(crate) verify_hostname: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) ca: Option<String>,
    pub(crate) subject: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) signing: bool,
}

/// What a document holds.
pub(crate) enum Found {
    /// Nothing, or nothing that concerns a site.
    Nothing,
    /// A resource that is as it should be.
    Sound(Box<Resource>),
    /// A resource with something wrong, and what.
    Faulty(Key, String),
    /// Something with no kind or name to go by, and why.
    Unknown(String),
    /// Several.
    List(Vec<Self>),
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 13] = [
        Self::Site,
        Self::RouterAccess,
        Self::Link,
        Self::Listener,
        Self::MultiKeyListener,
        Self::Connector,
        Self::Certificate,
        Self::Secret,
        Self::AccessGrant,
        Self::AccessToken,
        Self::AttachedConnector,
        Self::AttachedConnectorBinding,
        Self::SecuredAccess,
    ];

    /// As documents have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Site => "Site",
            Self::RouterAccess => "RouterAccess",
            Self::Link => "Link",
            Self::Listener => "Listener",
            Self::MultiKeyListener => "MultiKeyListener",
            Self::Connector => "Connector",
            Self::Certificate => "Certificate",
            Self::Secret => "Secret",
            Self::AccessGrant => "AccessGrant",
            Self::AccessToken => "AccessToken",
            Self::AttachedConnector => "AttachedConnector",
            Self::AttachedConnectorBinding => "AttachedConnectorBinding",
            Self::SecuredAccess => "SecuredAccess",
        }
    }

    pub(crate) const fn api_version(self) -> &'static str {
        if matches!(self, Self::Secret) { "v1" } else { VERSION }
    }

    /// Why a router alone cannot do what a resource of this kind asks for.
    const fn refusal(self) -> Option<&'static str> {
        Some(match self {
            Self::AccessGrant => {
                "tokens are issued by the Skupper controller; hand out a file of runtime/links instead"
            }
            Self::AccessToken => "tokens are redeemed by the Skupper controller; use a Link and its Secret instead",
            Self::AttachedConnector | Self::AttachedConnectorBinding => {
                "connectors of other namespaces need Kubernetes; use a Connector with a host"
            }
            Self::SecuredAccess => "exposing ports needs Kubernetes; use a RouterAccess",
            _ => return None,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}

// === impl Role ===

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InterRouter => "inter-router",
            Self::Edge => "edge",
            Self::Normal => "normal",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::InterRouter => 55671,
            Self::Edge => 45671,
            Self::Normal => 5671,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::InterRouter, Self::Edge, Self::Normal].into_iter().find(|role| role.name() == text)
    }
}

/// Reads a document.
pub(crate) fn read(document: &Node, complaints: &mut Complaints) -> Found {
    if document.value == Value::Null {
        return Found::Nothing;
    }
    let known = complaints.findings.len();
    if !matches!(document.value, Value::Map(_)) {
        complaints.problem(document.line, "this is no resource");
        return Found::Unknown(complaints.problems(known));
    }
    let mut fields = Fields::of(document, "", complaints);
    let version_line = fields.line_of("apiVersion");
    let version = fields.required("apiVersion", complaints);
    let kind_line = fields.line_of("kind");
    let kind = fields.required("kind", complaints);
    if version == "v1" && kind == "List" {
        let items = fields.list("items", complaints).iter();
        return Found::List(items.map(|item| read(item, complaints)).collect());
    }
    let is_misspelt = Kind::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(&kind));
    if !version.is_empty() && !version.starts_with("skupper.io/") && !kind.is_empty() && !is_misspelt {
        let (kind, version) = (shown(&kind), shown(&version));
        complaints.note(kind_line, format!("a {kind} of {version} does not concern sites, and is not heeded"));
        return Found::Nothing;
    }
    let Some(kind) = Kind::ALL.into_iter().find(|known| known.name() == kind) else {
        if !kind.is_empty() {
            complaints.problem(kind_line, format!("resources of kind '{}' are not known", shown(&kind)));
        }
        return Found::Unknown(complaints.problems(known));
    };
    if version != kind.api_version() && !version.is_empty() {
        let (text, expected) = (shown(&version), kind.api_version());
        complaints
            .problem(version_line, format!("a {} of apiVersion '{text}' is not known: write {expected}", kind.name()));
    }
    let mut metadata = fields.map("metadata", complaints);
    let name_line = metadata.line_of("name");
    let name = metadata.required("name", complaints);
    if !is_name(&name) {
        if !name.is_empty() {
            let text = "is to be of lower case letters, digits and '-', with no '-' at its ends";
            complaints.problem(name_line, format!("metadata.name '{}' {text}, and not too long", shown(&name)));
        }
        // Files are called after resources: nothing goes by such a name.
        return Found::Unknown(complaints.problems(known));
    }
    let namespace = metadata.text("namespace", complaints).filter(|namespace| !namespace.is_empty());
    if namespace.as_deref().is_some_and(|namespace| !is_name(namespace)) {
        complaints.problem(metadata.line, "metadata.namespace is no name");
    }
    let uid_line = metadata.line_of("uid");
    let uid = metadata.text("uid", complaints).filter(|uid| !uid.is_empty());
    if uid.as_ref().is_some_and(|uid| !is_name(&uid.to_ascii_lowercase())) {
        complaints.problem(uid_line, "metadata.uid is to be of letters, digits and '-'");
    }
    let key = Key { kind, name };
    if let Some(refusal) = kind.refusal() {
        complaints.problem(kind_line, refusal);
        return Found::Faulty(key, complaints.problems(known));
    }
    let shown = fields.json("spec").filter(|_| kind != Kind::Secret);
    let spec = read_spec(kind, &mut fields, complaints);
    fields.skip(&["status"]);
    fields.finish(complaints);
    if complaints.findings[known..].iter().any(|finding| finding.is_problem) {
        return Found::Faulty(key, complaints.problems(known));
    }
    let file = complaints.file.clone();
    Found::Sound(Box::new(Resource { key, file, line: document.line, namespace, uid, spec, shown }))
}

/// Characters of the longest name. With what is put before and behind it, it is the name of a file, which may have 255.
const MAX_NAME: usize = 200;

/// A label of RFC 1123, save for its length.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= MAX_NAME
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A name of a credential: that of a folder, too. Dots may be in those of Kubernetes.
fn is_credential(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(is_name)
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.chars().all(fits) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.parse::<IpAddr>().is_ok() || text.len() <= 253 && text.split('.').all(label)
}

fn read_spec(kind: Kind, fields: &mut Fields<'_>, complaints: &mut Complaints) -> Spec {
    if kind == Kind::Secret {
        return Spec::Secret(secret(fields, complaints));
    }
    let mut spec = fields.map("spec", complaints);
    let read = match kind {
        Kind::Site => Spec::Site(site(&mut spec, complaints)),
        Kind::RouterAccess => Spec::RouterAccess(router_access(&mut spec, complaints)),
        Kind::Link => Spec::Link(link(&mut spec, complaints)),
        Kind::Listener => Spec::Listener(listener(&mut spec, complaints)),
        Kind::MultiKeyListener => Spec::MultiKeyListener(multi_key_listener(&mut spec, complaints)),
        Kind::Connector => Spec::Connector(connector(&mut spec, complaints)),
        _ => Spec::Certificate(certificate(&mut spec, complaints)),
    };
    spec.finish(complaints);
    read
}

fn secret(fields: &mut Fields<'_>, complaints: &mut Complaints) -> BTreeMap<String, Vec<u8>> {
    fields.skip(&["type", "immutable"]);
    let mut files = fields.map("data", complaints).all_octets(complaints);
    let texts = fields.map("stringData", complaints).all_texts(complaints);
    files.extend(texts.into_iter().map(|(name, text)| (name, text.into_bytes())));
    files
}

fn host(spec: &mut Fields<'_>, name: &str, complaints: &mut Complaints) -> String {
    let (line, known) = (spec.line_of(name), complaints.findings.len());
    let host = spec.required(name, complaints);
    if !is_host(&host) && complaints.findings.len() == known {
        let text = format!("{} '{}' is neither an address nor a host name", spec.named(name), shown(&host));
        complaints.problem(line, text);
    }
    host
}

fn credentials(spec: &mut Fields<'_>, name: &str, complaints: &mut Complaints) -> Option<String> {
    let line = spec.line_of(name);
    let credential = spec.text(name, complaints).filter(|text| !text.is_empty())?;
    if !is_credential(&credential) {
        complaints.problem(line, format!("{} '{}' is no name", spec.named(name), shown(&credential)));
    }
    Some(credential)
}

fn site(spec: &mut Fields<'_>, complaints: &mut Complaints) -> Site {
    let access = spec.text("linkAccess", complaints).unwrap_or_default();
    let refused_access = (!matches!(&*access, "" | "none" | "default")).then(|| {
        let text = "needs Kubernetes: write 'default', or add a RouterAccess";
        format!("linkAccess '{}' {text}", shown(&access))
    });
    let ha_line = spec.line_of("ha");
    let ha = spec.flag("ha", complaints);
    let edge = spec.flag("edge", complaints);
    match (ha, edge) {
        (true, true) => complaints.problem(ha_line, "an edge site cannot have ha"),
        (true, false) => complaints.note(ha_line, "ha needs Kubernetes: there is one router here"),
        _ => {}
    }
    let default_issuer = credentials(spec, "defaultIssuer", complaints);
    spec.skip(&["serviceAccount"]);
    let line = spec.line_of("settings");
    let mut settings = spec.map("settings", complaints).all_texts(complaints);
    let mut setting = |names: [&str; 2]| names.into_iter().filter_map(|name| settings.remove(name)).next();
    let logging = setting(["router-logging", "routerLogging"]).unwrap_or_default();
    let data_connections = setting(["router-data-connection-count", "routerDataConnections"]);
    if data_connections.as_deref().is_some_and(|count| count != "auto" && count.parse::<u16>().is_err()) {
        complaints.problem(line, "the setting of data connections is no number");
    }
    unknown_settings(settings, line, complaints);
    let logging = log_levels(&logging, line, complaints);
    Site { link_access: access == "default", refused_access, default_issuer, edge, logging, data_connections }
}

/// Modules and levels of a text such as `info` or `ROUTER_CORE:debug,error`.
fn log_levels(text: &str, line: usize, complaints: &mut Complaints) -> Vec<(String, String)> {
    let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"];
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (module, level) = part.split_once(':').unwrap_or(("DEFAULT", part));
        let plain = level.trim_end_matches('+');
        if !levels.contains(&plain) || !LogModule::ALL.iter().any(|known| known.name() == module) {
            complaints.problem(line, format!("the setting of logs '{}' is not known", shown(part)));
        }
        found.push((module.to_owned(), format!("{plain}+")));
    }
    found
}

fn unknown_settings(settings: BTreeMap<String, String>, line: usize, complaints: &mut Complaints) {
    for name in settings.into_keys() {
        complaints.note(line, format!("the setting '{}' is not known and not heeded", shown(&name)));
    }
}

fn router_access(spec: &mut Fields<'_>, complaints: &mut Complaints) -> RouterAccess {
    let line = spec.line_of("accessType");
    let access = spec.text("accessType", complaints).filter(|access| !access.is_empty());
    if let Some(access) = access.filter(|access| !["local", "default", "none"].contains(&access.as_str())) {
        complaints.problem(line, format!("accessType '{}' needs Kubernetes: leave it out", shown(&access)));
    }
    let roles_line = spec.line_of("roles");
    let mut roles = Vec::new();
    for item in spec.list("roles", complaints) {
        let mut role = Fields::of(item, "spec.roles", complaints);
        let line = role.line_of("name");
        let name = role.required("name", complaints);
        let port = role.number("port", 1..=65535, complaints).and_then(|port| u16::try_from(port).ok());
        role.finish(complaints);
        match Role::parse(&name) {
            Some(known) => roles.push((known, port.unwrap_or(known.default_port()))),
            None if name.is_empty() => {}
            None => complaints.problem(line, format!("role '{}' is none of: inter-router, edge, normal", shown(&name))),
        }
    }
    if roles.is_empty() {
        complaints.problem(roles_line, "spec.roles is missing");
    }
    let line = spec.line_of("bindHost");
    let bind_host = spec.text("bindHost", complaints).filter(|host| !host.is_empty());
    if bind_host.as_deref().is_some_and(|host| !is_host(host)) {
        complaints.problem(line, "spec.bindHost is neither an address nor a host name");
    }
    let line = spec.line_of("subjectAlternativeNames");
    let names = spec.texts("subjectAlternativeNames", complaints);
    for name in names.iter().filter(|name| !is_host(name.trim_start_matches("*."))) {
        complaints.problem(line, format!("'{}' is neither an address nor a host name", shown(name)));
    }
    spec.skip(&["generateTlsCredentials", "settings"]);
    RouterAccess {
        roles,
        tls_credentials: credentials(spec, "tlsCredentials", complaints),
        issuer: credentials(spec, "issuer", complaints),
        bind_host,
        names,
    }
}

fn link(spec: &mut Fields<'_>, complaints: &mut Complaints) -> Link {
    let line = spec.line_of("endpoints");
    let mut endpoints = Vec::new();
    for item in spec.list("endpoints", complaints) {
        let mut endpoint = Fields::of(item, "spec.endpoints", complaints);
        let name = endpoint.required("name", complaints);
        let host = host(&mut endpoint, "host", complaints);
        let port_line = endpoint.line_of("port");
        let port = endpoint.required("port", complaints);
        if !port.is_empty() && !port.parse::<u16>().is_ok_and(|port| port != 0) {
            complaints.problem(port_line, format!("spec.endpoints.port '{}' is no port", shown(&port)));
        }
        endpoint.skip(&["group"]);
        endpoint.finish(complaints);
        endpoints.push(Endpoint { name, host, port });
    }
    if endpoints.is_empty() {
        complaints.problem(line, "spec.endpoints is missing");
    }
    let line = spec.line_of("tlsCredentials");
    let tls_credentials = credentials(spec, "tlsCredentials", complaints);
    if tls_credentials.is_none() {
        complaints.problem(line, "spec.tlsCredentials is missing: links are always secured");
    }
    let cost = spec.number("cost", 0..=i32::MAX.unsigned_abs(), complaints).unwrap_or(1).max(1);
    let line = spec.line_of("settings");
    let mut settings = spec.map("settings", complaints).all_texts(complaints);
    if settings.remove("proxy-configuration").is_some_and(|proxy| !proxy.is_empty()) {
        complaints.problem(line, "links through a proxy need the Skupper controller");
    }
    Link { endpoints, tls_credentials: tls_credentials.unwrap_or_default(), cost }
}

fn socket(spec: &mut Fields<'_>, complaints: &mut Complaints) -> Socket {
    const OBSERVERS: [&str; 4] = ["auto", "none", "http1", "http2"];
    let host = host(spec, "host", complaints);
    let port = spec.port("port", complaints);
    let tls_credentials = credentials(spec, "tlsCredentials", complaints);
    let own = spec.word("observer", &OBSERVERS, complaints);
    let line = spec.line_of("settings");
    let mut settings = spec.map("settings", complaints);
    let observer = settings.word("observer", &OBSERVERS, complaints);
    unknown_settings(settings.all_texts(complaints), line, complaints);
    Socket { host, port, tls_credentials, observer: own.or(observer) }
}

fn is_tcp(spec: &mut Fields<'_>, complaints: &mut Complaints) {
    let line = spec.line_of("type");
    let kind = spec.text("type", complaints).unwrap_or_default();
    if !matches!(&*kind, "" | "tcp") {
        complaints.problem(line, format!("type '{}' is not known: write tcp", shown(&kind)));
    }
}

/// Members that say something of pods.
fn of_pods(spec: &mut Fields<'_>, names: &[&str], complaints: &mut Complaints) {
    for name in names {
        let line = spec.line_of(name);
        if spec.flag(name, complaints) {
            complaints.note(line, format!("{} needs Kubernetes, and is not heeded", spec.named(name)));
        }
    }
}

fn listener(spec: &mut Fields<'_>, complaints: &mut Complaints) -> Listener {
    is_tcp(spec, complaints);
    of_pods(spec, &["exposePodsByName"], complaints);
    Listener {
        routing_key: spec.required("routingKey", complaints),
        socket: socket(spec, complaints),
        require_client_cert: require_client_cert(spec, complaints),
    }
}

fn require_client_cert(spec: &mut Fields<'_>, complaints: &mut Complaints) -> bool {
    spec.flag("requireClientCert", complaints)
}

fn multi_key_listener(spec: &mut Fields<'_>, complaints: &mut Complaints) -> MultiKeyListener {
    let line = spec.line_of("strategy");
    let mut strategy = spec.map("strategy", complaints);
    let mut priority = strategy.map("priority", complaints);
    let ordered = priority.texts("routingKeys", complaints);
    let mut weighted = strategy.map("weighted", complaints);
    let weighed = weighted.map("routingKeys", complaints).all_numbers(&(1..=1_000_000), complaints);
    for rest in [priority, weighted, strategy] {
        rest.finish(complaints);
    }
    let (strategy, keys) = match (ordered.is_empty(), weighed.is_empty()) {
        (false, true) => {
            let last = u32::try_from(ordered.len()).unwrap_or(u32::MAX);
            ("priority", ordered.into_iter().zip((0..last).rev()).collect())
        }
        (true, false) => ("weighted", weighed),
        _ => {
            complaints.problem(line, "spec.strategy is to have routingKeys in one of priority and weighted");
            ("priority", Vec::new())
        }
    };
    if keys.iter().any(|(key, _)| key.is_empty()) {
        complaints.problem(line, "a routing key in spec.strategy is empty");
    }
    MultiKeyListener {
        socket: socket(spec, complaints),
        require_client_cert: require_client_cert(spec, complaints),
        strategy,
        keys,
    }
}

fn connector(spec: &mut Fields<'_>, complaints: &mut Complaints) -> Connector {
    is_tcp(spec, complaints);
    of_pods(spec, &["exposePodsByName", "includeNotReadyPods"], complaints);
    let line = spec.line_of("selector");
    let selector = spec.text("selector", complaints).filter(|selector| !selector.is_empty());
    let host = match (spec.has("host"), selector) {
        (false, Some(_)) => {
            complaints.problem(line, "spec.selector needs Kubernetes: write the host of the server");
            String::new()
        }
        (has_host, selector) => {
            if has_host && selector.is_some() {
                complaints.note(line, "spec.selector needs Kubernetes: the host is used");
            }
            host(spec, "host", complaints)
        }
    };
    let line = spec.line_of("settings");
    let settings = spec.map("settings", complaints).all_texts(complaints);
    unknown_settings(settings, line, complaints);
    Connector {
        routing_key: spec.required("routingKey", complaints),
        host,
        port: spec.port("port", complaints),
        tls_credentials: credentials(spec, "tlsCredentials", complaints),
        use_client_cert: spec.flag("useClientCert", complaints),
        verify_hostname: spec.flag("verifyHostname", complaints),
    }
}

fn certificate(spec: &mut Fields<'_>, complaints: &mut Complaints) -> Certificate {
    let line = spec.line;
    spec.skip(&["settings"]);
    let certificate = Certificate {
        ca: credentials(spec, "ca", complaints),
        subject: spec.required("subject", complaints),
        hosts: spec.texts("hosts", complaints),
        client: spec.flag("client", complaints),
        server: spec.flag("server", complaints),
        signing: spec.flag("signing", complaints),
    };
    let Certificate { ca, client, server, signing, .. } = &certificate;
    if !(*client || *server || *signing) {
        complaints.problem(line, "a Certificate is to be for a client or a server, or for signing");
    }
    if ca.is_none() && !signing {
        complaints.problem(line, "spec.ca is missing");
    }
    certificate
}
