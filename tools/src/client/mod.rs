//! A management client: one connection, a reply link, and a link for requests to each management node.
//!
//! Quirks of `fe2o3-amqp` that are lived with: its tasks run only while the runtime is entered, so nothing here blocks;
//! and a message comes out only when all of it has arrived, which suits replies.

mod annotations;
mod handshake;
mod query;
mod sasl;
mod tls;
mod url;

use std::collections::HashMap;
use std::time::Duration;

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{ApplicationProperties, Body, Message, MessageId, Outcome, Properties, Source};
use fe2o3_amqp::types::primitives::{SimpleValue, Value};
use fe2o3_amqp::{Receiver, Sender, Session};
use rustls::crypto::aws_lc_rs;
use serde_json::Value as Json;
use tokio::time::timeout;

pub use query::{Row, Rows};
pub use sasl::Sasl;
pub use tls::Tls;
pub use url::Url;

use crate::error::{Error, Result};
use crate::value::{to_amqp, to_json, to_simple};

/// Type of the management node itself.
const NODE_TYPE: &str = "org.amqp.management";

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host, port, and the path if there is one.
    pub url: Url,
    /// Address of the management node.
    pub address: String,
    /// Limit of each step.
    pub timeout: Duration,
    /// TLS, if it is used.
    pub tls: Option<Tls>,
    /// The SASL layer, if it is used.
    pub sasl: Option<Sasl>,
}

/// A request to a management node: application properties in the order of sending, and a body.
#[derive(Clone, Debug)]
pub struct Request {
    properties: Vec<(String, Json)>,
    body: Json,
}

/// A connection to a router, and the management node that requests go to.
pub struct Client {
    target: Target,
    container: String,
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
    replies: Receiver,
    reply_to: String,
    senders: HashMap<String, Sender>,
    next_request: u64,
}

// === impl Request ===

impl Request {
    /// An operation on an entity. Properties without a value are not sent.
    pub fn new(operation: &str) -> Self {
        Self { properties: vec![("operation".to_owned(), operation.into())], body: Json::Object(Default::default()) }
    }

    /// An operation on the management node itself.
    pub fn to_node(operation: &str) -> Self {
        Self::new(operation).with("name", "self").with("type", NODE_TYPE)
    }

    /// Sets an application property. An earlier one of that name keeps its place.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        let value = value.into();
        match self.properties.iter_mut().find(|(known, _)| known == name) {
            _ if value.is_null() => {}
            Some((_, old)) => *old = value,
            None => self.properties.push((name.to_owned(), value)),
        }
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: Json) -> Self {
        self.body = body;
        self
    }

    fn into_message(self, reply_to: &str, id: &str) -> Result<Message<fe2o3_amqp::types::messaging::AmqpValue<Value>>> {
        let simple = |(name, value): (String, Json)| match to_simple(&value) {
            Some(value) => Ok((name, value)),
            None => Err(Error::Value(format!("property '{name}' must not be a list or map"))),
        };
        let properties = self.properties.into_iter().map(simple).collect::<Result<_>>()?;
        Ok(Message::builder()
            .properties(Properties::builder().reply_to(reply_to.to_owned()).correlation_id(id.to_owned()))
            .application_properties(ApplicationProperties(properties))
            .value(to_amqp(&self.body))
            .build())
    }
}

