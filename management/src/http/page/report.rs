//! What a router tells of itself, of some tables.

use super::rows::{Row, Rows, cut};
use crate::schema::EntityType;
use amqp_core::Instant;

/// Routers in a table, and neighbours of one.
const MAX_NODES: usize = 256;

/// Connections of a router that are kept; flows of TCP are none.
const MAX_CONNECTIONS: usize = 500;

/// Listeners of TCP services, connectors of them, and others, each.
const MAX_ENDS: usize = 500;

/// A table that routers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Router,
    Metrics,
    Nodes,
    Connections,
    Connectors,
    TcpListeners,
    TcpConnectors,
}

/// What a router has told, once it was asked for every table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Report {
    /// Only when it was asked for that.
    pub(super) identity: Option<Identity>,
    pub(super) metrics: Metrics,
    pub(super) nodes: Vec<Node>,
    pub(super) connections: Vec<Connection>,
    pub(super) connectors: Vec<Connector>,
    pub(super) ends: Vec<End>,
    /// What is missing, and why.
    pub(super) left_out: Vec<String>,
    /// Tables that did not come, or not as a whole.
    pub(super) missing: Vec<Table>,
}

/// What does not change while a router runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) host: String,
}

/// Figures of a router.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Metrics {
    pub(super) version: String,
    /// Seconds.
    pub(super) uptime: Option<u64>,
    /// Octets.
    pub(super) resident: Option<u64>,
    pub(super) stuck: u64,
    /// Open connections of AMQP clients and of TCP services.
    pub(super) clients: u64,
    pub(super) flows: u64,
}

/// A router in another one's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: String,
    /// The neighbour on the way to it. None for neighbours, and where there is no way.
    pub(super) next_hop: Option<String>,
    /// Cost of the way to it.
    pub(super) cost: Option<u64>,
    pub(super) neighbours: Vec<String>,
}

/// An AMQP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) role: Role,
    pub(super) is_out: bool,
    /// The peer's id.
    pub(super) container: String,
    pub(super) host: String,
    pub(super) is_encrypted: Option<bool>,
    /// It carries what there is to carry; others stand by.
    pub(super) is_active: bool,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    InterRouter,
    Edge,
    InterEdge,
    Other,
}

/// A connector of AMQP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connector {
    pub(super) name: String,
    /// As connections name it that were made by it.
    pub(super) target: String,
    pub(super) cost: Option<u64>,
    pub(super) status: String,
    pub(super) message: String,
}

/// A tcpListener or tcpConnector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) kind: EndKind,
    pub(super) name: String,
    /// Empty: it has several.
    pub(super) address: String,
    pub(super) target: String,
    /// Whether it listens, where that is told.
    pub(super) is_up: Option<bool>,
    pub(super) message: String,
    pub(super) has_tls: bool,
    pub(super) counters: Counters,
    /// When that was so.
    pub(super) at: Instant,
}

/// What has passed an end of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) opened: u64,
    pub(super) closed: u64,
    /// Octets from clients, or from servers.
    pub(super) received: u64,
    /// Octets to them.
    pub(super) sent: u64,
}

/// Which side of a service an end is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum EndKind {
    Listener,
    Connector,
}

// === impl Table ===

impl Table {
    /// The name of its entities' type.
    pub(super) fn entity(self) -> String {
        let ty = match self {
            Self::Router => EntityType::Router,
            Self::Metrics => EntityType::RouterMetrics,
            Self::Nodes => EntityType::Node,
            Self::Connections => EntityType::Connection,
            Self::Connectors => EntityType::Connector,
            Self::TcpListeners => EntityType::TcpListener,
            Self::TcpConnectors => EntityType::TcpConnector,
        };
        ty.full()
    }

