//! What a router has to do for the resources of a site: credentials, entities of its configuration, files for others.
//!
//! The names are those that Skupper gives (spec `skupper-controller-contract.md` section 4.2), so that its tools find
//! their way around, and a site that Skupper set up can be taken over.

use crate::folder::Folder;
use crate::resource::{self, Connector, Key, Kind, Link, MultiKeyListener, Role, RouterAccess, Site, Socket, Spec};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

const LOCAL: &str = "skupper-local";
const SITE_CA: &str = "skupper-site-ca";
const SERVICE_CA: &str = "skupper-service-ca";

/// What a plan has to know beside the resources.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The identity of the site.
    pub site_id: String,
    /// The id of the router.
    pub router_id: String,
    /// The namespace.
    pub namespace: String,
    /// The folder of the namespace.
    pub home: String,
    /// The version to be shown.
    pub version: String,
    /// Whether the router that runs already is an edge router: that cannot change while it does.
    pub is_edge: Option<bool>,
    /// The port for tools of this host.
    pub local_port: u16,
    /// The ports where links of routers and of edge routers come in, when the site asks for them itself.
    pub link_ports: (u16, u16),
    /// For certificates that do not say for whom they are.
    pub names: Vec<String>,
    /// Folders in `input/certs`, and their files.
    pub certs: BTreeMap<String, BTreeSet<String>>,
    /// Folders in `runtime/certs`, and their files: what was brought or made before.
    pub used: BTreeMap<String, BTreeSet<String>>,
    /// Folders in `input/issuers`.
    pub issuers: BTreeSet<String>,
}

/// Where files of credentials come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A folder that the user has put in place, by its name.
    Brought(String),
    /// A Secret.
    Secret(BTreeMap<String, Vec<u8>>),
    /// They are made here.
    Made(Certificate),
}

/// A certificate that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// Who signs it; it signs itself where there is nobody.
    pub ca: Option<String>,
    /// Its common name.
    pub subject: String,
    /// Names and addresses that it is for.
    pub hosts: Vec<String>,
    /// It identifies servers.
    pub server: bool,
    /// It identifies clients.
    pub client: bool,
}

/// A certificate authority in `runtime/issuers`.
#[derive(Debug, Clone, PartialEq)]
pub struct Issuer {
    /// Where it comes from.
    pub origin: Origin,
    /// Who asks for it.
    pub owner: Option<Key>,
}

/// A folder in `runtime/certs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// The name that resources have for them.
    pub name: String,
    /// Where its files come from.
    pub origin: Origin,
    /// Only whom to trust is of interest.
    pub ca_only: bool,
    /// Who asks for it.
    pub owners: BTreeSet<Key>,
}

/// An entity of the router's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The type.
    pub ty: &'static str,
    /// The attributes.
    pub attributes: Map<String, Value>,
    /// Whose it is; none of what every site has.
    pub owner: Option<Key>,
    /// The folder in `runtime/certs` that it needs.
    pub credential: Option<String>,
}

/// A file for other sites, with a link to this one and the credentials for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Handout {
    /// Name of the file in `runtime/links`.
    pub file: String,
    /// Name of Link and Secret.
    pub name: String,
    /// The folder in `runtime/certs` with the credentials.
    pub credential: String,
    /// Where to connect to: role, host and port.
    pub endpoints: Vec<(&'static str, String, u16)>,
}

/// What is to be done for a site. See the module documentation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Authorities by the names of their folders.
    pub issuers: BTreeMap<String, Issuer>,
    /// Credentials by the names of their folders.
    pub credentials: BTreeMap<String, Credential>,
    /// In the order in which the router needs them.
    pub entities: Vec<Entity>,
    /// Files for other sites.
    pub handouts: Vec<Handout>,
    /// What cannot be done, and why. The resource is there, and is not applied.
    pub faults: BTreeMap<Key, String>,
    pub(crate) namespace: String,
    pub(crate) site_id: String,
    pub(crate) endpoints: BTreeMap<Key, Vec<(&'static str, String, u16)>>,
}

