//! What there is in the network, as the routers' management nodes tell it.

use super::client::{Client, Query, Row, Rows};
use std::collections::{BTreeMap, BTreeSet};

/// Routers that are asked. Others are shown by their names.
const MAX_ROUTERS: usize = 64;

/// Listeners, connectors and links that are shown.
const MAX_ITEMS: usize = 10_000;

/// Where a router's own management node is.
const LOCAL: &str = "_local/$management";

/// What every router is asked for.
const QUERIES: [Query; 7] = [
    Query {
        kind: "routerMetrics",
        attributes: &[
            "version",
            "uptimeSeconds",
            "residentMemoryUsage",
            "connectionCount",
            "linkCount",
            "addrCount",
            "deliveriesIngress",
            "deliveriesEgress",
            "deliveriesTransit",
            "deliveriesStuck",
        ],
    },
    Query { kind: "router", attributes: &["id", "mode", "hostName"] },
    Query { kind: "router.node", attributes: &["id", "nextHop", "cost"] },
    Query {
        kind: "connection",
        attributes: &["identity", "role", "dir", "container", "isEncrypted", "active", "uptimeSeconds"],
    },
    Query { kind: "connector", attributes: &["name", "role", "host", "port", "connectionStatus", "connectionMsg"] },
    Query {
        kind: "tcpListener",
        attributes: &[
            "name",
            "address",
            "host",
            "port",
            "operStatus",
            "connectionMsg",
            "connectionsOpened",
            "connectionsClosed",
            "bytesIn",
            "bytesOut",
        ],
    },
    Query {
        kind: "tcpConnector",
        attributes: &[
            "name",
            "address",
            "host",
            "port",
            "connectionsOpened",
            "connectionsClosed",
            "bytesIn",
            "bytesOut",
        ],
    },
];

/// The network as far as it has answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Network {
    /// The router that was looked from.
    pub(super) here: String,
    pub(super) routers: BTreeMap<String, Router>,
    pub(super) links: Vec<Link>,
    pub(super) connectors: Vec<Connector>,
    pub(super) services: BTreeMap<String, Service>,
    /// What is not shown, for people.
    pub(super) left_out: Vec<String>,
    /// Requests that this took.
    pub(super) requests: usize,
}

/// A router.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Router {
    /// `interior`, `edge` or `standalone`.
    pub(super) mode: String,
    pub(super) answered: bool,
    pub(super) version: String,
    pub(super) host: String,
    pub(super) figures: Figures,
}

/// Figures of a router.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) uptime: u64,
    pub(super) resident: u64,
    pub(super) connections: u64,
    pub(super) addresses: u64,
    pub(super) ingress: u64,
    pub(super) egress: u64,
    pub(super) transit: u64,
    pub(super) stuck: u64,
}

/// Routers that are connected with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The lesser name comes first, unless the other is the interior router of an edge router.
    pub(super) ends: [String; 2],
    pub(super) role: String,
    pub(super) cost: Option<i64>,
    pub(super) encrypted: bool,
    /// Another connection of an edge router is in use.
    pub(super) standby: bool,
    /// What tells the connection from one that came in its place.
    pub(super) identity: String,
}

/// An AMQP connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connector {
    pub(super) router: String,
    pub(super) name: String,
    pub(super) target: String,
    pub(super) status: String,
    pub(super) message: String,
}

/// A service address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) listeners: Vec<Port>,
    pub(super) connectors: Vec<Port>,
}

/// A tcpListener or tcpConnector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) router: String,
    pub(super) name: String,
    pub(super) target: String,
    /// Of listeners: whether they listen.
    pub(super) up: Option<bool>,
    pub(super) message: String,
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// What a router has answered, by the place of the query.
type Answers = Vec<Option<Rows>>;

