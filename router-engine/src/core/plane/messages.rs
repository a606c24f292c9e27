//! What routers tell each other on the links that end in their cores
//! (spec `inter-router-protocol.md` 9.4 and 9.7; octets as in the captures of 15.10 and 15.11).

use crate::stream::Payload;
use amqp_core::message::{Body, Header, Message, MessageBuilder};
use amqp_core::value::{Map, Value};
use bytes::Bytes;

/// The identifier of a mesh of edge routers.
pub(in crate::core) type MeshId = [u8; 15];

/// Whether an address can be reached by way of an interior router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracking {
    /// Key of the address.
    pub(super) key: String,
    /// Somebody consumes it there, or beyond.
    pub(super) reachable: bool,
}

/// What an edge router puts forward for the identifier of its mesh: the lowest ordinal wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bid {
    pub(super) ordinal: i64,
    pub(super) id: MeshId,
}

// === impl Tracking ===

impl Tracking {
    pub(super) fn encode(&self) -> Bytes {
        let body = Value::List(vec![Value::from(self.key.clone()), Value::Bool(self.reachable)]);
        MessageBuilder::new().header(&Header { durable: false, ..Header::default() }).value(body)
    }

    /// The message, if it is one of exactly this form.
    pub(super) fn decode(payload: &Payload) -> Option<Self> {
        let Body::Value(Value::List(fields)) = message(payload)?.body else { return None };
        let [key, reachable] = fields.as_slice() else { return None };
        let (key, reachable) = (key.as_str()?.to_owned(), reachable.as_bool()?);
        Some(Self { key, reachable })
    }
}

// === impl Bid ===

impl Bid {
    pub(super) fn encode(&self) -> Bytes {
        let properties =
            Map(vec![(Value::symbol("ordinal"), Value::Long(self.ordinal)), (Value::symbol("id"), text(self.id))]);
        MessageBuilder::new().application_properties(&properties).without_body()
    }

    pub(super) fn decode(payload: &Payload) -> Option<Self> {
        let properties = message(payload)?.application_properties;
        let ordinal = properties.get("ordinal")?.as_i64()?;
        Some(Self { ordinal, id: mesh_id(properties.get("id")?)? })
    }
}

/// The announcement of an edge router's mesh to its interior router.
pub(super) fn announcement(id: MeshId) -> Bytes {
    let properties = Map(vec![(Value::symbol("meshid"), text(id))]);
    MessageBuilder::new().application_properties(&properties).without_body()
}

/// The reverse of [`announcement`].
pub(super) fn announced(payload: &Payload) -> Option<MeshId> {
    mesh_id(message(payload)?.application_properties.get("meshid")?)
}

fn message(payload: &Payload) -> Option<Message> {
    Message::decode(&[payload.contiguous()?]).ok()
}

fn mesh_id(value: &Value) -> Option<MeshId> {
    value.as_str()?.as_bytes().try_into().ok()
}

fn text(id: MeshId) -> Value {
    Value::from(String::from_utf8_lossy(&id).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(octets: Bytes) -> Payload {
        Payload::One(octets)
    }

    #[test]
    fn messages_are_read_as_they_are_written() {
        let tracking = Tracking { key: "Msvc".into(), reachable: true };
        assert_eq!(Tracking::decode(&payload(tracking.encode())), Some(tracking));
        let bid = Bid { ordinal: 1_795_208_501_603_566, id: *b"VybvO42Y5D5P4XU" };
        assert_eq!(Bid::decode(&payload(bid.encode())), Some(bid));
        assert_eq!(announced(&payload(announcement(bid.id))), Some(bid.id));
    }

    #[test]
    fn messages_of_the_c_router_are_read() {
        let tracking = b"\0\x53\x77\xd0\0\0\0\x0b\0\0\0\x02\xa1\x04Msvc\x41";
        let tracking = Tracking::decode(&payload(Bytes::from_static(tracking)));
        assert_eq!(tracking, Some(Tracking { key: "Msvc".into(), reachable: true }));
        let announcement = b"\0\x53\x74\xd1\0\0\0\x1d\0\0\0\x02\xa3\x06meshid\xa1\x0fVybvO42Y5D5P4XU";
        assert_eq!(announced(&payload(Bytes::from_static(announcement))), Some(*b"VybvO42Y5D5P4XU"));
        let bid = b"\0\x53\x74\xd1\0\0\0\x2b\0\0\0\x04\xa3\x07ordinal\x81\0\x06\x60\xbb\x8d\x09\x2c\xae\
            \xa3\x02id\xa1\x0fVybvO42Y5D5P4XU";
        let want = Bid { ordinal: 1_795_208_501_603_502, id: *b"VybvO42Y5D5P4XU" };
        assert_eq!(Bid::decode(&payload(Bytes::from_static(bid))).map(|bid| bid.id), Some(want.id));
    }

    #[test]
    fn what_is_of_another_form_is_nothing() {
        for value in [Value::List(vec![]), Value::from("Msvc".to_owned()), Value::List(vec![Value::Bool(true); 2])] {
            assert_eq!(Tracking::decode(&payload(MessageBuilder::new().value(value))), None);
        }
        assert_eq!(announced(&payload(Bytes::from_static(b"\0"))), None);
        let short = Map(vec![(Value::symbol("meshid"), Value::from("short".to_owned()))]);
        let short = MessageBuilder::new().application_properties(&short).without_body();
        assert_eq!(announced(&payload(short)), None);
    }
}