// === impl Client ===

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Disconnected`], [`Error::Timeout`], [`Error::UnknownHost`], [`Error::Credentials`].
    pub async fn connect(target: &Target) -> Result<Self> {
        let container = random_id();
        let tls = target.tls.as_ref().map(Tls::config).transpose()?;
        let open = handshake::open(&target.url, &container, tls, target.sasl.as_ref());
        let mut connection = step(target, "Opening connection", open).await??;
        let link = format!("{container}-replies");
        let attach = async {
            let mut session = Session::begin(&mut connection).await.map_err(|error| error.to_string())?;
            let source = Source::builder().dynamic(true).build();
            let builder = Receiver::builder().name(link.clone()).source(source);
            let replies = builder.attach(&mut session).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((session, replies))
        };
        let (session, replies) = step(target, &format!("Opening link {link}"), attach).await?.map_err(Error::Link)?;
        let reply_to = replies.source().as_ref().and_then(|source| source.address.clone());
        let reply_to = reply_to.ok_or_else(|| Error::Link("the router gave no reply address".to_owned()))?;
        Ok(Self {
            target: target.clone(),
            container,
            connection,
            session,
            replies,
            reply_to,
            senders: HashMap::new(),
            next_request: 0,
        })
    }

    /// The management node that requests go to.
    pub fn address(&self) -> &str {
        &self.target.address
    }

    /// Sends requests to another management node from now on. Returns the one before.
    pub fn set_address(&mut self, address: &str) -> String {
        std::mem::replace(&mut self.target.address, address.to_owned())
    }

    /// Sends a request and returns the body of the reply.
    ///
    /// # Errors
    /// [`Error::Status`] if the reply's status is not `expected`, [`Error::Timeout`], [`Error::Link`].
    pub async fn call(&mut self, request: Request, expected: i64) -> Result<Json> {
        self.next_request += 1;
        let id = self.next_request.to_string();
        let message = request.into_message(&self.reply_to, &id)?;
        self.send(message).await?;
        loop {
            let received = step(&self.target, "Waiting for response", self.replies.recv::<Body<Value>>()).await?;
            let delivery = received.map_err(|error| self.lost(&error.to_string()))?;
            self.replies.accept(&delivery).await.map_err(|error| self.lost(&error.to_string()))?;
            let reply = delivery.into_message();
            if correlation(&reply).is_none_or(|found| found == id) {
                return into_body(reply, expected);
            }
        }
    }

    async fn send(&mut self, message: Message<fe2o3_amqp::types::messaging::AmqpValue<Value>>) -> Result<()> {
        let address = self.target.address.clone();
        let name = format!("{}-{address}", self.container);
        if !self.senders.contains_key(&address) {
            let attach = Sender::attach(&mut self.session, name.clone(), address.clone());
            let attached = step(&self.target, &format!("Opening link {name}"), attach).await?;
            self.senders.insert(address.clone(), attached.map_err(|error| Error::Link(error.to_string()))?);
        }
        let Some(sender) = self.senders.get_mut(&address) else {
            return Err(Error::Link(format!("no link to {address}")));
        };
        match step(&self.target, &format!("Sending on sender {name}"), sender.send(message)).await? {
            Ok(Outcome::Accepted(_)) => Ok(()),
            Ok(outcome) => Err(Error::Link(format!("request to {address} was not accepted: {outcome:?}"))),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    fn lost(&self, description: &str) -> Error {
        Error::Disconnected {
            url: self.target.url.to_string(),
            condition: "amqp:connection:framing-error".to_owned(),
            description: description.to_owned(),
        }
    }

    /// Ends the connection in order, since routers log lost ones.
    pub async fn close(mut self) {
        let close = async {
            // Nothing depends on how this ends.
            let _ = self.session.end().await;
            let _ = self.connection.close().await;
        };
        let _ = timeout(self.target.timeout, close).await;
    }
}

async fn step<F: Future>(target: &Target, what: &str, future: F) -> Result<F::Output> {
    let late = |_| Error::Timeout { url: target.url.to_string(), step: what.to_owned() };
    timeout(target.timeout, future).await.map_err(late)
}

fn correlation(reply: &Message<Body<Value>>) -> Option<String> {
    match reply.properties.as_ref()?.correlation_id.as_ref()? {
        MessageId::String(text) => Some(text.clone()),
        MessageId::Ulong(number) => Some(number.to_string()),
        _ => None,
    }
}

fn into_body(reply: Message<Body<Value>>, expected: i64) -> Result<Json> {
    let properties = reply.application_properties.map(|properties| properties.0).unwrap_or_default();
    let code = match properties.get("statusCode") {
        Some(SimpleValue::Int(code)) => i64::from(*code),
        Some(SimpleValue::Uint(code)) => i64::from(*code),
        Some(SimpleValue::Long(code)) => *code,
        other => return Err(Error::Link(format!("reply with the status {other:?}"))),
    };
    let description = match properties.get("statusDescription") {
        Some(SimpleValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    match (code, reply.body) {
        (code, Body::Value(value)) if code == expected => Ok(to_json(value.0)),
        (code, _) if code == expected => Ok(Json::Null),
        (200..=299, _) => Err(unexpected(code, expected, &description)),
        _ => Err(Error::Status { code, description }),
    }
}

fn unexpected(code: i64, expected: i64, description: &str) -> Error {
    let text = |code| match code {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        _ => "Success",
    };
    let (found, wanted) = (text(code), text(expected));
    Error::Value(format!("Response was {code}({found}) but expected {expected}({wanted}): {description}"))
}

/// A container id that no other client has, in the form of a UUID.
fn random_id() -> String {
    let mut octets = [0_u8; 16];
    let filled = aws_lc_rs::default_provider().secure_random.fill(&mut octets);
    if filled.is_err() {
        octets[..4].copy_from_slice(&std::process::id().to_be_bytes());
    }
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
