//! The state of each resource, as Skupper tells it: conditions, and what follows from them.

use crate::folder::Folder;
use crate::plan::Plan;
use crate::resource::{Key, Kind, Spec};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What there is of a routing key at other sites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Service {
    /// Listeners.
    pub listeners: usize,
    /// Connectors.
    pub connectors: usize,
}

/// A site of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteRecord {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its platform.
    pub platform: String,
    /// The version of what controls it.
    pub version: String,
}

/// The other end of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// The identity of the site.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What the router and the network show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The router runs.
    pub is_running: bool,
    /// What was refused, or could not be done.
    pub faults: BTreeMap<Key, String>,
    /// Connectors to other routers: why they are not connected, if they are not.
    pub links: BTreeMap<String, Option<String>>,
    /// Who is at the other end of those that are.
    pub remotes: BTreeMap<String, Remote>,
    /// Listeners where links and tools come in: whether they take connections, and why not.
    pub accesses: BTreeMap<String, (bool, String)>,
    /// Listeners of services: whether they take connections, and why not.
    pub listeners: BTreeMap<String, (bool, String)>,
    /// What other sites have of each routing key.
    pub services: BTreeMap<String, Service>,
    /// The other sites.
    pub sites: BTreeMap<String, SiteRecord>,
    /// When certificates in `runtime/certs` and `runtime/issuers` end, by their folders.
    pub expirations: BTreeMap<String, String>,
}

/// The state of all resources, with when it came to be.
#[derive(Debug, Default)]
pub struct Statuses {
    /// Since when each condition is as it is.
    since: BTreeMap<(Key, &'static str), (bool, String)>,
    items: Vec<Value>,
}

/// How a condition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ready,
    Pending(String),
    Error(String),
}

/// The state of a resource.
struct Status {
    /// The conditions in their order, without that of being ready.
    conditions: Vec<(&'static str, State)>,
    /// What else is told.
    more: Map<String, Value>,
}

// === impl Statuses ===

impl Statuses {
    /// Finds out how all resources stand.
    pub fn update(&mut self, folder: &Folder, plan: &Plan, observed: &Observed, now: &str) {
        let view = View { folder, plan, observed };
        let keys = folder.resources.keys().chain(folder.faulty.keys()).chain(plan.endpoints.keys());
        let keys: BTreeSet<&Key> = keys.collect();
        self.since.retain(|(key, _), _| keys.contains(key));
        let mut items = Vec::new();
        for key in keys {
            let Some(status) = view.status(key) else { continue };
            items.push(self.item(key, &view, status, now));
        }
        self.items = items;
    }

    /// The text of a file that tells the state of all resources.
    #[must_use]
    pub fn list(&self) -> String {
        text(&json!({"apiVersion": "v1", "kind": "List", "items": self.items}))
    }

    /// A file for each resource, as Skupper's tools read them, and its text: JSON, which is YAML.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, String> {
        let name = |item: &Value| {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{}-{}.yaml", word(&item["kind"]), word(&item["metadata"]["name"]))
        };
        self.items.iter().map(|item| (name(item), text(item))).collect()
    }

    fn item(&mut self, key: &Key, view: &View<'_>, status: Status, now: &str) -> Value {
        let ready = status.ready();
        let conditions: Vec<Value> = status
            .conditions
            .iter()
            .chain([&("Ready", ready.clone())])
            .map(|(name, state)| {
                let is_true = *state == State::Ready;
                let since = self.since.entry((key.clone(), name)).or_insert_with(|| (is_true, now.to_owned()));
                if since.0 != is_true {
                    *since = (is_true, now.to_owned());
                }
                json!({
                    "type": name,
                    "status": if is_true { "True" } else { "False" },
                    "reason": state.reason(),
                    "message": state.message(),
                    "lastTransitionTime": since.1,
                })
            })
            .collect();
        let mut told = Map::new();
        told.insert("status".to_owned(), json!(ready.reason()));
        told.insert("message".to_owned(), json!(ready.message()));
        told.insert("conditions".to_owned(), json!(conditions));
        told.extend(status.more);
        let mut metadata = Map::from_iter([
            ("name".to_owned(), json!(key.name)),
            ("namespace".to_owned(), json!(view.plan.namespace)),
        ]);
        if key.kind == Kind::Site {
            metadata.insert("uid".to_owned(), json!(view.plan.site_id));
        }
        if let Some((file, line)) = view.folder.place(key) {
            let place = json!({"skrouterd/file": file, "skrouterd/line": line.to_string()});
            metadata.insert("annotations".to_owned(), place);
        }
        let mut item = Map::from_iter([
            ("apiVersion".to_owned(), json!(key.kind.api_version())),
            ("kind".to_owned(), json!(key.kind.name())),
            ("metadata".to_owned(), json!(metadata)),
        ]);
        let resource = view.folder.resources.get(key);
        item.extend(resource.and_then(|resource| Some(("spec".to_owned(), resource.shown.clone()?))));
        item.insert("status".to_owned(), json!(told));
        Value::Object(item)
    }
}

fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

// === impl State ===

impl State {
    fn of(fault: Option<&String>) -> Self {
        fault.map_or(Self::Ready, |text| Self::Error(text.clone()))
    }

    fn ready_or(is_ready: bool, text: impl Into<String>) -> Self {
        if is_ready { Self::Ready } else { Self::Pending(text.into()) }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Pending(_) => "Pending",
            Self::Error(_) => "Error",
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Ready => "OK",
            Self::Pending(text) | Self::Error(text) => text,
        }
    }
}

// === impl Status ===

impl Status {
    /// What the first condition says that does not hold; one that is in error comes before those that are pending.
    fn ready(&self) -> State {
        let states = || self.conditions.iter().map(|(_, state)| state);
        let error = states().find(|state| matches!(state, State::Error(_)));
        error.or(states().find(|state| **state != State::Ready)).cloned().unwrap_or(State::Ready)
    }
}

/// All that states follow from.
struct View<'a> {
    folder: &'a Folder,
    plan: &'a Plan,
    observed: &'a Observed,
}

fn endpoints(list: &[(&'static str, String, u16)]) -> Vec<Value> {
    let told = list.iter();
    told.map(
        |(role, host, port)| json!({"name": role, "host": host, "port": port.to_string(), "group": "skupper-router"}),
    )
    .collect()
}

// === impl View ===

impl View<'_> {
    fn configured(&self, key: &Key) -> (&'static str, State) {
        let faulty = self.folder.faulty.get(key).map(|faulty| match faulty.stays {
            true => format!("{} (what it said before stays in force)", faulty.text),
            false => faulty.text.clone(),
        });
        let fault = faulty.as_ref().or(self.plan.faults.get(key)).or(self.observed.faults.get(key));
        let name = match key.kind {
            Kind::AccessGrant => "Processed",
            Kind::AccessToken => "Redeemed",
            _ => "Configured",
        };
        (name, State::of(fault))
    }

    /// None: there is nothing to tell.
    fn status(&self, key: &Key) -> Option<Status> {
        let configured = self.configured(key);
        let plain = |more| Status { conditions: vec![configured.clone()], more };
        let Some(resource) = self.folder.resources.get(key) else {
            // One that was made for the site, or one that says nothing sound.
            return Some(match self.plan.endpoints.get(key) {
                Some(_) => self.access(key, configured),
                None => plain(Map::new()),
            });
        };
        Some(match &resource.spec {
            Spec::Site(_) => self.site(configured),
            Spec::RouterAccess(_) => self.access(key, configured),
            Spec::Link(_) => self.link(key, configured),
            Spec::Listener(listener) => {
                let name = format!("listener/{}", key.name);
                self.listener((configured, &name), &[&listener.routing_key], ("Matched", "hasMatchingConnector"))
            }
            Spec::MultiKeyListener(listener) => {
                let keys: Vec<&String> = listener.keys.iter().map(|(key, _)| key).collect();
                let name = format!("multiAddress/{}", key.name);
                self.listener((configured, &name), &keys, ("Matched", "hasDestination"))
            }
            Spec::Connector(connector) => self.connector(configured, &connector.routing_key),
            Spec::Certificate(_) => {
                let expiration = self.observed.expirations.get(&key.name);
                plain(expiration.map(|time| ("expiration".to_owned(), json!(time))).into_iter().collect())
            }
            Spec::Secret(_) if configured.1 == State::Ready => return None,
            Spec::Secret(_) => plain(Map::new()),
        })
    }

    fn site(&self, configured: (&'static str, State)) -> Status {
        let running = State::ready_or(self.observed.is_running, "The router does not run");
        let mut conditions = vec![configured, ("Running", running)];
        let Some((key, site)) = self.folder.site() else { return Status { conditions, more: Map::new() } };
        let links = |(_, list): &(&Key, &Vec<_>)| !list.is_empty();
        let all: Vec<Value> = self.plan.endpoints.iter().filter(links).flat_map(|(_, list)| endpoints(list)).collect();
        if site.link_access || site.refused_access.is_some() {
            conditions.push(("Resolved", State::ready_or(!all.is_empty(), "Pending")));
        }
        let issuer = site.default_issuer.as_deref().unwrap_or("skupper-site-ca");
        let own = SiteRecord {
            name: key.name.clone(),
            namespace: self.plan.namespace.clone(),
            platform: "linux".to_owned(),
            ..SiteRecord::default()
        };
        let sites = [(&self.plan.site_id, &own)].into_iter().chain(&self.observed.sites);
        let network: Vec<Value> = sites
            .map(|(id, site)| {
                let members = [
                    ("id", id),
                    ("name", &site.name),
                    ("namespace", &site.namespace),
                    ("platform", &site.platform),
                    ("version", &site.version),
                ];
                let said = members.into_iter().filter(|(_, text)| !text.is_empty());
                Value::Object(said.map(|(name, text)| (name.to_owned(), json!(text))).collect())
            })
            .collect();
        let mut more = Map::new();
        if !all.is_empty() {
            more.insert("endpoints".to_owned(), json!(all));
        }
        more.insert("defaultIssuer".to_owned(), json!(issuer));
        more.insert("sitesInNetwork".to_owned(), json!(network.len()));
        more.insert("network".to_owned(), json!(network));
        Status { conditions, more }
    }

    /// Why one of the listeners of an access does not listen.
    fn deaf(&self, key: &Key) -> Option<&String> {
        let entities = self.plan.entities.iter().filter(|entity| entity.ty == "listener");
        let mut own = entities.filter(|entity| entity.owner.as_ref() == Some(key));
        own.find_map(|entity| match self.observed.accesses.get(entity.attributes.get("name")?.as_str()?)? {
            (false, why) if !why.is_empty() => Some(why),
            _ => None,
        })
    }

    fn access(&self, key: &Key, (condition, mut configured): (&'static str, State)) -> Status {
        if configured == State::Ready {
            configured = match self.deaf(key) {
                Some(why) => State::Error(why.clone()),
                None => State::ready_or(self.observed.is_running, "The router does not run"),
            };
        }
        let configured = (condition, configured);
        let list = self.plan.endpoints.get(key);
        let mut conditions = vec![configured, ("Resolved", State::ready_or(list.is_some(), "Pending"))];
        conditions.retain(|(name, _)| *name != "Resolved" || list.is_none_or(|list| !list.is_empty()));
        let told = list.map(|list| endpoints(list)).filter(|list| !list.is_empty());
        Status { conditions, more: told.map(|list| ("endpoints".to_owned(), json!(list))).into_iter().collect() }
    }

    fn link(&self, key: &Key, configured: (&'static str, State)) -> Status {
        let operational = match self.observed.links.get(&key.name) {
            Some(None) => State::Ready,
            Some(Some(why)) if !why.is_empty() => State::Pending(format!("Not operational: {why}")),
            _ => State::Pending("Not operational".to_owned()),
        };
        let mut more = Map::new();
        if let (State::Ready, Some(remote)) = (&operational, self.observed.remotes.get(&key.name)) {
            for (name, text) in [("remoteSiteId", &remote.id), ("remoteSiteName", &remote.name)] {
                more.insert(name.to_owned(), json!(text));
            }
        }
        Status { conditions: vec![configured, ("Operational", operational)], more }
    }

    /// Whether the site itself has a connector or a listener of that key.
    fn has(&self, ty: &str, routing_key: &str) -> bool {
        let is_it = |a: &Map<String, Value>| a.get("address").is_some_and(|address| address == routing_key);
        let also = if ty == "tcpListener" { "listenerAddress" } else { ty };
        self.plan.entities.iter().any(|entity| (entity.ty == ty || entity.ty == also) && is_it(&entity.attributes))
    }

    fn listener(
        &self,
        ((condition, mut configured), name): ((&'static str, State), &str),
        keys: &[&String],
        (matched, flag): (&'static str, &str),
    ) -> Status {
        let (is_up, why) = self.observed.listeners.get(name).cloned().unwrap_or_default();
        let elsewhere = |key: &String| self.observed.services.get(key).is_some_and(|service| service.connectors > 0);
        let is_matched = is_up || keys.iter().any(|key| self.has("tcpConnector", key) || elsewhere(key));
        if !is_up && !why.is_empty() && configured == State::Ready {
            configured = State::Error(why);
        }
        let conditions =
            vec![(condition, configured), (matched, State::ready_or(is_matched, "No matching connectors"))];
        let more = is_matched.then(|| (flag.to_owned(), json!(true))).into_iter().collect();
        Status { conditions, more }
    }

    fn connector(&self, configured: (&'static str, State), routing_key: &String) -> Status {
        let elsewhere = self.observed.services.get(routing_key).is_some_and(|service| service.listeners > 0);
        let is_matched = elsewhere || self.has("tcpListener", routing_key);
        let conditions = vec![configured, ("Matched", State::ready_or(is_matched, "No matching listeners"))];
        let more = is_matched.then(|| ("hasMatchingListener".to_owned(), json!(true))).into_iter().collect();
        Status { conditions, more }
    }
}
