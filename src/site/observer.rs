//! A peer of the router inside the process that sees what the state of resources depends on: entities, as any client of
//! management sees them, and the records of other sites.

use adaptors::clock;
use adaptors::runtime::Io;
use amqp_core::Value;
use amqp_core::message::{Body, Header, Message, MessageBuilder, Properties};
use amqp_core::performative::DeliveryState;
use amqp_core::value::Map;
use router_engine::LinkId;
use router_engine::port::local::{Attach, Delivery, Endpoint, Envelope, Event, GatherLimits, Identity};
use router_engine::stream::Payload;
use site::{BEACONS, Discovered, Network, Observed, Remote};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::io;

/// Messages on their way to each link at a time.
const CREDIT: u32 = 250;

/// What of messages that are still arriving is held, in octets.
const ARRIVING: GatherLimits = GatherLimits { message: 4 * 1024 * 1024, total: 16 * 1024 * 1024 };

/// Connections are asked for when a link has come or gone, and once in so many ticks.
const REST: u32 = 9;

/// Where requests go.
const MANAGEMENT: &str = "_local/$management";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Query {
    Connectors,
    Accesses,
    Listeners,
    Connections,
}

/// A source of records that is listened to.
struct Listening {
    link: LinkId,
    /// Where it takes commands, until it has been asked for all that it has told before. It is asked once something comes
    /// from it: what it tells before it knows of the link is lost.
    direct: Option<String>,
}

/// See the module documentation.
pub(super) struct Observer {
    endpoint: Endpoint,
    out: LinkId,
    beacons: LinkId,
    reply_to: String,
    /// The sources of records that are listened to, by the addresses of their records.
    sources: HashMap<String, Listening>,
    /// Where the own router's records go, which tell nothing new.
    own: Option<String>,
    network: Network,
    /// Connectors: host and port, and why there is no connection.
    connectors: BTreeMap<String, (String, Option<String>)>,
    accesses: BTreeMap<String, (bool, String)>,
    listeners: BTreeMap<String, (bool, String)>,
    /// Container ids of neighbours, by where the connections lead.
    neighbours: BTreeMap<String, String>,
    /// Ticks until connections, which may be many, are asked for again.
    rest: u32,
}

// === impl Query ===

impl Query {
    const ALL: [Self; 4] = [Self::Connectors, Self::Accesses, Self::Listeners, Self::Connections];

    const fn entity(self) -> &'static str {
        match self {
            Self::Connectors => "io.skupper.router.connector",
            Self::Accesses => "io.skupper.router.listener",
            Self::Listeners => "io.skupper.router.tcpListener",
            Self::Connections => "io.skupper.router.connection",
        }
    }

    const fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Connectors => &["name", "host", "port", "connectionStatus", "connectionMsg"],
            Self::Accesses | Self::Listeners => &["name", "operStatus", "connectionMsg"],
            Self::Connections => &["host", "container", "dir", "opened"],
        }
    }
}

// === impl Observer ===

impl Observer {
    /// Joins the router.
    ///
    /// # Errors
    /// When the router refuses its links.
    pub(super) fn join(io: &Io) -> io::Result<Self> {
        let now = clock::now();
        let mut endpoint = Endpoint::join(io.router(), Identity::hidden("site", CREDIT), Default::default(), now);
        endpoint.gather(ARRIVING);
        let links = [
            Attach::anonymous_sender("site"),
            Attach::dynamic_receiver("site.replies").with_credit(CREDIT),
            Attach::receiver("site.beacons", BEACONS).with_credit(CREDIT),
        ];
        let [Ok(out), Ok(replies), Ok(beacons)] = endpoint.attach(links, now) else {
            return Err(io::Error::other("the router does not let its state be seen"));
        };
        Ok(Self {
            endpoint,
            out: out.link,
            beacons: beacons.link,
            reply_to: replies.source.unwrap_or_default(),
            sources: HashMap::new(),
            own: io.router().records().map(|records| format!("mc/sfe.{}", records.router())),
            network: Network::default(),
            connectors: BTreeMap::new(),
            accesses: BTreeMap::new(),
            listeners: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            rest: 0,
        })
    }

    /// Takes what comes in. Returns when there was something.
    pub(super) async fn listen(&mut self) {
        let mut event = Some(poll_fn(|cx| self.endpoint.poll_event(cx)).await);
        while let Some(next) = event {
            match next {
                Event::Delivery(delivery) => self.on_delivery(delivery),
                Event::Oversized(delivery, _) => self.endpoint.settle(delivery, DeliveryState::Rejected(None)),
                _ => {}
            }
            event = self.endpoint.next_event();
        }
        self.endpoint.submit(clock::now());
    }

