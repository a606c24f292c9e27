//! A management client over fe2o3-amqp, for tests and the demonstration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{ApplicationProperties, Body, Message, Properties, Source};
use fe2o3_amqp::types::primitives::{OrderedMap, SimpleValue, Value};
use fe2o3_amqp::{Connection, Receiver, Sender, Session};
use serde_json::Value as Json;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Longest wait for one reply. A request to a router that is not reachable gets none.
const REPLY_WAIT: Duration = Duration::from_secs(10);

/// Attributes of one entity.
pub type Entity = BTreeMap<String, Json>;

/// A connection to one router's management node.
///
/// The client has a thread of its own, so heartbeats flow while the test does other things.
pub struct Management {
    runtime: Runtime,
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
    replies: Receiver,
    reply_address: String,
    senders: BTreeMap<String, Sender>,
}

/// Reply of the management node.
#[derive(Debug)]
struct Reply {
    status: i64,
    description: String,
    body: Json,
}

// === impl Management ===

impl Management {
    /// Connects to the router that listens at `address`.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let open = async {
            let url = format!("amqp://{address}");
            // Link names and container ids must differ between clients of one router.
            static CLIENTS: AtomicU64 = AtomicU64::new(0);
            let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
            let container = format!("interop-management-{}-{number}", std::process::id());
            let mut connection =
                Connection::builder().container_id(container).open(url.as_str()).await.context("open")?;
            let mut session = Session::begin(&mut connection).await.context("begin")?;
            let replies = Receiver::builder()
                .name("replies")
                .source(Source::builder().dynamic(true).build())
                .attach(&mut session)
                .await
                .context("attach of the reply link")?;
            let source = replies.source().as_ref().and_then(|source| source.address.clone());
            let reply_address = source.context("no dynamic address")?.to_string();
            anyhow::Ok((connection, session, replies, reply_address))
        };
        let opened = runtime.block_on(async { timeout(REPLY_WAIT, open).await });
        let (connection, session, replies, reply_address) =
            opened.context("timed out").flatten().with_context(|| format!("management connection to {address}"))?;
        Ok(Self { runtime, connection, session, replies, reply_address, senders: BTreeMap::new() })
    }

    /// All entities of a type, whose name is given without the `io.skupper.router.` prefix.
    pub fn query(&mut self, kind: &str) -> Result<Vec<Entity>> {
        self.query_at("$management", kind)
    }

    /// All entities of a type at the management node `address`, for instance `_topo/0/R2/$management`.
    pub fn query_at(&mut self, address: &str, kind: &str) -> Result<Vec<Entity>> {
        let body = OrderedMap::from_iter([(Value::from("attributeNames".to_owned()), Value::List(Vec::new()))]);
        let properties = [("operation", "QUERY".to_owned()), ("entityType", qualified(kind))];
        let reply = self.request(address, properties.to_vec(), body)?.expect(200)?;
        let names = reply["attributeNames"].as_array().context("no attributeNames")?;
        let rows = reply["results"].as_array().context("no results")?;
        let entity = |row: &Json| {
            let values = row.as_array().map(Vec::as_slice).unwrap_or_default();
            let pairs = names.iter().zip(values);
            pairs.map(|(name, value)| (name.as_str().unwrap_or_default().to_owned(), value.clone())).collect()
        };
        Ok(rows.iter().map(entity).collect())
    }

    /// Creates an entity.
    pub fn create(&mut self, kind: &str, name: &str, attributes: &[(&str, &str)]) -> Result<()> {
        let text = |text: &str| Value::from(text.to_owned());
        let body = attributes.iter().map(|(key, value)| (text(key), text(value))).collect();
        let properties = named("CREATE", kind, name);
        self.request("$management", properties, body)?.expect(201).map(drop)
    }

    /// Changes attributes of an entity.
    pub fn update(&mut self, kind: &str, name: &str, attributes: &[(&str, &str)]) -> Result<()> {
        let text = |text: &str| Value::from(text.to_owned());
        let body = attributes.iter().map(|(key, value)| (text(key), text(value))).collect();
        let properties = named("UPDATE", kind, name);
        self.request("$management", properties, body)?.expect(200).map(drop)
    }

    /// Deletes an entity.
    pub fn delete(&mut self, kind: &str, name: &str) -> Result<()> {
        let properties = named("DELETE", kind, name);
        self.request("$management", properties, OrderedMap::new())?.expect(204).map(drop)
    }

    /// Deletes a connection, given by its identity.
    pub fn delete_connection(&mut self, identity: &str) -> Result<()> {
        let kind = qualified("connection");
        let properties = vec![("operation", "UPDATE".to_owned()), ("type", kind), ("identity", identity.to_owned())];
        let text = |text: &str| Value::from(text.to_owned());
        let body = OrderedMap::from_iter([(text("adminStatus"), text("deleted"))]);
        self.request("$management", properties, body)?.expect(200).map(drop)
    }

    fn request(
        &mut self,
        address: &str,
        properties: Vec<(&str, String)>,
        body: OrderedMap<Value, Value>,
    ) -> Result<Reply> {
        let exchange = async {
            if !self.senders.contains_key(address) {
                let name = format!("requests-{address}");
                let sender = Sender::attach(&mut self.session, name, address).await?;
                self.senders.insert(address.to_owned(), sender);
            }
            let sender = self.senders.get_mut(address).context("just inserted")?;
            let application = ApplicationProperties(
                properties.into_iter().map(|(key, value)| (key.to_owned(), SimpleValue::String(value))).collect(),
            );
            let correlation = "1".to_owned();
            let request = Message::builder()
                .properties(Properties::builder().reply_to(self.reply_address.clone()).correlation_id(correlation))
                .application_properties(application)
                .value(Value::Map(body))
                .build();
            sender.send(request).await?.accepted_or("request not accepted").map_err(anyhow::Error::msg)?;
            let reply = self.replies.recv::<Body<Value>>().await?;
            self.replies.accept(&reply).await?;
            Reply::decode(reply.into_message())
        };
        let outcome = self.runtime.block_on(async { timeout(REPLY_WAIT, exchange).await });
        outcome.context("timed out").flatten().with_context(|| format!("management request to {address}"))
    }
}

