//! The connection of a controller: one session, three links, one request at a time.

use super::value::{Value, map, string};
use crate::harness::patience;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const OPEN: u64 = 0x10;
const BEGIN: u64 = 0x11;
const ATTACH: u64 = 0x12;
const FLOW: u64 = 0x13;
const TRANSFER: u64 = 0x14;
const DISPOSITION: u64 = 0x15;
const DETACH: u64 = 0x16;
const END: u64 = 0x17;
const CLOSE: u64 = 0x18;
const ACCEPTED: u64 = 0x24;
const SOURCE: u64 = 0x28;
const TARGET: u64 = 0x29;
const PROPERTIES: u64 = 0x73;
const APPLICATION_PROPERTIES: u64 = 0x74;
const AMQP_VALUE: u64 = 0x77;

/// Handles of the receiver and of the sender to `$management`; the anonymous sender has the next one.
const REPLIES: u32 = 0;
const REQUESTS: u32 = 1;

const HEADER: [u8; 8] = *b"AMQP\0\x01\0\0";
const CREDIT: u32 = 10;

/// A connection. Its methods fail when the router closes or detaches anything.
#[derive(Debug)]
pub struct Controller {
    socket: TcpStream,
    reply_to: String,
    deliveries: u32,
    received: u32,
}

/// An answer, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// With its type: strict clients compare it with what they sent.
    pub correlation_id: Value,
    /// The number in `statusCode`.
    pub status: i128,
    /// `statusDescription`.
    pub description: String,
    /// The body.
    pub body: Value,
}

// === impl Controller ===

