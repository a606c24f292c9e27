//! Delivery states and outcomes (part 3, 3.4), and helpers of the small composite types.

use super::{DeliveryState, Detach, Error, Modified, Role};
use crate::codec::format::descriptor as d;
use crate::codec::{self, Decode, DecodeError, Encode, ListReader, Reader, put_list};
use crate::value::{RawMap, Symbol};
use bytes::{BufMut, BytesMut};
use std::fmt;
use std::sync::Arc;

/// Octets that a string costs beside its text, with what the heads of two lists around it may grow by.
const STRING_OVERHEAD: usize = 5 + 2 * 6;

// === impl DeliveryState ===

impl DeliveryState {
    /// The state is an outcome: it does not change any more. Declared (part 4, 4.5.5) is one; other
    /// states unknown here count as not terminal.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self.code(), d::ACCEPTED | d::REJECTED | d::RELEASED | d::MODIFIED | d::DECLARED)
    }

    /// The numeric descriptor.
    #[must_use]
    pub const fn code(&self) -> u64 {
        match self {
            Self::Received { .. } => d::RECEIVED,
            Self::Accepted => d::ACCEPTED,
            Self::Rejected(_) => d::REJECTED,
            Self::Released => d::RELEASED,
            Self::Modified(_) => d::MODIFIED,
            Self::Other { descriptor, .. } => *descriptor,
        }
    }

    /// The state in at most `max` octets: what is said beside the outcome is shortened or left out. `None` when there is
    /// no saying it in so few. States are relayed between peers that allow frames of different sizes.
    #[must_use]
    pub fn fit(self, max: usize) -> Option<Self> {
        if matches!(self, Self::Accepted | Self::Released | Self::Received { .. }) || self.encoded_len() <= max {
            return Some(self);
        }
        match self {
            Self::Rejected(Some(error)) => {
                let rejected = |description| {
                    let condition = error.condition.clone();
                    Self::Rejected(Some(Arc::new(Error { condition, description, info: None })))
                };
                let bare = rejected(None);
                let room = max.saturating_sub(bare.encoded_len() + STRING_OVERHEAD);
                let short = error.description.as_ref().map(|text| text[..text.floor_char_boundary(room)].to_owned());
                [rejected(short), bare, Self::Rejected(None)].into_iter().find(|s| s.encoded_len() <= max)
            }
            Self::Modified(modified) => {
                Some(Self::Modified(Arc::new(Modified { message_annotations: None, ..*modified })))
            }
            _ => None,
        }
    }

    fn encoded_len(&self) -> usize {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.len()
    }

    /// The rejected outcome with an error.
    #[must_use]
    pub fn rejected(condition: &'static str, description: impl Into<String>) -> Self {
        Self::Rejected(Some(Arc::new(Error::new(condition, description))))
    }

    /// The modified outcome of a delivery that failed.
    #[must_use]
    pub fn failed() -> Self {
        Self::Modified(Arc::new(Modified { delivery_failed: true, ..Modified::default() }))
    }
}

impl Decode for DeliveryState {
    #[inline]
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.read_descriptor_code()? {
            d::ACCEPTED => r.read_list().map(|_| Self::Accepted),
            d::RELEASED => r.read_list().map(|_| Self::Released),
            d::RECEIVED => received(r.read_list()?),
            d::REJECTED => Ok(Self::Rejected(r.read_list()?.opt(Error::decode)?.map(Arc::new))),
            d::MODIFIED => modified(r.read_list()?),
            descriptor => {
                let fields = r.raw_value()?;
                Ok(Self::Other { descriptor, fields: r.share(fields) })
            }
        }
    }
}

fn received(mut f: ListReader<'_>) -> Result<DeliveryState, DecodeError> {
    Ok(DeliveryState::Received {
        section_number: f.required("received.section-number", Reader::read_uint)?,
        section_offset: f.required("received.section-offset", Reader::read_ulong)?,
    })
}

fn modified(mut f: ListReader<'_>) -> Result<DeliveryState, DecodeError> {
    Ok(DeliveryState::Modified(Arc::new(Modified {
        delivery_failed: f.flag()?,
        undeliverable_here: f.flag()?,
        message_annotations: f.opt(RawMap::decode)?,
    })))
}

impl Encode for DeliveryState {
    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        codec::put_descriptor(out, self.code());
        match self {
            Self::Accepted | Self::Released => put_list(out, |_| {}),
            Self::Received { section_number, section_offset } => put_list(out, |list| {
                list.uint(*section_number);
                list.field(section_offset);
            }),
            Self::Rejected(error) => put_list(out, |list| list.opt(error.as_deref())),
            Self::Modified(modified) => put_list(out, |list| {
                list.flag(modified.delivery_failed);
                list.flag(modified.undeliverable_here);
                list.opt(modified.message_annotations.as_ref());
            }),
            Self::Other { fields, .. } => out.put_slice(fields),
        }
    }
}

// === impl Error ===

impl Error {
    /// An error with a condition and text for people.
    #[must_use]
    pub fn new(condition: &'static str, description: impl Into<String>) -> Self {
        Self { condition: Symbol::from_static(condition), description: Some(description.into()), info: None }
    }

    /// An error with a condition only.
    #[must_use]
    pub const fn bare(condition: &'static str) -> Self {
        Self { condition: Symbol::from_static(condition), description: None, info: None }
    }
}

/// `condition: description`.
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(out, "{}: {description}", self.condition),
            None => write!(out, "{}", self.condition),
        }
    }
}

// === impl Role ===

impl Role {
    /// The role of the other end of the link.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

// === impl Detach ===

impl Detach {
    /// A detach that closes the link, with an error if there is one.
    #[must_use]
    pub fn closing(handle: u32, error: Option<Error>) -> Self {
        Self { handle, closed: true, error: error.map(Box::new) }
    }
}
