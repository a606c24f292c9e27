//! Encoding of performatives (part 2, 2.7).
//!
//! Trailing null fields are omitted. Fields with the default value are written exactly where
//! other routers write them, so that frames can be compared octet by octet.

use super::{Attach, Begin, Close, Detach, Disposition, End, Error, Flow, Open, Performative, Role, Transfer};
use crate::codec::format::descriptor as d;
use crate::codec::{self, Encode, ListWriter, put_list};
use crate::value::{Map, Symbol};
use bytes::BytesMut;

/// Room for a transfer, disposition or flow in the usual size.
const HOT_SIZE: usize = 96;

// === impl Performative ===

impl Performative {
    /// The numeric descriptor: 0x10 to 0x18.
    #[must_use]
    pub const fn code(&self) -> u64 {
        match self {
            Self::Open(_) => d::OPEN,
            Self::Begin(_) => d::BEGIN,
            Self::Attach(_) => d::ATTACH,
            Self::Flow(_) => d::FLOW,
            Self::Transfer(_) => d::TRANSFER,
            Self::Disposition(_) => d::DISPOSITION,
            Self::Detach(_) => d::DETACH,
            Self::End(_) => d::END,
            Self::Close(_) => d::CLOSE,
        }
    }

    /// Appends the performative to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Open(open) => open.encode_into(out),
            Self::Begin(begin) => begin.encode_into(out),
            Self::Attach(attach) => attach.encode_into(out),
            Self::Flow(flow) => flow.encode_into(out),
            Self::Transfer(transfer) => transfer.encode_into(out),
            Self::Disposition(disposition) => disposition.encode_into(out),
            Self::Detach(detach) => detach.encode_into(out),
            Self::End(end) => end.encode_into(out),
            Self::Close(close) => close.encode_into(out),
        }
    }
}

impl Encode for Performative {
    fn encode(&self, out: &mut BytesMut) {
        self.encode(out);
    }
}

#[inline]
fn composite(out: &mut BytesMut, code: u64, write: impl FnOnce(&mut ListWriter<'_>)) {
    codec::put_descriptor(out, code);
    put_list(out, write);
}

impl Open {
    /// Appends the performative to `out`. Capabilities are arrays, even of one.
    pub fn encode_into(&self, out: &mut BytesMut) {
        composite(out, d::OPEN, |list| {
            list.field(&self.container_id);
            list.opt(self.hostname.as_ref());
            list.opt_uint(self.max_frame_size);
            list.opt(self.channel_max.as_ref());
            list.opt_uint(self.idle_time_out);
            list.symbols(&self.outgoing_locales);
            list.symbols(&self.incoming_locales);
            list.symbol_array(&self.offered_capabilities);
            list.symbol_array(&self.desired_capabilities);
            list.opt(self.properties.as_ref());
        });
    }
}

impl Begin {
    /// Appends the performative to `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        composite(out, d::BEGIN, |list| {
            list.opt(self.remote_channel.as_ref());
            list.uint(self.next_outgoing_id);
            list.uint(self.incoming_window);
            list.uint(self.outgoing_window);
            list.opt_uint(self.handle_max);
            tail(list, &self.offered_capabilities, &self.desired_capabilities, self.properties.as_ref());
        });
    }
}

impl Attach {
    /// Appends the performative to `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        composite(out, d::ATTACH, |list| {
            list.field(&self.name);
            list.uint(self.handle);
            list.field(&self.role);
            list.opt(self.snd_settle_mode.as_ref());
            list.opt(self.rcv_settle_mode.as_ref());
            list.opt(self.source.as_deref());
            list.opt(self.target.as_deref());
            list.opt(self.unsettled.as_ref());
            list.flag(self.incomplete_unsettled);
            list.opt_uint(self.initial_delivery_count);
            list.opt(self.max_message_size.as_ref());
            tail(list, &self.offered_capabilities, &self.desired_capabilities, self.properties.as_ref());
        });
    }
}

/// The fields at the end of begin and attach.
fn tail(list: &mut ListWriter<'_>, offered: &[Symbol], desired: &[Symbol], properties: Option<&Map>) {
    list.symbols(offered);
    list.symbols(desired);
    list.opt(properties);
}

impl Flow {
    /// Appends the performative to `out`. Does not allocate but to grow `out`.
    #[inline]
    pub fn encode_into(&self, out: &mut BytesMut) {
        out.reserve(HOT_SIZE);
        composite(out, d::FLOW, |list| {
            list.opt_uint(self.next_incoming_id);
            list.uint(self.incoming_window);
            list.uint(self.next_outgoing_id);
            list.uint(self.outgoing_window);
            list.opt_uint(self.handle);
            list.opt_uint(self.delivery_count);
            list.opt_uint(self.link_credit);
            list.opt_uint(self.available);
            list.flag(self.drain);
            list.flag(self.echo);
            list.opt(self.properties.as_ref());
        });
    }
}

impl Transfer {
    /// Appends the performative, without payload, to `out`. Does not allocate but to grow `out`.
    #[inline]
    pub fn encode_into(&self, out: &mut BytesMut) {
        out.reserve(HOT_SIZE);
        composite(out, d::TRANSFER, |list| {
            list.uint(self.handle);
            list.opt_uint(self.delivery_id);
            match &self.delivery_tag {
                Some(tag) => list.with(|out| codec::put_binary(out, tag)),
                None => list.null(),
            }
            list.opt_uint(self.message_format);
            list.opt(self.settled.as_ref());
            list.flag(self.more);
            list.opt(self.rcv_settle_mode.as_ref());
            list.opt(self.state.as_ref());
            list.flag(self.resume);
            list.flag(self.aborted);
            list.flag(self.batchable);
        });
    }
}

impl Disposition {
    /// Appends the performative to `out`. Does not allocate but to grow `out`.
    #[inline]
    pub fn encode_into(&self, out: &mut BytesMut) {
        out.reserve(HOT_SIZE);
        composite(out, d::DISPOSITION, |list| {
            list.field(&self.role);
            list.uint(self.first);
            list.opt_uint(self.last);
            list.flag(self.settled);
            list.opt(self.state.as_ref());
            list.flag(self.batchable);
        });
    }
}

impl Detach {
    /// Appends the performative to `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        composite(out, d::DETACH, |list| {
            list.uint(self.handle);
            list.flag(self.closed);
            list.opt(self.error.as_deref());
        });
    }
}

impl End {
    /// Appends the performative to `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        composite(out, d::END, |list| list.opt(self.error.as_deref()));
    }
}

impl Close {
    /// Appends the performative to `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        composite(out, d::CLOSE, |list| list.opt(self.error.as_deref()));
    }
}

// === field types ===

impl Encode for Role {
    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        codec::put_bool(out, matches!(self, Self::Receiver));
    }
}

impl Encode for Error {
    fn encode(&self, out: &mut BytesMut) {
        composite(out, d::ERROR, |list| {
            list.field(&self.condition);
            list.opt(self.description.as_ref());
            list.opt(self.info.as_ref());
        });
    }
}

macro_rules! into_performative {
    ($($ty:ident $(, $boxed:ident)?;)*) => {$(
        impl From<$ty> for Performative {
            fn from(value: $ty) -> Self {
                Self::$ty($($boxed::new)?(value))
            }
        }
    )*};
}

into_performative! {
    Open, Box;
    Begin, Box;
    Attach, Box;
    Flow;
    Transfer;
    Disposition;
    Detach;
    End;
    Close;
}