    /// The columns that are asked for: those that every router has, as some refuse a query for others.
    pub(super) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Router => &["id", "hostName"],
            Self::Metrics => {
                &["version", "uptimeSeconds", "residentMemoryUsage", "deliveriesStuck", "connectionCounters"]
            }
            Self::Nodes => &["id", "nextHop", "cost", "linkState"],
            Self::Connections => &["identity", "role", "dir", "container", "host", "isEncrypted", "active", "protocol"],
            Self::Connectors => &["name", "host", "port", "cost", "connectionStatus", "connectionMsg"],
            Self::TcpListeners => &[
                "name",
                "address",
                "host",
                "port",
                "operStatus",
                "connectionMsg",
                "sslProfile",
                "connectionsOpened",
                "connectionsClosed",
                "bytesIn",
                "bytesOut",
            ],
            Self::TcpConnectors => &[
                "name",
                "address",
                "host",
                "port",
                "sslProfile",
                "connectionsOpened",
                "connectionsClosed",
                "bytesIn",
                "bytesOut",
            ],
        }
    }

    /// Rows that are asked for at a time.
    pub(super) const fn page(self) -> usize {
        match self {
            Self::Router | Self::Metrics => 1,
            Self::Nodes => MAX_NODES,
            Self::Connections => 500,
            Self::Connectors | Self::TcpListeners | Self::TcpConnectors => MAX_ENDS,
        }
    }

    /// Rows that are asked for at all. Connections come oldest first, and most of them may be flows.
    pub(super) const fn most(self) -> usize {
        match self {
            Self::Connections => 4 * self.page(),
            _ => self.page(),
        }
    }

    /// What its rows are called.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Router | Self::Metrics => "figures",
            Self::Nodes => "routers",
            Self::Connections => "connections",
            Self::Connectors => "connectors",
            Self::TcpListeners => "tcpListeners",
            Self::TcpConnectors => "tcpConnectors",
        }
    }
}

// === impl Report ===

impl Report {
    /// Takes rows of a table, from this one on. Returns where the next page begins, if there may be one.
    pub(super) fn add(&mut self, table: Table, offset: usize, rows: &Rows, now: Instant) -> Option<usize> {
        let each = rows.iter();
        match table {
            Table::Router => self.identity = each.map(Identity::read).next().or(Some(Identity::default())),
            Table::Metrics => self.metrics = each.map(Metrics::read).next().unwrap_or_default(),
            Table::Nodes => self.nodes = each.filter_map(Node::read).take(MAX_NODES).collect(),
            Table::Connections => {
                let room = MAX_CONNECTIONS - self.connections.len();
                let before = self.connections.len();
                self.connections.extend(each.filter_map(Connection::read).take(room));
                if self.connections.len() - before == room && room > 0 {
                    self.leave_out(&format!("all {} but the first {MAX_CONNECTIONS}", table.plural()));
                }
            }
            Table::Connectors => self.connectors = each.map(Connector::read).take(MAX_ENDS).collect(),
            Table::TcpListeners | Table::TcpConnectors => {
                let kind = if table == Table::TcpListeners { EndKind::Listener } else { EndKind::Connector };
                self.ends.extend(each.map(|row| End::read(kind, row, now)).take(MAX_ENDS));
            }
        }
        self.next_page(table, offset, rows.len())
    }

    /// Takes what did not come from the report before.
    pub(super) fn complete(&mut self, former: Self) {
        let missing = self.missing.clone();
        let is_missing = |table| missing.contains(&table);
        let mut ends = former.ends;
        for (table, kind) in [(Table::TcpListeners, EndKind::Listener), (Table::TcpConnectors, EndKind::Connector)] {
            if is_missing(table) {
                self.ends.retain(|end| end.kind != kind);
                self.ends.extend(ends.extract_if(.., |end| end.kind == kind));
            }
        }
        if is_missing(Table::Metrics) {
            self.metrics = former.metrics;
        }
        if is_missing(Table::Nodes) {
            self.nodes = former.nodes;
        }
        if is_missing(Table::Connections) {
            self.connections = former.connections;
        }
        if is_missing(Table::Connectors) {
            self.connectors = former.connectors;
        }
    }

    /// Whoever answers with more than was asked for knows no pages, and has told all.
    fn next_page(&mut self, table: Table, offset: usize, rows: usize) -> Option<usize> {
        let (page, most) = (table.page(), table.most());
        if page > 1 && rows > page {
            self.leave_out(&format!("{} {}", rows - page, table.plural()));
        } else if page > 1 && rows == page {
            if offset + rows < most {
                return Some(offset + rows);
            }
            self.leave_out(&format!("{} behind the first {most}", table.plural()));
        }
        None
    }

    /// Notes that something is missing.
    pub(super) fn leave_out(&mut self, what: &str) {
        self.left_out.push(what.to_owned());
    }
}

// === rows ===

impl Identity {
    fn read(row: Row<'_>) -> Self {
        Self { host: row.text("hostName") }
    }
}

impl Metrics {
    fn read(row: Row<'_>) -> Self {
        let open = |protocol| row.entry("connectionCounters", protocol);
        Self {
            version: row.text("version"),
            uptime: row.number("uptimeSeconds"),
            resident: row.number("residentMemoryUsage"),
            stuck: row.count("deliveriesStuck"),
            clients: open("amqp"),
            flows: open("tcp"),
        }
    }
}

