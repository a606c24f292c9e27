//! Attributes of records (spec `vanflow.md` section 6). Their codes are constants of the wire.

use super::identity::Identity;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Octets of a text; what is longer is cut.
const TEXT_MAX: usize = 300;
/// The same for texts that say who, which way, or why not.
const WHOLE_MAX: usize = 1000;

/// What the value of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number: ulong on the wire.
    Number,
    /// A text, cut to a length.
    Text,
    /// A longer text: identities of other records, traces, errors.
    Whole,
}

/// A value. What is formatted for the wire is formatted there, not where it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number; times are microseconds since the epoch, durations microseconds.
    Number(u64),
    /// A text.
    Text(Arc<str>),
    /// A text that is always the same.
    Static(&'static str),
    /// Another record.
    Record(Identity),
    /// The host of a peer, in numbers.
    Host(IpAddr),
    /// A port, in decimal.
    Port(u16),
}

macro_rules! attributes {
    ($($name:ident $log:literal $kind:ident;)*) => {
        /// An attribute of a record; its number is its code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are the protocol's")]
        pub enum Attribute { $($name,)* }

        impl Attribute {
            /// All, by code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in log lines.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $log,)* }
            }

            /// What its value is.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

attributes! {
    RecordType "recordType" Number;
    Identity "identity" Whole;
    Parent "parent" Whole;
    StartTime "startTime" Number;
    EndTime "endTime" Number;
    Counterflow "counterflow" Whole;
    Peer "peer" Whole;
    Process "process" Whole;
    SiblingOrdinal "sibOrdinal" Number;
    Location "location" Text;
    Provider "provider" Text;
    Platform "platform" Text;
    Namespace "namespace" Text;
    Mode "mode" Text;
    SourceHost "sourceHost" Text;
    DestinationHost "destHost" Text;
    Protocol "protocol" Text;
    SourcePort "sourcePort" Text;
    DestinationPort "destPort" Text;
    VanAddress "vanAddress" Text;
    ImageName "imageName" Text;
    ImageVersion "imageVersion" Text;
    HostName "hostname" Text;
    Octets "octets" Number;
    Latency "latency" Number;
    TransitLatency "transitLatency" Number;
    Backlog "backlog" Number;
    Method "method" Text;
    Result "result" Text;
    Reason "reason" Text;
    Name "name" Text;
    Trace "trace" Whole;
    BuildVersion "buildVersion" Text;
    LinkCost "linkCost" Number;
    Direction "direction" Text;
    OctetRate "octetRate" Number;
    OctetsOut "octetsOut" Number;
    OctetsUnacked "octetsUnacked" Number;
    WindowClosures "windowClosures" Number;
    WindowSize "windowSize" Number;
    FlowCountL4 "flowCountL4" Number;
    FlowCountL7 "flowCountL7" Number;
    FlowRateL4 "flowRateL4" Number;
    FlowRateL7 "flowRateL7" Number;
    Duration "duration" Number;
    Image "image" Whole;
    Group "group" Whole;
    StreamId "streamId" Number;
    LogSeverity "logSeverity" Number;
    LogText "logText" Text;
    SourceFile "sourceFile" Text;
    SourceLine "sourceLine" Number;
    LinkCount "linkCount" Number;
    OperStatus "operStatus" Text;
    Role "role" Text;
    UpTimestamp "upTimeStamp" Number;
    DownTimestamp "downTimeStamp" Number;
    DownCount "downCount" Number;
    OctetsReverse "octetsReverse" Number;
    OctetRateReverse "octetRateReverse" Number;
    Connector "connector" Whole;
    ProcessLatency "processLatency" Number;
    ProxyHost "proxyHost" Text;
    ProxyPort "proxyPort" Text;
    ErrorListenerSide "errorListenerSide" Whole;
    ErrorConnectorSide "errorConnectorSide" Whole;
    ActiveTlsOrdinal "activeTlsOrdinal" Number;
    HttpProxy "httpProxy" Text;
}

// === impl Attribute ===

impl Attribute {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The attribute with that code.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.get(code as usize).copied()
    }

    pub(super) const fn bit(self) -> u128 {
        1 << self.code()
    }

    /// The value as it may stand for this attribute; none when it is of another kind.
    pub(super) fn admit(self, value: Value) -> Option<Value> {
        match (self.kind(), value) {
            (Kind::Number, Value::Number(number)) => Some(Value::Number(number)),
            (Kind::Number, _) | (_, Value::Number(_)) => None,
            (Kind::Text, Value::Text(text)) => Some(Value::Text(cut(text, TEXT_MAX))),
            (Kind::Whole, Value::Text(text)) => Some(Value::Text(cut(text, WHOLE_MAX))),
            (_, value) => Some(value),
        }
    }
}

fn cut(text: Arc<str>, max: usize) -> Arc<str> {
    if text.len() > max { text[..text.floor_char_boundary(max)].into() } else { text }
}

// === impl Value ===

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Static(text) => f.write_str(text),
            Self::Record(identity) => identity.fmt(f),
            Self::Host(host) => host.fmt(f),
            Self::Port(port) => port.fmt(f),
        }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<Identity> for Value {
    fn from(identity: Identity) -> Self {
        Self::Record(identity)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}

impl From<IpAddr> for Value {
    fn from(host: IpAddr) -> Self {
        Self::Host(host)
    }
}

impl From<u16> for Value {
    fn from(port: u16) -> Self {
        Self::Port(port)
    }
}