    /// Asks for what is not told by itself, and lets sources go that have not been heard of for long.
    pub(super) fn tick(&mut self) {
        for address in self.network.tick() {
            if let Some(source) = self.sources.remove(&address) {
                self.endpoint.detach(source.link, None);
            }
        }
        self.rest = self.rest.checked_sub(1).unwrap_or(REST);
        for query in Query::ALL {
            if query == Query::Connections && self.rest != 0 {
                continue;
            }
            let names = query.attributes().iter().map(|name| Value::from(*name)).collect();
            let body = Map::new().with("attributeNames", Value::List(names));
            let properties = Properties {
                to: Some(MANAGEMENT.to_owned()),
                reply_to: Some(self.reply_to.clone()),
                correlation_id: query.entity().into(),
                ..Properties::default()
            };
            let application = Map::new()
                .with("operation", "QUERY")
                .with("type", "org.amqp.management")
                .with("name", "self")
                .with("entityType", query.entity());
            let message = MessageBuilder::new()
                .header(&Header::default())
                .properties(&properties)
                .application_properties(&application)
                .value(Value::Map(body));
            self.endpoint.send(self.out, Payload::One(message), Envelope::to(MANAGEMENT).settled());
        }
        self.endpoint.submit(clock::now());
    }

    /// What is known now. `site` is the own one, which is no other.
    pub(super) fn observed(&self, site: &str) -> Observed {
        let mut sites = self.network.sites();
        let mut remotes = BTreeMap::new();
        for (name, (host, failure)) in &self.connectors {
            let Some(container) = self.neighbours.get(host).filter(|_| failure.is_none()) else { continue };
            let Some(id) = self.network.site_of(container) else { continue };
            let site = sites.get(&id).map(|site| site.name.clone()).unwrap_or_default();
            remotes.insert(name.clone(), Remote { id, name: site });
        }
        sites.remove(site);
        Observed {
            is_running: true,
            links: self.connectors.iter().map(|(name, (_, failure))| (name.clone(), failure.clone())).collect(),
            remotes,
            accesses: self.accesses.clone(),
            listeners: self.listeners.clone(),
            services: self.network.services(),
            sites,
            ..Observed::default()
        }
    }

    fn on_delivery(&mut self, delivery: Delivery) {
        let link = delivery.link();
        let message = Message::decode(delivery.message().unwrap_or_default());
        self.endpoint.settle(delivery, DeliveryState::Accepted);
        let Ok(message) = message else { return };
        if link == self.beacons {
            if let Some(source) = self.network.on_beacon(&message.application_properties) {
                self.discover(source);
            }
            return;
        }
        let body = match message.body {
            Body::Value(body) => body,
            _ => Value::Null,
        };
        match self.sources.iter_mut().find(|(_, source)| source.link == link) {
            Some((address, source)) => {
                self.network.on_records(address, &body);
                if let Some(direct) = source.direct.take() {
                    self.flush(&direct);
                }
            }
            None => self.on_reply(message.properties.correlation_id.as_str().unwrap_or_default(), &body),
        }
    }

    /// Listens to a source.
    fn discover(&mut self, Discovered { address, direct }: Discovered) {
        if self.own.as_ref() == Some(&address) {
            return;
        }
        let [Ok(attached)] =
            self.endpoint.attach([Attach::receiver(&address, &address).with_credit(CREDIT)], clock::now())
        else {
            return;
        };
        self.sources.insert(address, Listening { link: attached.link, direct: Some(direct) });
    }

    /// Asks a source for all that it has told before.
    fn flush(&mut self, direct: &str) {
        let properties =
            Properties { to: Some(direct.to_owned()), subject: Some("FLUSH".to_owned()), ..Properties::default() };
        let message = MessageBuilder::new().header(&Header::default()).properties(&properties).value(Value::Null);
        self.endpoint.send(self.out, Payload::One(message), Envelope::to(direct).settled());
    }

    fn on_reply(&mut self, correlation_id: &str, body: &Value) {
        let Some(query) = Query::ALL.into_iter().find(|query| query.entity() == correlation_id) else { return };
        let Some(Value::List(rows)) = body.as_map().and_then(|map| map.get("results")) else { return };
        let rows = rows.iter().filter_map(|row| match row {
            Value::List(cells) => Some(cells),
            _ => None,
        });
        let text = |cells: &[Value], at: usize| cells.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        match query {
            Query::Connectors => {
                let row = |cells: &Vec<Value>| {
                    let failure = (text(cells, 3) != "SUCCESS").then(|| text(cells, 4));
                    (text(cells, 0), (format!("{}:{}", text(cells, 1), text(cells, 2)), failure))
                };
                let connectors = rows.map(row).collect();
                if std::mem::replace(&mut self.connectors, connectors) != self.connectors {
                    self.rest = 1;
                }
            }
            Query::Accesses | Query::Listeners => {
                let row = |cells: &Vec<Value>| (text(cells, 0), (text(cells, 1) == "up", text(cells, 2)));
                let seen = if query == Query::Accesses { &mut self.accesses } else { &mut self.listeners };
                *seen = rows.map(row).collect();
            }
            Query::Connections => {
                let leads_out =
                    |cells: &&Vec<Value>| text(cells, 2) == "out" && cells.get(3) == Some(&Value::Bool(true));
                self.neighbours = rows.filter(leads_out).map(|cells| (text(cells, 0), text(cells, 1))).collect();
            }
        }
    }
}