/// Asks the routers of the network. `None`: this router itself does not answer.
pub(super) async fn survey(client: &mut Client, here: &str) -> Option<Network> {
    let mut network = Network { here: here.to_owned(), ..Network::default() };
    let own = ask(client, &[LOCAL.to_owned()]).await.pop()?;
    own[1].as_ref()?;
    network.requests += QUERIES.len();
    let mut answers = BTreeMap::from([(here.to_owned(), own)]);
    let interiors = match uplink(&answers[here]) {
        // An edge router knows its interior router only.
        Some(interior) => {
            let asked = ask(client, &[topological(&interior)]).await.pop().unwrap_or_default();
            network.requests += QUERIES.len();
            let known = nodes(&asked);
            answers.insert(interior.clone(), asked);
            known.into_iter().chain([interior]).collect::<BTreeSet<_>>()
        }
        None => nodes(&answers[here]),
    };
    network.ask_others(client, &interiors, topological, &mut answers).await;
    let edges: BTreeSet<_> = answers.values().flat_map(edge_routers).collect();
    network.ask_others(client, &edges, |id| format!("_edge/{id}/$management"), &mut answers).await;
    for (id, answer) in &answers {
        let mode = if edges.contains(id) { "edge" } else { "interior" };
        network.add_router(id, mode, answer);
    }
    network.merge_links();
    Some(network)
}

fn topological(id: &str) -> String {
    format!("_topo/0/{id}/$management")
}

/// Asks routers for everything.
async fn ask(client: &mut Client, addresses: &[String]) -> Vec<Answers> {
    let requests: Vec<_> = addresses.iter().flat_map(|to| QUERIES.map(|query| (to.clone(), query))).collect();
    let answers = client.ask(&requests).await;
    answers.chunks(QUERIES.len()).map(<[_]>::to_vec).collect()
}

fn rows<'a>(answers: &'a Answers, kind: &'static str) -> impl Iterator<Item = Row<'a>> {
    let place = QUERIES.iter().position(|query| query.kind == kind);
    place.and_then(|place| answers.get(place)?.as_ref()).into_iter().flat_map(Rows::iter)
}

/// The interior routers that a router knows.
fn nodes(answers: &Answers) -> BTreeSet<String> {
    rows(answers, "router.node").map(|row| row.text("id")).filter(|id| !id.is_empty()).collect()
}

/// The interior router that an edge router is attached to.
fn uplink(answers: &Answers) -> Option<String> {
    let is_edge = rows(answers, "router").any(|row| row.is("mode", "edge"));
    let mut uplinks = rows(answers, "connection").filter(|row| row.is("role", "edge") && row.is("dir", "out"));
    uplinks.find(|row| is_edge && row.flag("active") != Some(false)).map(|row| row.text("container"))
}

/// The edge routers at an interior router.
fn edge_routers(answers: &Answers) -> impl Iterator<Item = String> {
    let edges = rows(answers, "connection").filter(|row| row.is("role", "edge") && row.is("dir", "in"));
    edges.map(|row| row.text("container")).filter(|id| !id.is_empty())
}

// === impl Network ===

impl Network {
    async fn ask_others(
        &mut self,
        client: &mut Client,
        routers: &BTreeSet<String>,
        address: impl Fn(&str) -> String,
        answers: &mut BTreeMap<String, Answers>,
    ) {
        let unasked: Vec<_> = routers.iter().filter(|id| !answers.contains_key(*id)).cloned().collect();
        let room = MAX_ROUTERS.saturating_sub(answers.values().filter(|answer| !answer.is_empty()).count());
        let (asked, others) = unasked.split_at(room.min(unasked.len()));
        let addresses: Vec<_> = asked.iter().map(|id| address(id)).collect();
        self.requests += addresses.len() * QUERIES.len();
        answers.extend(asked.iter().cloned().zip(ask(client, &addresses).await));
        if !others.is_empty() {
            self.left_out.push(format!("{} routers were not asked: at most {MAX_ROUTERS} are", others.len()));
        }
        answers.extend(others.iter().map(|id| (id.clone(), Answers::new())));
    }