/// Makes a plan.
struct Planner<'a> {
    folder: &'a Folder,
    surroundings: &'a Surroundings,
    site: Site,
    plan: Plan,
    /// Sockets that are taken, and by whom.
    sockets: HashMap<(String, u16), Key>,
}

/// Attributes without those that say nothing.
fn attributes<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let says_something = |(_, value): &(&str, Value)| !matches!(value, Value::Null) && *value != json!("");
    members.into_iter().filter(says_something).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn is_unspecified(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

// === impl Plan ===

impl Plan {
    /// What the folder asks for. Without a site nothing is.
    #[must_use]
    pub fn new(folder: &Folder, surroundings: &Surroundings) -> Self {
        let Some((key, site)) = folder.site() else { return Self::default() };
        let (mut site, key) = (site.clone(), key.clone());
        let edge = surroundings.is_edge.unwrap_or(site.edge);
        let is_other = std::mem::replace(&mut site.edge, edge) != edge;
        let (namespace, site_id) = (surroundings.namespace.clone(), surroundings.site_id.clone());
        let plan = Self { namespace, site_id, ..Self::default() };
        let mut planner = Planner { folder, surroundings, site, plan, sockets: HashMap::new() };
        if is_other {
            planner.fault(&key, "whether it is an edge site takes effect when the site starts again");
        }
        planner.frame(&key);
        planner.certificates();
        planner.accesses(&key);
        planner.links();
        planner.services();
        planner.profiles();
        let rank = |entity: &Entity| ORDER.iter().position(|ty| *ty == entity.ty);
        planner.plan.entities.sort_by_key(rank);
        planner.plan
    }
}

/// Types in the order in which Skupper writes them: what others refer to comes first.
const ORDER: [&str; 10] = [
    "router",
    "sslProfile",
    "connector",
    "listener",
    "address",
    "tcpConnector",
    "tcpListener",
    "listenerAddress",
    "log",
    "site",
];

// === impl Planner ===

impl Planner<'_> {
    fn entity(&mut self, ty: &'static str, owner: Option<&Key>, credential: Option<&str>, a: Map<String, Value>) {
        let (owner, credential) = (owner.cloned(), credential.map(str::to_owned));
        self.plan.entities.push(Entity { ty, attributes: a, owner, credential });
    }

    fn fault(&mut self, key: &Key, text: impl Into<String>) {
        self.plan.faults.entry(key.clone()).or_insert_with(|| text.into());
    }

    /// What every site has.
    fn frame(&mut self, site: &Key) {
        let Surroundings { site_id, router_id, namespace, version, .. } = self.surroundings;
        let metadata = json!({"id": site_id, "version": version, "platform": "linux"}).to_string();
        let mode = if self.site.edge { "edge" } else { "interior" };
        let router = attributes([
            ("id", json!(router_id)),
            ("mode", json!(mode)),
            ("helloMaxAgeSeconds", json!("3")),
            ("dataConnectionCount", json!(self.site.data_connections)),
            ("metadata", json!(metadata)),
        ]);
        let record = attributes([
            ("name", json!(router_id)),
            ("platform", json!("linux")),
            ("namespace", json!(namespace)),
            ("version", json!(version)),
        ]);
        let mut levels = BTreeMap::from([("ROUTER_CORE".to_owned(), "error+".to_owned())]);
        levels.extend(self.site.logging.iter().cloned());
        self.entity("router", Some(site), None, router);
        let address = attributes([("prefix", json!("mc")), ("distribution", json!("multicast"))]);
        self.entity("address", None, None, address);
        for (module, level) in levels {
            let log = attributes([("module", json!(module)), ("enable", json!(level))]);
            self.entity("log", None, None, log);
        }
        self.entity("site", None, None, record);
    }

    // --- credentials

    fn secret(&self, name: &str) -> Option<&BTreeMap<String, Vec<u8>>> {
        let key = Key { kind: Kind::Secret, name: name.to_owned() };
        match &self.folder.resources.get(&key)?.spec {
            Spec::Secret(files) => Some(files),
            _ => None,
        }
    }

    /// Where the files of that name come from: the user's folder, a Secret, or `made`.
    fn origin(&self, name: &str, made: Option<Certificate>) -> Option<Origin> {
        if self.surroundings.certs.contains_key(name) {
            return Some(Origin::Brought(name.to_owned()));
        }
        let secret = self.secret(name).map(|files| Origin::Secret(files.clone()));
        secret.or(made.map(Origin::Made))
    }

    /// Adds a folder in `runtime/certs` for the credentials `name`. Whoever asks first says what they are made for. False:
    /// the folder is that of other credentials, which nobody is to use for these.
    fn credential(&mut self, folder: &str, name: &str, origin: Origin, ca_only: bool, owner: &Key) -> bool {
        let made = Credential { name: name.to_owned(), origin, ca_only, owners: BTreeSet::new() };
        let known = self.plan.credentials.entry(folder.to_owned()).or_insert(made);
        if known.name != name {
            let text =
                format!("the credentials {name} need another name: runtime/certs/{folder} is for {}", known.name);
            self.fault(owner, text);
            return false;
        }
        known.ca_only &= ca_only;
        known.owners.insert(owner.clone());
        true
    }

    fn issuer(&mut self, name: &str, owner: Option<&Key>) {
        let made =
            || Certificate { ca: None, subject: name.to_owned(), hosts: Vec::new(), server: false, client: false };
        let origin = match self.secret(name) {
            _ if self.surroundings.issuers.contains(name) => Origin::Brought(name.to_owned()),
            Some(files) => Origin::Secret(files.clone()),
            None => Origin::Made(made()),
        };
        let issuer = Issuer { origin, owner: owner.cloned() };
        self.plan.issuers.entry(name.to_owned()).or_insert(issuer);
    }

    /// Certificates that are asked for as such. They come first: what others ask for under their names is theirs.
    fn certificates(&mut self) {
        let folder = self.folder;
        for (key, resource) in &folder.resources {
            let Spec::Certificate(certificate) = &resource.spec else { continue };
            let resource::Certificate { ca, subject, hosts, client, server, signing } = certificate.clone();
            if signing {
                self.issuer(&key.name, Some(key));
                if let Some(Issuer { origin: Origin::Made(made), .. }) = self.plan.issuers.get_mut(&key.name) {
                    made.subject = subject;
                }
                continue;
            }
            let ca = ca.unwrap_or_else(|| SITE_CA.to_owned());
            self.issuer(&ca, None);
            let made = Certificate { ca: Some(ca), subject, hosts, client, server };
            if let Some(origin) = self.origin(&key.name, Some(made)) {
                self.credential(&key.name, &key.name, origin, false, key);
            }
        }
    }

    /// What is missing in a credential that is not made here.
    fn missing(&self, name: &str, files: &[&str]) -> Option<String> {
        let has = |file: &str| match (self.surroundings.certs.get(name), self.secret(name)) {
            (Some(found), _) => found.contains(file),
            (None, Some(found)) => found.contains_key(file),
            (None, None) => true,
        };
        let missing: Vec<&str> = files.iter().copied().filter(|file| !has(file)).collect();
        let place = if self.surroundings.certs.contains_key(name) { "the folder input/certs/" } else { "the Secret " };
        (!missing.is_empty()).then(|| format!("{place}{name} has no {}", missing.join(" and no ")))
    }

    /// Whether credentials lack files, and there are none from before that could stay in force.
    fn lacks(&mut self, key: &Key, (name, folder): (&str, &str), files: &[&str]) -> bool {
        let Some(text) = self.missing(name, files) else { return false };
        let stays = files.iter().all(|file| self.was_used(folder, file));
        let more = if stays { " (what was there before stays in force)" } else { "" };
        self.fault(key, text + more);
        !stays
    }

    fn was_used(&self, folder: &str, file: &str) -> bool {
        self.surroundings.used.get(folder).is_some_and(|files| files.contains(file))
    }

    /// The profiles of all credentials that entities need.
    fn profiles(&mut self) {
        let needed: BTreeSet<String> = self.plan.entities.iter().filter_map(|e| e.credential.clone()).collect();
        for name in needed {
            let Some(credential) = self.plan.credentials.get(&name).cloned() else { continue };
            let path = |file: &str| json!(format!("{}/runtime/certs/{name}/{file}", self.surroundings.home));
            let is_whole = credential.ca_only || self.missing(&credential.name, &["tls.crt", "tls.key"]).is_none();
            let has = |file: &str| match &credential.origin {
                Origin::Made(_) => true,
                _ if !is_whole => self.was_used(&name, file),
                Origin::Secret(files) => files.contains_key(file),
                Origin::Brought(folder) => self.surroundings.certs.get(folder).is_some_and(|f| f.contains(file)),
            };
            let own = |file: &str| if credential.ca_only || !has(file) { Value::Null } else { path(file) };
            let profile = attributes([
                ("name", json!(name)),
                ("certFile", own("tls.crt")),
                ("privateKeyFile", own("tls.key")),
                ("caCertFile", if has("ca.crt") { path("ca.crt") } else { Value::Null }),
            ]);
            self.entity("sslProfile", None, Some(&name), profile);
        }
    }

    // --- links

    /// Where links and tools come in.
    fn accesses(&mut self, site: &Key) {
        let folder = self.folder;
        let mut has_local = false;
        for (key, resource) in &folder.resources {
            let Spec::RouterAccess(access) = &resource.spec else { continue };
            has_local |= key.name == LOCAL;
            self.access(key, access);
        }
        if self.site.link_access && self.site.edge {
            self.fault(site, "an edge site takes no links: linkAccess is not heeded");
        } else if let Some(refusal) = self.site.refused_access.clone() {
            self.fault(site, refusal);
        } else if self.site.link_access {
            let own = Key { kind: Kind::RouterAccess, name: site.name.clone() };
            if !folder.resources.contains_key(&own) {
                let (routers, edges) = self.surroundings.link_ports;
                let roles = vec![(Role::InterRouter, routers), (Role::Edge, edges)];
                self.access(&own, &RouterAccess { roles, ..RouterAccess::default() });
            }
        }
        if !has_local {
            let local = RouterAccess {
                roles: vec![(Role::Normal, self.surroundings.local_port)],
                tls_credentials: Some(format!("{LOCAL}-server")),
                issuer: Some(format!("{LOCAL}-ca")),
                bind_host: Some("127.0.0.1".to_owned()),
                names: vec!["localhost".to_owned()],
            };
            self.access(&Key { kind: Kind::RouterAccess, name: LOCAL.to_owned() }, &local);
        }
    }

    fn access(&mut self, key: &Key, access: &RouterAccess) {
        let takes_links = access.roles.iter().any(|(role, _)| *role != Role::Normal);
        if takes_links && self.site.edge {
            return self.fault(key, "an edge site takes no links");
        }
        let credential = access.tls_credentials.clone().unwrap_or_else(|| key.name.clone());
        if self.lacks(key, (&credential, &credential), &["ca.crt", "tls.crt", "tls.key"]) {
            return;
        }
        let bind_host = access.bind_host.clone().unwrap_or_default();
        for (_, port) in &access.roles {
            if !self.take_socket(&bind_host, *port, key) {
                return;
            }
        }
        let mut hosts: Vec<String> = Vec::new();
        let given = [bind_host.clone()].into_iter().chain(access.names.iter().cloned());
        for host in given.filter(|host| !host.is_empty() && !is_unspecified(host)) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        if hosts.is_empty() {
            hosts.clone_from(&self.surroundings.names);
        }
        let default = self.site.default_issuer.clone().unwrap_or_else(|| SITE_CA.to_owned());
        let issuer = access.issuer.clone().unwrap_or(default);
        let client = match credential.strip_suffix("-server") {
            Some(name) if key.name == LOCAL => format!("{name}-client"),
            _ => format!("client-{credential}"),
        };
        self.issuer(&issuer, Some(key));
        let server = Certificate {
            ca: Some(issuer.clone()),
            subject: hosts.first().filter(|_| key.name == LOCAL).unwrap_or(&key.name).clone(),
            hosts: hosts.clone(),
            server: true,
            client: false,
        };
        let user =
            Certificate { ca: Some(issuer), subject: client.clone(), hosts: Vec::new(), server: false, client: true };
        for (name, made) in [(&credential, server), (&client, user)] {
            let Some(origin) = self.origin(name, Some(made)) else { continue };
            if !self.credential(name, name, origin, false, key) {
                return;
            }
        }
        for (role, port) in &access.roles {
            let listener = attributes([
                ("name", json!(format!("{}-{}", key.name, role.name()))),
                ("role", json!(role.name())),
                ("host", json!(bind_host)),
                ("port", json!(port)),
                ("sslProfile", json!(credential)),
                ("saslMechanisms", json!("EXTERNAL")),
                ("authenticatePeer", json!(true)),
            ]);
            self.entity("listener", Some(key), Some(&credential), listener);
        }
        let reached = hosts.first().cloned().unwrap_or_else(|| "127.0.0.1".to_owned());
        let endpoints = |host: &str| {
            let links = access.roles.iter().filter(|(role, _)| *role != Role::Normal);
            links.map(|(role, port)| (role.name(), host.to_owned(), *port)).collect::<Vec<_>>()
        };
        self.plan.endpoints.insert(key.clone(), endpoints(&reached));
        for host in hosts.iter().filter(|_| takes_links) {
            self.plan.handouts.push(Handout {
                file: format!("link-{}-{}.yaml", key.name, host.replace(['/', '*'], "_")),
                name: format!("link-{}", key.name),
                credential: client.clone(),
                endpoints: endpoints(host),
            });
        }
    }

    fn links(&mut self) {
        let folder = self.folder;
        for (key, resource) in &folder.resources {
            let Spec::Link(link) = &resource.spec else { continue };
            self.link(key, link);
        }
    }

    fn link(&mut self, key: &Key, link: &Link) {
        let role = if self.site.edge { "edge" } else { "inter-router" };
        let Some(endpoint) = link.endpoints.iter().find(|endpoint| endpoint.name == role) else {
            return self.fault(key, format!("there is no endpoint named {role}"));
        };
        let name = &link.tls_credentials;
        let Some(origin) = self.origin(name, None) else {
            return self.fault(key, format!("there is neither a Secret {name} nor a folder input/certs/{name}"));
        };
        let profile = format!("{name}-profile");
        if self.lacks(key, (name, &profile), &["ca.crt", "tls.crt", "tls.key"]) {
            return;
        }
        if !self.credential(&profile, name, origin, false, key) {
            return;
        }
        let connector = attributes([
            ("name", json!(key.name)),
            ("role", json!(role)),
            ("host", json!(endpoint.host)),
            ("port", json!(endpoint.port)),
            ("cost", json!(link.cost)),
            ("sslProfile", json!(profile)),
        ]);
        self.entity("connector", Some(key), Some(&profile), connector);
    }

    // --- services

    fn services(&mut self) {
        let folder = self.folder;
        for (key, resource) in &folder.resources {
            match &resource.spec {
                Spec::Connector(connector) => self.connector(key, connector),
                Spec::Listener(listener) => {
                    let address = [("address", json!(listener.routing_key))];
                    let name = format!("listener/{}", key.name);
                    self.socket(key, &name, &listener.socket, listener.require_client_cert, address);
                }
                Spec::MultiKeyListener(listener) => self.multi_key_listener(key, listener),
                _ => {}
            }
        }
    }

    /// Whether nobody else has the socket.
    fn take_socket(&mut self, host: &str, port: u16, key: &Key) -> bool {
        let first = self.sockets.entry((host.to_owned(), port)).or_insert_with(|| key.clone());
        if first == key {
            return true;
        }
        let text =
            format!("port {port} of {} is taken by {first}", if host.is_empty() { "all addresses" } else { host });
        self.fault(key, text);
        false
    }

    /// A credential of a service, made by the authority for services where it is not brought. Whether there is one.
    fn service_credential(&mut self, key: &Key, (name, folder): (&str, &str), host: &str, ca_only: bool) -> bool {
        let made = Certificate {
            ca: Some(SERVICE_CA.to_owned()),
            subject: host.to_owned(),
            hosts: vec![host.to_owned()],
            server: true,
            client: false,
        };
        let Some(origin) = self.origin(name, Some(made)) else { return false };
        // Made for another name already.
        let origin = match self.plan.credentials.get(name) {
            Some(known) => known.origin.clone(),
            None => origin,
        };
        if matches!(origin, Origin::Made(_)) {
            self.issuer(SERVICE_CA, Some(key));
            // For the server, which somebody has to give it to.
            if !self.credential(name, name, origin.clone(), false, key) {
                return false;
            }
        }
        self.credential(folder, name, origin, ca_only, key)
    }

    fn connector(&mut self, key: &Key, connector: &Connector) {
        let Connector { routing_key, host, port, tls_credentials, use_client_cert, verify_hostname } = connector;
        let profile = tls_credentials.as_ref().map(|name| {
            // With no certificate of its own it is another profile than that of whoever has one.
            if *use_client_cert { name.clone() } else { format!("{name}-profile") }
        });
        if let (Some(name), Some(folder)) = (tls_credentials, &profile) {
            let files: &[&str] = if *use_client_cert { &["tls.crt", "tls.key"] } else { &["ca.crt"] };
            if self.lacks(key, (name, folder), files)
                || !self.service_credential(key, (name, folder), host, !use_client_cert)
            {
                return;
            }
        }
        let entity = attributes([
            ("name", json!(format!("connector/{}@{host}", key.name))),
            ("host", json!(host)),
            ("port", json!(port.to_string())),
            ("address", json!(routing_key)),
            ("siteId", json!(self.surroundings.site_id)),
            ("sslProfile", json!(profile)),
            ("verifyHostname", if profile.is_some() { json!(verify_hostname) } else { Value::Null }),
        ]);
        self.entity("tcpConnector", Some(key), profile.as_deref(), entity);
    }

    /// Whether there is a socket now.
    fn socket<const N: usize>(
        &mut self,
        key: &Key,
        name: &str,
        socket: &Socket,
        require_client_cert: bool,
        more: [(&str, Value); N],
    ) -> bool {
        let Socket { host, port, tls_credentials, observer } = socket;
        if require_client_cert && tls_credentials.is_none() {
            self.fault(key, "requireClientCert needs tlsCredentials");
            return false;
        }
        if let Some(credential) = tls_credentials {
            let files: &[&str] =
                if require_client_cert { &["ca.crt", "tls.crt", "tls.key"] } else { &["tls.crt", "tls.key"] };
            if self.lacks(key, (credential, credential), files) {
                return false;
            }
        }
        if !self.take_socket(host, *port, key) {
            return false;
        }
        if let Some(credential) = tls_credentials
            && !self.service_credential(key, (credential, credential), host, false)
        {
            return false;
        }
        let mut entity = attributes([
            ("name", json!(name)),
            ("host", json!(host)),
            ("port", json!(port.to_string())),
            ("siteId", json!(self.surroundings.site_id)),
            ("observer", json!(observer)),
            ("sslProfile", json!(tls_credentials)),
            ("authenticatePeer", if require_client_cert { json!(true) } else { Value::Null }),
        ]);
        entity.extend(attributes(more));
        self.entity("tcpListener", Some(key), tls_credentials.as_deref(), entity);
        true
    }

    fn multi_key_listener(&mut self, key: &Key, listener: &MultiKeyListener) {
        let MultiKeyListener { socket, require_client_cert, strategy, keys } = listener;
        let name = format!("multiAddress/{}", key.name);
        if !self.socket(key, &name, socket, *require_client_cert, [("multiAddressStrategy", json!(strategy))]) {
            return;
        }
        for (address, value) in keys {
            let entity = attributes([
                ("name", json!(format!("{}/{address}", key.name))),
                ("address", json!(address)),
                ("value", json!(value)),
                ("listener", json!(name)),
            ]);
            self.entity("listenerAddress", Some(key), socket.tls_credentials.as_deref(), entity);
        }
    }
}