impl Drop for Management {
    fn drop(&mut self) {
        // An orderly end, since routers log dropped connections as errors. The test's verdict does not depend on it.
        let close = async {
            let _ = self.session.end().await;
            let _ = self.connection.close().await;
        };
        let _ = self.runtime.block_on(async { timeout(REPLY_WAIT, close).await });
        // fe2o3-amqp's own drop code needs the runtime that it was made in.
        let _guard = self.runtime.enter();
        self.senders.clear();
    }
}

// === impl Reply ===

impl Reply {
    fn decode(message: Message<Body<Value>>) -> Result<Self> {
        let application = message.application_properties.context("reply without application properties")?;
        let status = match application.0.get("statusCode") {
            Some(SimpleValue::Int(status)) => i64::from(*status),
            other => bail!("statusCode is {other:?}"),
        };
        let description = match application.0.get("statusDescription") {
            Some(SimpleValue::String(text)) => text.clone(),
            _ => String::new(),
        };
        let body = match message.body {
            Body::Value(value) => to_json(value.0),
            _ => Json::Null,
        };
        Ok(Self { status, description, body })
    }

    fn expect(self, status: i64) -> Result<Json> {
        if self.status == status { Ok(self.body) } else { bail!("{} {}", self.status, self.description) }
    }
}

fn named<'a>(operation: &str, kind: &str, name: &str) -> Vec<(&'a str, String)> {
    vec![("operation", operation.to_owned()), ("type", qualified(kind)), ("name", name.to_owned())]
}

fn qualified(kind: &str) -> String {
    format!("io.skupper.router.{kind}")
}

fn to_json(value: Value) -> Json {
    match value {
        Value::Bool(value) => value.into(),
        Value::Ubyte(value) => value.into(),
        Value::Ushort(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Ulong(value) => value.into(),
        Value::Byte(value) => value.into(),
        Value::Short(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Long(value) => value.into(),
        Value::Double(value) => value.into_inner().into(),
        Value::String(value) => value.into(),
        Value::Symbol(value) => value.0.into(),
        Value::List(values) => values.into_iter().map(to_json).collect(),
        Value::Map(map) => {
            let key = |key| match to_json(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            Json::Object(map.into_iter().map(|(name, value)| (key(name), to_json(value))).collect())
        }
        _ => Json::Null,
    }
}