impl Controller {
    /// Connects without SASL and attaches the three links.
    ///
    /// # Errors
    /// When the router does not take part.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(patience()))?;
        socket.set_nodelay(true)?;
        socket.write_all(&HEADER)?;
        let mut header = [0; 8];
        socket.read_exact(&mut header)?;
        ensure!(header == HEADER, "the router's header is {header:?}");
        let mut controller = Self { socket, reply_to: String::new(), deliveries: 0, received: 0 };
        controller.open()?;
        Ok(controller)
    }

    fn open(&mut self) -> Result<()> {
        let [null, no, yes] = [Value::Null, Value::Bool(false), Value::Bool(true)];
        let open =
            vec![string("controller"), string("localhost"), Value::Uint(u32::MAX), Value::Null, Value::Uint(60_000)];
        self.send(OPEN, open)?;
        self.send(BEGIN, vec![null.clone(), Value::Uint(0), Value::Uint(100), Value::Uint(100), Value::Uint(255)])?;
        let dynamic = vec![string(""), Value::Uint(0), null.clone(), Value::Uint(0), yes.clone()];
        let replies = [Value::described(SOURCE, dynamic), Value::described(TARGET, vec![])];
        self.attach("replies", REPLIES, true, replies)?;
        let flow = [null.clone(), Value::Uint(100), Value::Uint(0), Value::Uint(100), Value::Uint(REPLIES)];
        let credit = [null.clone(), Value::Uint(CREDIT), null.clone(), no.clone(), no];
        self.send(FLOW, flow.into_iter().chain(credit).collect())?;
        let target = |address| [Value::described(SOURCE, vec![]), Value::described(TARGET, vec![address])];
        self.attach("requests", REQUESTS, false, target(string("$management")))?;
        self.attach("anonymous", REQUESTS + 1, false, target(null))?;
        let (mut attached, mut flows) = (0, 0);
        while attached < 3 || flows < 2 {
            let (code, fields, _) = self.receive()?;
            match code {
                ATTACH => {
                    attached += 1;
                    ensure!(fields.len() > 6, "an attach without source and target");
                    if fields[2] == Value::Bool(false) {
                        self.reply_to = assigned(&fields[5]).context("no address was assigned")?;
                    }
                }
                FLOW => flows += usize::from(fields.get(4).is_some_and(|handle| *handle != Value::Null)),
                OPEN | BEGIN => {}
                code => anyhow::bail!("performative {code:#x}: {fields:?}"),
            }
        }
        Ok(())
    }

    fn attach(&mut self, name: &str, handle: u32, is_receiver: bool, [source, target]: [Value; 2]) -> Result<()> {
        let start = [string(name), Value::Uint(handle), Value::Bool(is_receiver), Value::Ubyte(2), Value::Ubyte(0)];
        let rest = if is_receiver { vec![] } else { vec![Value::Null, Value::Bool(false), Value::Uint(0)] };
        self.send(ATTACH, start.into_iter().chain([source, target]).chain(rest).collect())
    }

    /// All entities of a type, with all their attributes.
    ///
    /// # Errors
    /// When the answer is none that the controllers' client decodes.
    pub fn query(&mut self, kind: &str) -> Result<Vec<Value>> {
        let kind = format!("io.skupper.router.{kind}");
        let body = map([("attributeNames", Value::no_strings())]);
        let reply = self.request(&[("operation", "QUERY"), ("entityType", &kind)], Some(body))?;
        ensure!(reply.status == 200, "{kind}: {} {}", reply.status, reply.description);
        let list = |key| {
            reply.body.get(key).and_then(Value::items).with_context(|| format!("{key} is no list: {:?}", reply.body))
        };
        let names = list("attributeNames")?;
        ensure!(names.iter().all(|name| name.text().is_some()), "names that are no text: {names:?}");
        let row = |row: &Value| {
            let values = row.items().with_context(|| format!("a row that is no list: {row:?}"))?;
            ensure!(values.len() == names.len(), "{} values for {} names", values.len(), names.len());
            Ok(Value::Map(names.iter().cloned().zip(values.iter().cloned()).collect()))
        };
        list("results")?.iter().map(row).collect()
    }

    /// CREATE.
    ///
    /// # Errors
    /// When there is no answer; what it says is up to the caller.
    pub fn create(&mut self, kind: &str, name: &str, attributes: &[(&str, Value)]) -> Result<Reply> {
        self.write("CREATE", kind, name, Some(attributes))
    }

    /// UPDATE.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn update(&mut self, kind: &str, name: &str, attributes: &[(&str, Value)]) -> Result<Reply> {
        self.write("UPDATE", kind, name, Some(attributes))
    }

    /// DELETE, without a body.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn delete(&mut self, kind: &str, name: &str) -> Result<Reply> {
        self.write("DELETE", kind, name, None)
    }

    fn write(
        &mut self,
        operation: &str,
        kind: &str,
        name: &str,
        attributes: Option<&[(&str, Value)]>,
    ) -> Result<Reply> {
        let kind = format!("io.skupper.router.{kind}");
        let body = attributes.map(|given| map([("name", string(name))].into_iter().chain(given.iter().cloned())));
        self.request(&[("operation", operation), ("type", &kind), ("name", name)], body)
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// When there is none, or one without the properties of an answer.
    pub fn request(&mut self, properties: &[(&str, &str)], body: Option<Value>) -> Result<Reply> {
        let null = || Value::Null;
        let head = vec![null(), null(), null(), null(), string(&self.reply_to), Value::Ulong(1)];
        let mut message = Vec::new();
        Value::described(PROPERTIES, head).encode(&mut message);
        let properties = map(properties.iter().map(|(key, value)| (*key, string(*value))));
        Value::Described(APPLICATION_PROPERTIES, Box::new(properties)).encode(&mut message);
        if let Some(body) = body {
            Value::Described(AMQP_VALUE, Box::new(body)).encode(&mut message);
        }
        self.deliveries += 1;
        let id = self.deliveries - 1;
        let tag = Value::Binary(id.to_be_bytes().to_vec());
        let transfer = vec![Value::Uint(REQUESTS), Value::Uint(id), tag, Value::Uint(0), Value::Bool(false)];
        self.send_with(TRANSFER, transfer, &message)?;
        let message = self.reply()?;
        reply(&message)
    }

    /// The message of the next delivery, which is accepted.
    fn reply(&mut self) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        let mut id = None;
        loop {
            let (code, fields, payload) = self.receive()?;
            match code {
                TRANSFER => {
                    id = id.or_else(|| fields.get(1).cloned().filter(|id| *id != Value::Null));
                    message.extend(payload);
                    if fields.get(5) != Some(&Value::Bool(true)) {
                        break;
                    }
                }
                FLOW | DISPOSITION => {}
                code => anyhow::bail!("performative {code:#x}: {fields:?}"),
            }
        }
        let id = id.context("a delivery without an id")?;
        let accepted = Value::described(ACCEPTED, vec![]);
        self.send(DISPOSITION, vec![Value::Bool(true), id.clone(), id, Value::Bool(true), accepted])?;
        self.received += 1;
        let (received, sent) = (Value::Uint(self.received), Value::Uint(self.deliveries));
        let flow = vec![received.clone(), Value::Uint(100), sent, Value::Uint(100), Value::Uint(REPLIES), received];
        self.send(FLOW, flow.into_iter().chain([Value::Uint(CREDIT)]).collect())?;
        Ok(message)
    }

    fn send(&mut self, code: u64, fields: Vec<Value>) -> Result<()> {
        self.send_with(code, fields, &[])
    }

    fn send_with(&mut self, code: u64, fields: Vec<Value>, payload: &[u8]) -> Result<()> {
        let mut frame = vec![0, 0, 0, 0, 2, 0, 0, 0];
        Value::described(code, fields).encode(&mut frame);
        frame.extend(payload);
        let size = u32::try_from(frame.len())?.to_be_bytes();
        frame[..4].copy_from_slice(&size);
        Ok(self.socket.write_all(&frame)?)
    }

    /// The next frame that is not empty. What ends anything is an error.
    fn receive(&mut self) -> Result<(u64, Vec<Value>, Vec<u8>)> {
        loop {
            let mut head = [0; 8];
            self.socket.read_exact(&mut head)?;
            let size = usize::try_from(u32::from_be_bytes(head[..4].try_into()?))?;
            let mut body = vec![0; size.checked_sub(8).context("a frame without a header")?];
            self.socket.read_exact(&mut body)?;
            if body.is_empty() {
                continue;
            }
            let mut rest = &body[..];
            let Value::Described(code, fields) = Value::decode(&mut rest)? else { anyhow::bail!("no performative") };
            ensure!(!matches!(code, DETACH | END | CLOSE), "the router ended it: {code:#x} {fields:?}");
            let Value::List(fields) = *fields else { anyhow::bail!("a performative that is no list") };
            return Ok((code, fields, rest.to_vec()));
        }
    }
}

/// The address in a source.
fn assigned(source: &Value) -> Option<String> {
    match source {
        Value::Described(SOURCE, fields) => fields.items()?.first()?.text().map(str::to_owned),
        _ => None,
    }
}

fn reply(message: &[u8]) -> Result<Reply> {
    let (mut rest, mut correlation_id, mut properties, mut body) = (message, Value::Null, Value::Null, Value::Null);
    while !rest.is_empty() {
        let Value::Described(code, value) = Value::decode(&mut rest)? else { anyhow::bail!("no section") };
        match code {
            PROPERTIES => {
                correlation_id = value.items().and_then(|fields| fields.get(5)).cloned().unwrap_or(Value::Null)
            }
            APPLICATION_PROPERTIES => properties = *value,
            AMQP_VALUE => body = *value,
            _ => {}
        }
    }
    let property = |key| properties.get(key).with_context(|| format!("no {key} as text: {properties:?}"));
    Ok(Reply {
        correlation_id,
        status: property("statusCode")?.number().context("a status that is no integer")?,
        description: property("statusDescription")?.text().context("a description that is no text")?.to_owned(),
        body,
    })
}
