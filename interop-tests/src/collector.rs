//! A collector of the routers' records, as the network observer is one: it finds sources by their beacons, asks each for
//! all that it has, and merges what comes.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{AmqpValue, Body, Message, Properties};
use fe2o3_amqp::types::primitives::{SimpleValue, Value};
use fe2o3_amqp::{Connection, Receiver, Sender, Session};
use std::sync::Mutex;
use tokio::sync::mpsc;

use crate::harness::eventually;

/// Codes of records and attributes (spec `vanflow.md` sections 5 and 6).
pub mod code {
    #![expect(missing_docs, reason = "the names are the protocol's")]
    pub const ROUTER: u32 = 1;
    pub const LINK: u32 = 2;
    pub const LISTENER: u32 = 4;
    pub const CONNECTOR: u32 = 5;
    pub const ROUTER_ACCESS: u32 = 15;
    pub const BIFLOW_TPORT: u32 = 16;
    pub const BIFLOW_APP: u32 = 17;

    pub const RECORD_TYPE: u32 = 0;
    pub const IDENTITY: u32 = 1;
    pub const PARENT: u32 = 2;
    pub const START_TIME: u32 = 3;
    pub const END_TIME: u32 = 4;
    pub const PEER: u32 = 6;
    pub const SOURCE_HOST: u32 = 14;
    pub const PROTOCOL: u32 = 16;
    pub const SOURCE_PORT: u32 = 17;
    pub const VAN_ADDRESS: u32 = 19;
    pub const OCTETS: u32 = 23;
    pub const LATENCY: u32 = 24;
    pub const METHOD: u32 = 27;
    pub const RESULT: u32 = 28;
    pub const REASON: u32 = 29;
    pub const NAME: u32 = 30;
    pub const TRACE: u32 = 31;
    pub const FLOW_COUNT_L4: u32 = 40;
    pub const STREAM_ID: u32 = 47;
    pub const LINK_COUNT: u32 = 52;
    pub const OPER_STATUS: u32 = 53;
    pub const OCTETS_REVERSE: u32 = 58;
    pub const CONNECTOR_REF: u32 = 60;
    pub const PROCESS_LATENCY: u32 = 61;
    pub const PROXY_PORT: u32 = 63;
    pub const ERROR_LISTENER_SIDE: u32 = 64;
    pub const ERROR_CONNECTOR_SIDE: u32 = 65;
}

/// A record, from all that was told of it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What it is about.
    pub kind: u32,
    texts: BTreeMap<u32, String>,
    numbers: BTreeMap<u32, u64>,
    /// How often something was told of it.
    pub updates: usize,
}

/// A collector that is connected to a router.
pub struct Collector {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    records: BTreeMap<String, Record>,
    failure: Option<String>,
}

// === impl Record ===

impl Record {
    /// A text; empty when it was not told.
    pub fn text(&self, attribute: u32) -> &str {
        self.texts.get(&attribute).map_or("", String::as_str)
    }

    /// A number, if it was told.
    pub fn number(&self, attribute: u32) -> Option<u64> {
        self.numbers.get(&attribute).copied()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.numbers.contains_key(&code::END_TIME)
    }

    fn set(&mut self, attribute: u32, value: Value) -> Result<()> {
        match value {
            Value::Ulong(number) => drop(self.numbers.insert(attribute, number)),
            Value::String(text) => drop(self.texts.insert(attribute, text)),
            other => bail!("attribute {attribute} is {other:?}"),
        }
        Ok(())
    }
}

// === impl Collector ===

impl Collector {
    /// Connects to a router. What the routers of its network tell is collected from then on.
    pub fn attach(router: SocketAddr) -> Result<Self> {
        let shared = Arc::<Mutex<Shared>>::default();
        let collecting = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            if let Err(error) = runtime.block_on(collect(router, &collecting)) {
                collecting.lock().expect("unpoisoned").failure = Some(format!("{error:#}"));
            }
        });
        Ok(Self { shared })
    }

    /// The records of a type, by identity.
    pub fn records(&self, kind: u32) -> Result<BTreeMap<String, Record>> {
        let shared = self.shared.lock().expect("unpoisoned");
        ensure!(shared.failure.is_none(), "collecting failed: {:?}", shared.failure);
        let of_type = shared.records.iter().filter(|(_, record)| record.kind == kind);
        Ok(of_type.map(|(identity, record)| (identity.clone(), record.clone())).collect())
    }

    /// Waits until there are `count` records of a type that `wanted` holds for, and returns them.
    pub fn wait_for(
        &self,
        kind: u32,
        count: usize,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<BTreeMap<String, Record>> {
        eventually(&format!("{count} records of type {kind}"), || {
            let all = self.records(kind)?;
            let found: BTreeMap<_, _> = all.iter().filter(|(_, record)| wanted(record)).collect();
            ensure!(found.len() == count, "{} of {all:#?}", found.len());
            Ok(found.into_iter().map(|(identity, record)| (identity.clone(), record.clone())).collect())
        })
    }
}