    fn add_router(&mut self, id: &str, mode: &str, answers: &Answers) {
        let told = rows(answers, "router").next();
        let text = |name: &str| told.map(|row| row.text(name)).unwrap_or_default();
        let told_mode = text("mode");
        let mode = if told_mode.is_empty() { mode.to_owned() } else { told_mode };
        let metrics = rows(answers, "routerMetrics").next();
        let version = metrics.map(|row| row.text("version")).unwrap_or_default();
        let figures = metrics.map(figures).unwrap_or_default();
        let router = Router { mode, answered: told.is_some(), version, host: text("hostName"), figures };
        self.routers.insert(id.to_owned(), router);
        for (query, _) in QUERIES.iter().zip(answers).filter(|(_, rows)| rows.as_ref().is_some_and(|r| r.is_cut)) {
            self.left_out.push(format!("{id} has more entities of the type {} than are shown", query.kind));
        }
        self.add_links(id, answers);
        for row in rows(answers, "connector") {
            self.connectors.push(Connector {
                router: id.to_owned(),
                name: row.text("name"),
                target: target(row),
                status: row.text("connectionStatus"),
                message: row.text("connectionMsg"),
            });
        }
        for row in rows(answers, "tcpListener") {
            let up = Some(row.is("operStatus", "up"));
            self.services.entry(row.text("address")).or_default().listeners.push(port(id, row, up));
        }
        for row in rows(answers, "tcpConnector") {
            self.services.entry(row.text("address")).or_default().connectors.push(port(id, row, None));
        }
    }

    fn add_links(&mut self, id: &str, answers: &Answers) {
        let costs: BTreeMap<_, _> = rows(answers, "router.node")
            .filter(|row| row.text("nextHop").is_empty())
            .filter_map(|row| Some((row.text("id"), row.number("cost")?)))
            .collect();
        for row in rows(answers, "connection") {
            let role = row.text("role");
            if !matches!(role.as_str(), "inter-router" | "edge" | "inter-edge") {
                continue;
            }
            let other = row.text("container");
            let turned = if role == "edge" { row.is("dir", "out") } else { other.as_str() < id };
            let ends = if turned { [other.clone(), id.to_owned()] } else { [id.to_owned(), other.clone()] };
            self.links.push(Link {
                ends,
                cost: costs.get(&other).copied().filter(|_| role == "inter-router"),
                role,
                encrypted: row.flag("isEncrypted") == Some(true),
                standby: row.flag("active") == Some(false),
                identity: format!("{id}/{}", row.text("identity")),
            });
        }
    }

    /// Both ends tell of a link, and there may be several connections between two routers: the first one counts. Bounds
    /// what there is.
    fn merge_links(&mut self) {
        let mut merged: BTreeMap<[String; 2], Link> = BTreeMap::new();
        for link in self.links.drain(..) {
            match merged.get_mut(&link.ends) {
                Some(known) => {
                    known.cost = known.cost.or(link.cost);
                    known.standby &= link.standby;
                }
                None => drop(merged.insert(link.ends.clone(), link)),
            }
        }
        self.links = merged.into_values().collect();
        if self.links.len() > MAX_ITEMS {
            self.links.truncate(MAX_ITEMS);
            self.left_out.push(format!("more than {MAX_ITEMS} links"));
        }
        self.connectors.truncate(MAX_ITEMS);
        let mut room = MAX_ITEMS;
        for service in self.services.values_mut() {
            for ports in [&mut service.listeners, &mut service.connectors] {
                ports.truncate(room);
                room -= ports.len();
            }
        }
        if room == 0 {
            self.left_out.push(format!("more than {MAX_ITEMS} listeners and connectors"));
            self.services.retain(|_, service| !service.listeners.is_empty() || !service.connectors.is_empty());
        }
    }
}

fn figures(row: Row<'_>) -> Figures {
    Figures {
        uptime: row.count("uptimeSeconds"),
        resident: row.count("residentMemoryUsage"),
        connections: row.count("connectionCount"),
        addresses: row.count("addrCount"),
        ingress: row.count("deliveriesIngress"),
        egress: row.count("deliveriesEgress"),
        transit: row.count("deliveriesTransit"),
        stuck: row.count("deliveriesStuck"),
    }
}

fn target(row: Row<'_>) -> String {
    let host = row.text("host");
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("{host}:{}", row.text("port"))
}