impl Node {
    fn read(row: Row<'_>) -> Option<Self> {
        Some(Self {
            id: row.whole("id")?,
            next_hop: row.whole("nextHop"),
            cost: row.number("cost"),
            neighbours: row.texts("linkState", MAX_NODES),
        })
    }
}

impl Connection {
    /// None: it is a flow, or a part of the router.
    fn read(row: Row<'_>) -> Option<Self> {
        let role = match row.text("role").as_str() {
            "inter-router" | "inter-router-data" => Role::InterRouter,
            "edge" => Role::Edge,
            "inter-edge" => Role::InterEdge,
            _ => Role::Other,
        };
        let is_amqp = !matches!(row.text("protocol").as_str(), "tcp" | "internal");
        is_amqp.then(|| Self {
            number: row.text("identity").parse().unwrap_or_default(),
            role,
            is_out: row.text("dir") == "out",
            container: row.whole("container").unwrap_or_default(),
            host: row.text("host"),
            is_encrypted: row.flag("isEncrypted"),
            is_active: row.flag("active").unwrap_or(true),
        })
    }
}

impl Connector {
    fn read(row: Row<'_>) -> Self {
        Self {
            name: row.text("name"),
            target: host_and_port(&row),
            cost: row.number("cost"),
            status: row.text("connectionStatus"),
            message: row.text("connectionMsg"),
        }
    }
}

impl End {
    fn read(kind: EndKind, row: Row<'_>, at: Instant) -> Self {
        let is_up = match row.text("operStatus").as_str() {
            "up" => Some(true),
            "down" => Some(false),
            _ => None,
        };
        // Connectors count what takes streams for them as a connection, of old.
        let not_opened = u64::from(kind == EndKind::Connector);
        Self {
            kind,
            name: row.text("name"),
            address: row.text("address"),
            target: host_and_port(&row),
            is_up,
            message: row.text("connectionMsg"),
            has_tls: !row.text("sslProfile").is_empty(),
            counters: Counters {
                opened: row.count("connectionsOpened").saturating_sub(not_opened),
                closed: row.count("connectionsClosed"),
                received: row.count("bytesIn"),
                sent: row.count("bytesOut"),
            },
            at,
        }
    }

    /// What makes it the same when it is told of again.
    pub(super) fn key(&self) -> (EndKind, &str, &str, &str) {
        (self.kind, &self.name, &self.address, &self.target)
    }

    pub(super) fn open(&self) -> u64 {
        self.counters.opened.saturating_sub(self.counters.closed)
    }
}

