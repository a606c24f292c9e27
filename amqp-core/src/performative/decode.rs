//! Decoding of performatives (part 2, 2.7).
//!
//! Fields after the last one known are ignored; missing trailing fields read as absent.

use super::{
    Attach, Begin, Close, DeliveryTag, Detach, Disposition, End, Error, Flow, Open, Performative, Role, Transfer,
};
use crate::codec::format::descriptor as d;
use crate::codec::{Decode, DecodeError, ListReader, Reader};
use crate::value::{Map, RawMap};
use bytes::Bytes;

/// Octets in the longest delivery tag (part 2, 2.8.7).
const MAX_DELIVERY_TAG: usize = 32;

// === impl Performative ===

impl Performative {
    /// Reads the performative at the start of the frame body `body`. Returns it with the number
    /// of octets that it takes; what follows is the payload.
    ///
    /// # Errors
    ///
    /// The encoding rule that is violated.
    #[inline]
    pub fn decode(body: &Bytes) -> Result<(Self, usize), DecodeError> {
        let mut r = Reader::from_bytes(body);
        let performative = <Self as Decode>::decode(&mut r)?;
        Ok((performative, r.position()))
    }
}

impl Decode for Performative {
    #[inline]
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.read_descriptor_code()?;
        let fields = r.read_list()?;
        match code {
            d::TRANSFER => Transfer::from_fields(fields).map(Self::Transfer),
            d::DISPOSITION => Disposition::from_fields(fields).map(Self::Disposition),
            d::FLOW => Flow::from_fields(fields).map(Self::Flow),
            d::OPEN => Open::from_fields(fields).map(|open| Self::Open(Box::new(open))),
            d::BEGIN => Begin::from_fields(fields).map(|begin| Self::Begin(Box::new(begin))),
            d::ATTACH => Attach::from_fields(fields).map(|attach| Self::Attach(Box::new(attach))),
            d::DETACH => Detach::from_fields(fields).map(Self::Detach),
            d::END => Ok(Self::End(End { error: error_field(fields)? })),
            d::CLOSE => Ok(Self::Close(Close { error: error_field(fields)? })),
            found => Err(DecodeError::UnexpectedDescriptor { expected: "a performative", found }),
        }
    }
}

impl Open {
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            container_id: f.required("open.container-id", String::decode)?,
            hostname: f.opt(String::decode)?,
            max_frame_size: f.opt(Reader::read_uint)?,
            channel_max: f.opt(Reader::read_ushort)?,
            idle_time_out: f.opt(Reader::read_uint)?,
            outgoing_locales: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            incoming_locales: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            offered_capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            desired_capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            properties: f.opt(Map::decode)?,
        })
    }
}

impl Begin {
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            remote_channel: f.opt(Reader::read_ushort)?,
            next_outgoing_id: f.required("begin.next-outgoing-id", Reader::read_uint)?,
            incoming_window: f.required("begin.incoming-window", Reader::read_uint)?,
            outgoing_window: f.required("begin.outgoing-window", Reader::read_uint)?,
            handle_max: f.opt(Reader::read_uint)?,
            offered_capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            desired_capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            properties: f.opt(Map::decode)?,
        })
    }
}

impl Attach {
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: f.required("attach.name", String::decode)?,
            handle: f.required("attach.handle", Reader::read_uint)?,
            role: f.required("attach.role", Role::decode)?,
            snd_settle_mode: settle_mode(f.opt(Reader::read_ubyte)?, 2, "attach.snd-settle-mode")?,
            rcv_settle_mode: settle_mode(f.opt(Reader::read_ubyte)?, 1, "attach.rcv-settle-mode")?,
            source: f.opt(Decode::decode)?.map(Box::new),
            target: f.opt(Decode::decode)?.map(Box::new),
            unsettled: f.opt(Map::decode)?,
            incomplete_unsettled: f.flag()?,
            initial_delivery_count: f.opt(Reader::read_uint)?,
            max_message_size: f.opt(Reader::read_ulong)?,
            offered_capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            desired_capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            properties: f.opt(Map::decode)?,
        })
    }
}

impl Flow {
    #[inline]
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            next_incoming_id: f.opt(Reader::read_uint)?,
            incoming_window: f.required("flow.incoming-window", Reader::read_uint)?,
            next_outgoing_id: f.required("flow.next-outgoing-id", Reader::read_uint)?,
            outgoing_window: f.required("flow.outgoing-window", Reader::read_uint)?,
            handle: f.opt(Reader::read_uint)?,
            delivery_count: f.opt(Reader::read_uint)?,
            link_credit: f.opt(Reader::read_uint)?,
            available: f.opt(Reader::read_uint)?,
            drain: f.flag()?,
            echo: f.flag()?,
            properties: f.opt(Map::decode)?,
        })
    }
}

impl Transfer {
    #[inline]
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: f.required("transfer.handle", Reader::read_uint)?,
            delivery_id: f.opt(Reader::read_uint)?,
            delivery_tag: f.opt(delivery_tag)?,
            message_format: f.opt(Reader::read_uint)?,
            settled: f.opt(Reader::read_bool)?,
            more: f.flag()?,
            rcv_settle_mode: settle_mode(f.opt(Reader::read_ubyte)?, 1, "transfer.rcv-settle-mode")?,
            state: f.opt(Decode::decode)?,
            resume: f.flag()?,
            aborted: f.flag()?,
            batchable: f.flag()?,
        })
    }
}

impl Disposition {
    #[inline]
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            role: f.required("disposition.role", Role::decode)?,
            first: f.required("disposition.first", Reader::read_uint)?,
            last: f.opt(Reader::read_uint)?,
            settled: f.flag()?,
            state: f.opt(Decode::decode)?,
            batchable: f.flag()?,
        })
    }
}

impl Detach {
    fn from_fields(mut f: ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { handle: f.required("detach.handle", Reader::read_uint)?, closed: f.flag()?, error: error_field(f)? })
    }
}

// === field types ===

impl Decode for Role {
    #[inline]
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if r.read_bool()? { Self::Receiver } else { Self::Sender })
    }
}

impl Decode for Error {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut f = r.read_composite(d::ERROR, "an error")?;
        Ok(Self {
            condition: f.required("error.condition", Decode::decode)?,
            description: f.opt(String::decode)?,
            info: f.opt(RawMap::decode)?,
        })
    }
}

/// The error that is the next field.
fn error_field(mut f: ListReader<'_>) -> Result<Option<Box<Error>>, DecodeError> {
    Ok(f.opt(Error::decode)?.map(Box::new))
}

#[inline]
fn delivery_tag(r: &mut Reader<'_>) -> Result<DeliveryTag, DecodeError> {
    let octets = r.read_binary()?;
    if octets.len() > MAX_DELIVERY_TAG {
        return Err(DecodeError::DeliveryTagTooLong(octets.len()));
    }
    Ok(DeliveryTag::from_slice(octets))
}

#[inline]
const fn settle_mode(mode: Option<u8>, max: u8, field: &'static str) -> Result<Option<u8>, DecodeError> {
    match mode {
        Some(mode) if mode > max => Err(DecodeError::IllegalValue(field)),
        mode => Ok(mode),
    }
}