async fn collect(router: SocketAddr, shared: &Arc<Mutex<Shared>>) -> Result<()> {
    let url = format!("amqp://{router}");
    let mut connection = Connection::builder().container_id("collector").open(url.as_str()).await.context("open")?;
    let mut session = Session::begin(&mut connection).await.context("begin")?;
    let (tell, mut told) = mpsc::unbounded_channel();
    listen(&mut session, "mc/sfe.all", &tell).await?;
    let mut sources = HashSet::new();
    while let Some(message) = told.recv().await {
        let message: Message<Body<Value>> = message?;
        let subject = message.properties.as_ref().and_then(|properties| properties.subject.clone());
        match subject.as_deref() {
            Some("BEACON") => {
                let address = beacon_text(&message, "address")?;
                if sources.insert(address.clone()) {
                    for channel in ["", ".flows"] {
                        listen(&mut session, &format!("{address}{channel}"), &tell).await?;
                    }
                    flush(&mut session, &beacon_text(&message, "direct")?).await?;
                }
            }
            Some("HEARTBEAT") => {}
            Some("RECORD") => merge(message, &mut shared.lock().expect("unpoisoned").records)?,
            other => bail!("subject {other:?}"),
        }
    }
    Ok(())
}

type Told = Result<Message<Body<Value>>>;

/// Hands on what comes to an address.
async fn listen(session: &mut SessionHandle<()>, address: &str, tell: &mpsc::UnboundedSender<Told>) -> Result<()> {
    let mut receiver = Receiver::attach(session, format!("collect {address}"), address).await.context("attach")?;
    let tell = tell.clone();
    tokio::spawn(async move {
        loop {
            let received = async {
                let delivery = receiver.recv::<Body<Value>>().await?;
                receiver.accept(&delivery).await?;
                anyhow::Ok(delivery.into_message())
            };
            let received = received.await;
            let is_over = received.is_err();
            if tell.send(received).is_err() || is_over {
                return;
            }
        }
    });
    Ok(())
}

/// Asks a source for all that it has.
async fn flush(session: &mut SessionHandle<()>, direct: &str) -> Result<()> {
    let mut sender = Sender::attach(session, format!("flush {direct}"), direct).await.context("attach")?;
    let properties = Properties::builder().subject("FLUSH").build();
    let message = Message::builder().properties(properties).value(Value::Null).build();
    sender.send(message).await.context("flush")?;
    sender.close().await.context("close")
}

fn beacon_text(message: &Message<Body<Value>>, key: &str) -> Result<String> {
    let facts = message.application_properties.as_ref().context("no application properties")?;
    match facts.get(key) {
        Some(SimpleValue::String(text)) => Ok(text.clone()),
        other => bail!("{key} of a beacon is {other:?}"),
    }
}

/// Patches records with what was told. Every record must come with its type and identity, and none after its end.
fn merge(message: Message<Body<Value>>, records: &mut BTreeMap<String, Record>) -> Result<()> {
    let Body::Value(AmqpValue(Value::List(maps))) = message.body else { bail!("the body is no list") };
    ensure!(maps.len() <= 50, "{} records in a message", maps.len());
    for map in maps {
        let Value::Map(map) = map else { bail!("a record is {map:?}") };
        let mut fields = BTreeMap::new();
        for (key, value) in map {
            let Value::Uint(key) = key else { bail!("a key is {key:?}") };
            fields.insert(key, value);
        }
        let Some(Value::Uint(kind)) = fields.remove(&code::RECORD_TYPE) else { bail!("no type: {fields:?}") };
        let Some(Value::String(identity)) = fields.remove(&code::IDENTITY) else { bail!("no identity: {fields:?}") };
        let record = records.entry(identity.clone()).or_insert_with(|| Record { kind, ..Record::default() });
        ensure!(record.kind == kind, "{identity} was {} and is {kind}", record.kind);
        ensure!(!record.has_ended(), "{identity} is told of after its end: {fields:?}");
        record.updates += 1;
        for (attribute, value) in fields {
            record.set(attribute, value).with_context(|| identity.clone())?;
        }
    }
    Ok(())
}
