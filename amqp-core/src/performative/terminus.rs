//! Sources and targets of links (part 3, 3.5; part 4, 4.5.1).

use super::{Source, Target};
use crate::codec::format::descriptor as d;
use crate::codec::{self, Decode, DecodeError, Encode, ListReader, ListWriter, Reader, put_list};
use crate::value::{Map, Symbol, Value};
use bytes::BytesMut;

/// The expiry policy of a terminus that names none.
pub const DEFAULT_EXPIRY_POLICY: &str = "session-end";

// === impl Source ===

impl Source {
    /// A source with an address and otherwise default fields.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..Self::default() }
    }

    /// The expiry policy, or the default when there is none.
    #[must_use]
    pub fn expiry_policy_or_default(&self) -> &str {
        self.expiry_policy.as_ref().map_or(DEFAULT_EXPIRY_POLICY, Symbol::as_str)
    }

    /// The capability `name` is among the capabilities.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        self.capabilities.iter().any(|c| c.as_str() == name)
    }
}

impl Decode for Source {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut f = r.read_composite(d::SOURCE, "a source")?;
        let common = Common::from_fields(&mut f)?;
        Ok(Self {
            address: common.address,
            durable: common.durable,
            expiry_policy: common.expiry_policy,
            timeout: common.timeout,
            dynamic: common.dynamic,
            dynamic_node_properties: common.dynamic_node_properties,
            distribution_mode: f.opt(Symbol::decode)?,
            filter: f.opt(Value::decode)?,
            default_outcome: f.opt(Value::decode)?,
            outcomes: f.opt(Reader::read_symbols)?.unwrap_or_default(),
            capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
        })
    }
}

impl Encode for Source {
    fn encode(&self, out: &mut BytesMut) {
        codec::put_descriptor(out, d::SOURCE);
        put_list(out, |list| {
            list.opt(self.address.as_ref());
            put_common(list, self.durable, self.expiry_policy.as_ref(), self.timeout, self.dynamic);
            list.opt(self.dynamic_node_properties.as_ref());
            list.opt(self.distribution_mode.as_ref());
            list.opt(self.filter.as_ref());
            list.opt(self.default_outcome.as_ref());
            list.symbols(&self.outcomes);
            list.symbols(&self.capabilities);
        });
    }
}

// === impl Target ===

impl Target {
    /// A target with an address and otherwise default fields.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..Self::default() }
    }

    /// The expiry policy, or the default when there is none.
    #[must_use]
    pub fn expiry_policy_or_default(&self) -> &str {
        self.expiry_policy.as_ref().map_or(DEFAULT_EXPIRY_POLICY, Symbol::as_str)
    }

    /// The capability `name` is among the capabilities.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        self.capabilities.iter().any(|c| c.as_str() == name)
    }
}

impl Decode for Target {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.read_descriptor_code()? {
            d::TARGET => {
                let mut f = r.read_list()?;
                let common = Common::from_fields(&mut f)?;
                Ok(Self {
                    address: common.address,
                    durable: common.durable,
                    expiry_policy: common.expiry_policy,
                    timeout: common.timeout,
                    dynamic: common.dynamic,
                    dynamic_node_properties: common.dynamic_node_properties,
                    capabilities: f.opt(Reader::read_symbols)?.unwrap_or_default(),
                    coordinator: false,
                })
            }
            d::COORDINATOR => Ok(Self {
                capabilities: r.read_list()?.opt(Reader::read_symbols)?.unwrap_or_default(),
                coordinator: true,
                ..Self::default()
            }),
            found => Err(DecodeError::UnexpectedDescriptor { expected: "a target", found }),
        }
    }
}

impl Encode for Target {
    fn encode(&self, out: &mut BytesMut) {
        if self.coordinator {
            codec::put_descriptor(out, d::COORDINATOR);
            put_list(out, |list| list.symbols(&self.capabilities));
            return;
        }
        codec::put_descriptor(out, d::TARGET);
        put_list(out, |list| {
            list.opt(self.address.as_ref());
            put_common(list, self.durable, self.expiry_policy.as_ref(), self.timeout, self.dynamic);
            list.opt(self.dynamic_node_properties.as_ref());
            list.symbols(&self.capabilities);
        });
    }
}

// === fields that sources and targets share ===

struct Common {
    address: Option<String>,
    durable: u32,
    expiry_policy: Option<Symbol>,
    timeout: u32,
    dynamic: bool,
    dynamic_node_properties: Option<Map>,
}

impl Common {
    fn from_fields(f: &mut ListReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            // The type of an address is open; the ones that routers know are texts.
            address: f.opt(Reader::read_text)?.map(str::to_owned),
            durable: f.opt(Reader::read_uint)?.unwrap_or(0),
            expiry_policy: f.opt(Symbol::decode)?,
            timeout: f.opt(Reader::read_uint)?.unwrap_or(0),
            dynamic: f.flag()?,
            dynamic_node_properties: f.opt(Map::decode)?,
        })
    }
}

/// Durable, timeout and dynamic are written even with their default values.
fn put_common(list: &mut ListWriter<'_>, durable: u32, expiry: Option<&Symbol>, timeout: u32, dynamic: bool) {
    list.uint(durable);
    list.opt(expiry);
    list.uint(timeout);
    list.bool(dynamic);
}