fn host_and_port(row: &Row<'_>) -> String {
    let (host, port) = (row.text("host"), row.text("port"));
    cut(&if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

impl EndKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Connector => "connector",
        }
    }
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InterRouter => "inter-router",
            Self::Edge => "edge",
            Self::InterEdge => "inter-edge",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;
    use amqp_core::Value;
    use amqp_core::value::Map;

    const NOW: Instant = Instant::from_micros(0);

    fn connection(number: usize, protocol: &'static str) -> [(&'static str, Value); 5] {
        [
            ("identity", number.to_string().into()),
            ("role", "inter-router-data".into()),
            ("dir", "out".into()),
            ("container", "east".into()),
            ("protocol", protocol.into()),
        ]
    }

    #[test]
    fn rows_become_what_is_shown() {
        let mut report = Report::default();
        let counters = Map::new().with("amqp", 2).with("tcp", 3);
        let metrics: [(&str, Value); 3] =
            [("version", "3".into()), ("residentMemoryUsage", 7.into()), ("connectionCounters", counters.into())];
        report.add(Table::Metrics, 0, &rows(&[&metrics]), NOW);
        let Metrics { version, resident, uptime, clients, flows, .. } = &report.metrics;
        assert_eq!((version.as_str(), *resident, *uptime, *clients, *flows), ("3", Some(7), None, 2, 3));
        let node: [(&str, Value); 4] = [
            ("id", "east".into()),
            ("nextHop", Value::Null),
            ("cost", 4.into()),
            ("linkState", Value::List(vec!["west".into()])),
        ];
        report.add(Table::Nodes, 0, &rows(&[&node, &[("id", "".into())]]), NOW);
        let east = Node { id: "east".into(), next_hop: None, cost: Some(4), neighbours: vec!["west".into()] };
        assert_eq!(report.nodes, [east]);
        report.add(Table::Connections, 0, &rows(&[&connection(4, "amqp"), &connection(5, "tcp")]), NOW);
        let [one] = &report.connections[..] else { panic!("{report:?}") };
        assert_eq!((one.number, one.role, one.is_out, one.is_encrypted), (4, Role::InterRouter, true, None));
        let end: [(&str, Value); 6] = [
            ("name", "web".into()),
            ("host", "::1".into()),
            ("port", 80.into()),
            ("operStatus", "down".into()),
            ("connectionsOpened", 3.into()),
            ("connectionsClosed", 5.into()),
        ];
        report.add(Table::TcpListeners, 0, &rows(&[&end]), NOW);
        let [end] = &report.ends[..] else { panic!("{report:?}") };
        assert_eq!(
            (end.target.as_str(), end.is_up, end.open(), end.address.as_str()),
            ("[::1]:80", Some(false), 0, "")
        );
        let connected: [(&str, Value); 2] = [("connectionsOpened", 3.into()), ("connectionsClosed", 1.into())];
        report.add(Table::TcpConnectors, 0, &rows(&[&connected, &[("connectionsOpened", 0.into())]]), NOW);
        assert_eq!(report.ends[1..].iter().map(End::open).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn pages_follow_each_other_and_end() {
        let mut report = Report::default();
        let full: Vec<_> = (0..500).map(|number| connection(number, "tcp")).collect();
        let full: Vec<&[(&str, Value)]> = full.iter().map(|row| &row[..]).collect();
        for (offset, next) in [(0, Some(500)), (500, Some(1000)), (1000, Some(1500)), (1500, None)] {
            assert_eq!(report.add(Table::Connections, offset, &rows(&full), NOW), next);
        }
        assert_eq!(report.left_out, ["connections behind the first 2000"]);
        let mut report = Report::default();
        assert_eq!(report.add(Table::Connections, 0, &rows(&full), NOW), Some(500));
        assert_eq!(report.add(Table::Connections, 500, &rows(&full[..3]), NOW), None);
        assert_eq!(report.left_out.len(), 0);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_named() {
        let mut report = Report::default();
        let end: [(&str, Value); 1] = [("name", "x".into())];
        let many = vec![&end[..]; MAX_ENDS + 12];
        assert_eq!(report.add(Table::TcpListeners, 0, &rows(&many), NOW), None);
        report.add(Table::TcpConnectors, 0, &rows(&many[..MAX_ENDS]), NOW);
        assert_eq!(report.ends.len(), 2 * MAX_ENDS);
        assert_eq!(report.left_out, ["12 tcpListeners", "tcpConnectors behind the first 500"]);
    }

    #[test]
    fn what_does_not_come_stays_what_it_was() {
        let end: [(&str, Value); 1] = [("name", "x".into())];
        let mut former = Report::default();
        former.add(Table::Connections, 0, &rows(&[&connection(1, "amqp")]), NOW);
        former.add(Table::TcpListeners, 0, &rows(&[&end]), NOW);
        former.add(Table::TcpConnectors, 0, &rows(&[&end, &end]), NOW);
        let mut report = Report::default();
        report.add(Table::Connections, 0, &rows(&[&connection(2, "amqp")]), NOW);
        report.add(Table::TcpConnectors, 0, &rows(&[]), NOW);
        report.missing = vec![Table::Connections, Table::TcpListeners];
        report.complete(former.clone());
        assert_eq!(report.connections, former.connections, "half of a table is none");
        assert_eq!(report.ends.iter().map(|end| end.kind).collect::<Vec<_>>(), [EndKind::Listener]);
    }

    #[test]
    fn every_column_is_one_that_all_routers_have() {
        let reference: serde_json::Value =
            serde_json::from_str(include_str!("../../schema/reference.json")).expect("JSON");
        // What is not in the schema, and yet in the rows of either implementation.
        let rows_only = ["active"];
        use Table::*;
        for table in [Router, Metrics, Nodes, Connections, Connectors, TcpListeners, TcpConnectors] {
            let entities = reference.as_array().expect("a list");
            let known = entities.iter().find(|entity| entity["qualified"] == table.entity()).expect("an entity");
            let known = known["attribute_order"].as_array().expect("a list");
            for column in table.columns().iter().filter(|column| !rows_only.contains(column)) {
                assert!(known.iter().any(|name| name == column), "{table:?} {column}");
            }
        }
    }
}
