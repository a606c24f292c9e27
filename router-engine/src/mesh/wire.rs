//! Encoding and decoding of routing protocol messages
//! (spec `inter-router-protocol.md` 6.1, 8.2; octets as in the captures of 15.4 to 15.7).
//!
//! Existing routers always use the 32-index forms of lists and maps. Messages are made the same way,
//! so that captures can be compared octet by octet. The router annotations section is not part of
//! what is made here: it changes at every hop.

use amqp_core::codec::{Decode, Reader, format};
use amqp_core::value::{Map, Value};
use bytes::{BufMut, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Which of the two styles a message is made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// HELLO, RA, LSR, LSU: keys are strings, integers `int` where they fit, six properties.
    LinkState,
    /// MAR, MAU: keys are symbols, integers `long`, three properties.
    Mobile,
}

/// Makes the body map of a message.
#[derive(Debug)]
pub(super) struct Body {
    style: Style,
    /// Elements of the map so far: two per entry.
    count: u32,
    out: BytesMut,
}

/// What is known of an address in a mobile address update (spec 8.2, address descriptor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) key: String,
    /// Treatment code and number of local incoming links; not for deletions.
    pub(super) details: Option<(u8, u32)>,
    /// The edge mesh that all local destinations belong to.
    pub(super) mesh_id: Option<String>,
}

/// Opcode and body of a message that begins with any section. `None` when it is no well-formed
/// routing protocol message.
#[must_use]
pub fn parse(message: &Bytes) -> Option<(String, Map)> {
    let mut reader = Reader::from_bytes(message);
    let (mut opcode, mut body) = (None, None);
    while !reader.is_empty() {
        match reader.read_descriptor_code().ok()? {
            format::descriptor::APPLICATION_PROPERTIES => {
                let properties = Map::decode(&mut reader).ok()?;
                opcode = properties.get("opcode").and_then(Value::as_str).map(str::to_owned);
            }
            format::descriptor::AMQP_VALUE => body = Some(Map::decode(&mut reader).ok()?),
            _ => reader.skip_value().ok()?,
        }
    }
    Some((opcode?, body?))
}

// === impl Body ===

impl Body {
    /// A body that begins with the entries all link-state messages have.
    pub(super) fn link_state(id: &str, version: i64) -> Self {
        Self::new(Style::LinkState, id, version)
    }

    /// A body that begins with the entries all mobile address messages have.
    pub(super) fn mobile(id: &str, version: i64) -> Self {
        Self::new(Style::Mobile, id, version)
    }

    fn new(style: Style, id: &str, version: i64) -> Self {
        let body = Self { style, count: 0, out: BytesMut::new() };
        body.text("id", id).number("pv", version).text("area", crate::address::name::AREA)
    }

    fn key(&mut self, key: &str) {
        self.count += 2;
        match self.style {
            Style::LinkState => put_str(&mut self.out, key),
            Style::Mobile => put_symbol(&mut self.out, key),
        }
    }

    pub(super) fn text(mut self, key: &str, text: &str) -> Self {
        self.key(key);
        put_str(&mut self.out, text);
        self
    }

    pub(super) fn number(mut self, key: &str, number: i64) -> Self {
        self.key(key);
        match self.style {
            Style::LinkState => put_int(&mut self.out, number),
            Style::Mobile => put_long(&mut self.out, number),
        }
        self
    }

