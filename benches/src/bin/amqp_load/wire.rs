//! Frames in and out.

use amqp_core::codec::{Decode, Reader};
use amqp_core::frame::{FrameHeader, FrameType, Preface, finish_frame, start_frame};
use amqp_core::performative::{Attach, Begin, Open, Performative, Role, Source, Target};
use anyhow::{Result, ensure};
use bytes::BytesMut;

/// The max-frame-size that routers are told, octets: a large message needs few frames, as with clients that name no limit.
pub(crate) const MAX_FRAME: u32 = 128 * 1024;
/// The incoming-window, frames. More than credit ever allows.
pub(crate) const WINDOW: u32 = 0x7fff_ffff;
/// The snd-settle-mode that leaves it to each message.
const MIXED: u8 = 2;

/// What octets begin with.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// Not all of a frame.
    Partial,
    /// So many octets without content, or none of AMQP's own.
    Empty {
        size: usize,
    },
    Body {
        size: usize,
        performative: Performative,
        payload: &'a [u8],
    },
}

/// Looks at the first frame. A protocol header that is not ours is none.
#[inline]
pub(crate) fn parse(input: &[u8]) -> Result<Frame<'_>> {
    let Some(header) = FrameHeader::parse(input, MAX_FRAME)? else { return Ok(Frame::Partial) };
    let size = header.size as usize;
    let Some(frame) = input.get(..size) else { return Ok(Frame::Partial) };
    ensure!(header.frame_type == FrameType::Amqp, "a frame of SASL");
    let body = &frame[header.body_offset()..];
    if body.is_empty() {
        return Ok(Frame::Empty { size });
    }
    let mut reader = Reader::new(body);
    let performative = <Performative as Decode>::decode(&mut reader)?;
    Ok(Frame::Body { size, performative, payload: reader.remaining() })
}

/// Appends a frame without payload.
pub(crate) fn put(out: &mut BytesMut, performative: impl Into<Performative>) {
    let frame = start_frame(out, FrameType::Amqp, 0);
    performative.into().encode(out);
    finish_frame(out, frame, 0);
}

/// Appends all that a client without security layer says until a link, with handle 0, is attached. It need not wait for
/// answers.
pub(crate) fn put_opening(out: &mut BytesMut, container: String, role: Role, address: &str) {
    out.extend_from_slice(Preface::Amqp.octets());
    put(out, Open { container_id: container, max_frame_size: Some(MAX_FRAME), ..Open::default() });
    put(out, Begin { incoming_window: WINDOW, outgoing_window: WINDOW, ..Begin::default() });
    let (source, target) = match role {
        Role::Sender => (Source::default(), Target::new(address)),
        Role::Receiver => (Source::new(address), Target::default()),
    };
    let attach = Attach {
        name: format!("amqp_load {address}"),
        handle: 0,
        role,
        snd_settle_mode: Some(MIXED),
        rcv_settle_mode: None,
        source: Some(Box::new(source)),
        target: Some(Box::new(target)),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: (role == Role::Sender).then_some(0),
        max_message_size: None,
        offered_capabilities: Vec::new(),
        desired_capabilities: Vec::new(),
        properties: None,
    };
    put(out, Performative::Attach(Box::new(attach)));
}