fn port(router: &str, row: Row<'_>, up: Option<bool>) -> Port {
    Port {
        router: router.to_owned(),
        name: row.text("name"),
        target: target(row),
        up,
        message: row.text("connectionMsg"),
        opened: row.count("connectionsOpened"),
        closed: row.count("connectionsClosed"),
        bytes_in: row.count("bytesIn"),
        bytes_out: row.count("bytesOut"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp_core::Value;
    use amqp_core::value::Map;

    /// An entity as its attributes.
    type Entity<'a> = &'a [(&'a str, Value)];

    /// Answers of a router: rows of some types.
    fn answers(given: &[(&str, &[Entity<'_>])]) -> Answers {
        let table = |rows: &[Entity<'_>]| {
            let names: Vec<Value> =
                rows.first().map_or(vec![], |row| row.iter().map(|(name, _)| (*name).into()).collect());
            let results = rows.iter().map(|row| Value::List(row.iter().map(|(_, value)| value.clone()).collect()));
            let body = Map::new().with("attributeNames", Value::List(names));
            Rows::of(&body.with("results", Value::List(results.collect())))
        };
        let of = |query: &Query| given.iter().find(|(kind, _)| *kind == query.kind).map(|(_, rows)| table(rows));
        QUERIES.iter().map(of).collect()
    }

    fn connection(role: &str, dir: &str, container: &str) -> Vec<(&'static str, Value)> {
        vec![
            ("identity", "7".into()),
            ("role", role.into()),
            ("dir", dir.into()),
            ("container", container.into()),
            ("active", true.into()),
        ]
    }

    #[test]
    fn both_ends_of_a_link_tell_of_one() {
        let mut network = Network::default();
        let neighbour = |id: &str| vec![("id", Value::from(id)), ("nextHop", Value::Null), ("cost", 5.into())];
        let of_a = answers(&[
            ("connection", &[&connection("inter-router", "in", "B"), &connection("edge", "in", "E")]),
            ("router.node", &[&neighbour("B")]),
        ]);
        network.add_router("A", "interior", &of_a);
        network.add_router("B", "interior", &answers(&[("connection", &[&connection("inter-router", "out", "A")])]));
        network.add_router("E", "edge", &answers(&[("connection", &[&connection("edge", "out", "A")])]));
        network.merge_links();
        let links: Vec<_> = network.links.iter().map(|link| (link.ends.clone(), link.cost)).collect();
        let ends = |one: &str, other: &str| [one.to_owned(), other.to_owned()];
        assert_eq!(links, [(ends("A", "B"), Some(5)), (ends("A", "E"), None)]);
        assert_eq!(edge_routers(&of_a).collect::<Vec<_>>(), ["E"]);
        assert_eq!(nodes(&of_a), BTreeSet::from(["B".to_owned()]));
    }

    #[test]
    fn an_edge_router_knows_its_interior_router() {
        let edge =
            answers(&[("router", &[&[("mode", "edge".into())]]), ("connection", &[&connection("edge", "out", "I")])]);
        assert_eq!(uplink(&edge).as_deref(), Some("I"));
        let interior = answers(&[
            ("router", &[&[("mode", "interior".into())]]),
            ("connection", &[&connection("edge", "in", "E")]),
        ]);
        assert_eq!(uplink(&interior), None);
    }

    #[test]
    fn services_are_put_together_over_routers() {
        let mut network = Network::default();
        let listener =
            [("name", "l".into()), ("address", "web".into()), ("operStatus", "up".into()), ("bytesIn", 9.into())];
        let connector =
            [("name", "c".into()), ("address", "web".into()), ("host", "::1".into()), ("port", "80".into())];
        network.add_router("A", "interior", &answers(&[("tcpListener", &[&listener])]));
        network.add_router("B", "interior", &answers(&[("tcpConnector", &[&connector])]));
        let web = &network.services["web"];
        assert_eq!((web.listeners[0].up, web.listeners[0].bytes_in, web.connectors[0].up), (Some(true), 9, None));
        assert_eq!((web.connectors[0].router.as_str(), web.connectors[0].target.as_str()), ("B", "[::1]:80"));
        assert!(!network.routers["A"].answered, "it has not told its mode");
    }

    #[test]
    fn what_is_too_much_is_named() {
        let mut network = Network::default();
        for number in 0..MAX_ITEMS + 10 {
            let row = [("name", "l".into()), ("address", format!("a{number:06}").into())];
            network.add_router("A", "interior", &answers(&[("tcpListener", &[&row])]));
        }
        network.merge_links();
        assert_eq!(network.services.len(), MAX_ITEMS);
        assert_eq!(network.left_out, [format!("more than {MAX_ITEMS} listeners and connectors")]);
    }
}