    /// A list of strings; an empty one has its short form, unlike those of [`Self::addresses`].
    pub(super) fn texts<'a>(mut self, key: &str, texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        self.key(key);
        if texts.len() == 0 {
            self.out.put_u8(format::LIST0);
        } else {
            put_list(&mut self.out, texts.len(), |out| texts.for_each(|text| put_str(out, text)));
        }
        self
    }

    /// The link state of a router.
    pub(super) fn link_state_of(mut self, key: &str, id: &str, ls_seq: i64, peers: &super::path::Peers) -> Self {
        self.key(key);
        put_map(&mut self.out, 8, |out| {
            put_str(out, "id");
            put_str(out, id);
            put_str(out, "area");
            put_str(out, crate::address::name::AREA);
            put_str(out, "ls_seq");
            put_int(out, ls_seq);
            put_str(out, "peers");
            put_map(out, 2 * peers.len(), |out| {
                for (peer, cost) in peers {
                    put_str(out, peer);
                    put_int(out, i64::from(*cost));
                }
            });
        });
        self
    }

    /// A list of address descriptors.
    pub(super) fn addresses(mut self, key: &str, addresses: &[Descriptor]) -> Self {
        self.key(key);
        put_list(&mut self.out, addresses.len(), |out| {
            for address in addresses {
                address.put(out);
            }
        });
        self
    }

    /// The complete message from its header section on.
    pub(super) fn message(self, to: &str, opcode: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(self.out.len() + to.len() + opcode.len() + 80);
        put_section(&mut out, format::descriptor::HEADER);
        put_list(&mut out, 1, |out| out.put_u8(format::FALSE));
        put_section(&mut out, format::descriptor::PROPERTIES);
        let trailing = if self.style == Style::LinkState { 3 } else { 0 };
        put_list(&mut out, 3 + trailing, |out| {
            out.put_bytes(format::NULL, 2);
            put_str(out, to);
            out.put_bytes(format::NULL, trailing);
        });
        put_section(&mut out, format::descriptor::APPLICATION_PROPERTIES);
        put_map(&mut out, 2, |out| {
            match self.style {
                Style::LinkState => put_str(out, "opcode"),
                Style::Mobile => put_symbol(out, "opcode"),
            }
            put_str(out, opcode);
        });
        put_section(&mut out, format::descriptor::AMQP_VALUE);
        put_map(&mut out, self.count as usize, |out| out.extend_from_slice(&self.out));
        out.freeze()
    }
}

// === impl Descriptor ===

impl Descriptor {
    fn put(&self, out: &mut BytesMut) {
        let fields = match (self.details, &self.mesh_id) {
            (None, _) => 1,
            (Some(_), None) => 3,
            (Some(_), Some(_)) => 5,
        };
        put_list(out, fields, |out| {
            put_str(out, &self.key);
            let Some((treatment, in_links)) = self.details else { return };
            put_int(out, i64::from(treatment));
            put_int(out, i64::from(in_links));
            if let Some(mesh_id) = &self.mesh_id {
                out.put_u8(format::NULL);
                put_str(out, mesh_id);
            }
        });
    }
}

/// A section's descriptor; all those used here are below 256.
fn put_section(out: &mut BytesMut, descriptor: u64) {
    out.put_u8(format::DESCRIBED);
    out.put_u8(format::SMALLULONG);
    out.put_u8(descriptor as u8);
}

fn put_list(out: &mut BytesMut, count: usize, content: impl FnOnce(&mut BytesMut)) {
    put_compound(out, format::LIST32, count, content);
}

fn put_map(out: &mut BytesMut, count: usize, content: impl FnOnce(&mut BytesMut)) {
    put_compound(out, format::MAP32, count, content);
}

fn put_compound(out: &mut BytesMut, code: u8, count: usize, content: impl FnOnce(&mut BytesMut)) {
    out.put_u8(code);
    let size_at = out.len();
    out.put_u32(0);
    out.put_u32(count as u32);
    content(out);
    // The size counts what follows it.
    let size = (out.len() - size_at - 4) as u32;
    out[size_at..size_at + 4].copy_from_slice(&size.to_be_bytes());
}

fn put_str(out: &mut BytesMut, text: &str) {
    put_sized(out, format::STR8, format::STR32, text);
}

fn put_symbol(out: &mut BytesMut, text: &str) {
    put_sized(out, format::SYM8, format::SYM32, text);
}

fn put_sized(out: &mut BytesMut, short: u8, long: u8, text: &str) {
    match u8::try_from(text.len()) {
        Ok(len) => out.put_slice(&[short, len]),
        Err(_) => {
            out.put_u8(long);
            out.put_u32(text.len() as u32);
        }
    }
    out.put_slice(text.as_bytes());
}

/// An integer as link-state messages carry it.
fn put_int(out: &mut BytesMut, number: i64) {
    match (i8::try_from(number), i32::try_from(number)) {
        (Ok(small), _) => {
            out.put_u8(format::SMALLINT);
            out.put_i8(small);
        }
        (_, Ok(int)) => {
            out.put_u8(format::INT);
            out.put_i32(int);
        }
        _ => {
            out.put_u8(format::LONG);
            out.put_i64(number);
        }
    }
}

/// An integer as mobile address messages carry it.
fn put_long(out: &mut BytesMut, number: i64) {
    if let Ok(small) = i8::try_from(number) {
        out.put_u8(format::SMALLLONG);
        out.put_i8(small);
    } else {
        out.put_u8(format::LONG);
        out.put_i64(number);
    }
}
