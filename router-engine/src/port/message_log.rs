//! Lines about the messages on links of listeners and connectors that ask for them (spec `amqp-endpoint.md` 23.6).

use super::AmqpPort;
use crate::core::action::Direction;
use crate::core::ids::ConnId;
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::Value;
use amqp_core::codec::{Decode, Reader};
use amqp_core::message::{Depth, PropertiesView, PropertyField, ScanResult, SectionMap, scan};
use amqp_core::performative::{Source, Target};
use amqp_core::value::Map;
use bytes::Bytes;
use std::fmt::{self, Display, Formatter, Write, from_fn};

/// Which properties of messages are logged (`messageLoggingComponents`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageFields(u16);

const FIELDS: [(&str, PropertyField); 13] = [
    ("message-id", PropertyField::MessageId),
    ("user-id", PropertyField::UserId),
    ("to", PropertyField::To),
    ("subject", PropertyField::Subject),
    ("reply-to", PropertyField::ReplyTo),
    ("correlation-id", PropertyField::CorrelationId),
    ("content-type", PropertyField::ContentType),
    ("content-encoding", PropertyField::ContentEncoding),
    ("absolute-expiry-time", PropertyField::AbsoluteExpiryTime),
    ("creation-time", PropertyField::CreationTime),
    ("group-id", PropertyField::GroupId),
    ("group-sequence", PropertyField::GroupSequence),
    ("reply-to-group-id", PropertyField::ReplyToGroupId),
];

const APPLICATION_PROPERTIES: &str = "app-properties";

/// Addresses of a link's source and target.
pub(super) type Ends = Box<[String; 2]>;

// === impl MessageFields ===

impl MessageFields {
    /// Reads `none`, `all`, or names separated by commas. What is no name counts for nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let bit = |name: &str| match FIELDS.iter().position(|(known, _)| *known == name) {
            Some(index) => 1 << index,
            None => u16::from(name == APPLICATION_PROPERTIES) << FIELDS.len(),
        };
        match text {
            "all" => Self(u16::MAX),
            names => Self(names.split(',').map(bit).fold(0, |all, bit| all | bit)),
        }
    }

    /// Nothing is logged of messages.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    /// How far a message must be known before it is forwarded.
    pub(super) const fn depth(self, without: Depth) -> Depth {
        if self.is_empty() { without } else { Depth::ApplicationProperties }
    }
}

// === impl AmqpPort ===

impl AmqpPort {
    /// What [`Self::log_message`] will need to know of a link.
    pub(super) fn ends(&self, source: Option<&Source>, target: Option<&Target>) -> Option<Ends> {
        let text = |address: Option<&String>| address.cloned().unwrap_or_default();
        let ends = || {
            Box::new([
                text(source.and_then(|source| source.address.as_ref())),
                text(target.and_then(|target| target.address.as_ref())),
            ])
        };
        (!self.params.message_fields.is_empty()).then(ends)
    }

    /// Logs a message that came or leaves, if that is asked for, by the beginning of it. Nothing is said of messages
    /// without application properties.
    pub(super) fn log_message(&self, idx: u32, direction: Direction, beginning: &[Bytes]) {
        let fields = self.params.message_fields;
        if fields.is_empty() || !log::enabled(LogModule::Message, Level::Debug) {
            return;
        }
        let ScanResult::Ok(map) = scan(beginning, true, Depth::ApplicationProperties) else { return };
        let Some(link) = self.links.get(idx).filter(|_| map.application_properties.is_some()) else { return };
        let empty = [String::new(), String::new()];
        let [source, target] = link.ends.as_deref().unwrap_or(&empty);
        let name = self.engine.link_name(link.key).unwrap_or_default();
        let message = shown(fields, &map, beginning);
        report(self.handle.id, direction, format_args!("{message} on link '{name}' ({source} -> {target})"));
    }
}

fn report(conn: ConnId, direction: Direction, what: impl Display) {
    let verb = if direction == Direction::In { "Received" } else { "Sent" };
    log!(LogModule::Message, Level::Debug, conn = conn, separator = ": ", "{verb} {what}");
}

fn shown<'a>(fields: MessageFields, map: &'a SectionMap, chunks: &'a [Bytes]) -> impl Display + 'a {
    from_fn(move |f| {
        let mut separator = "Message{";
        let properties = map.properties.map(|section| section.value(chunks)).unwrap_or_default();
        let view = PropertiesView::new(&properties);
        for (_, (name, field)) in FIELDS.iter().enumerate().filter(|(index, _)| fields.has(*index)) {
            if let Some(value) = view.get(*field) {
                write!(f, "{separator}{name}=")?;
                show(f, &value)?;
                separator = ", ";
            }
        }
        if let Some(section) = map.application_properties.filter(|_| fields.has(FIELDS.len()))
            && let Ok(properties) = Map::decode(&mut Reader::new(&section.value(chunks)))
        {
            write!(f, "{separator}{APPLICATION_PROPERTIES}=")?;
            show_map(f, &properties)?;
            separator = "";
        }
        f.write_str(if separator == "Message{" { "Message{}" } else { "}" })
    })
}

fn show(f: &mut Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Bool(on) => f.write_char(if *on { 'T' } else { 'F' }),
        Value::String(text) => show_octets(f, "\"", text.as_bytes()),
        Value::Symbol(text) => show_octets(f, ":\"", text.as_str().as_bytes()),
        Value::Binary(octets) => show_octets(f, "b\"", octets),
        Value::Timestamp(millis) => write!(f, "\"{}\"", Time(*millis)),
        Value::List(items) | Value::Array(items) => {
            f.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                show(f, item)?;
            }
            f.write_char(']')
        }
        Value::Map(map) => show_map(f, map),
        Value::Ulong(number) => write!(f, "{number}"),
        other => other.as_i64().map_or(Ok(()), |number| write!(f, "{number}")),
    }
}

fn show_map(f: &mut Formatter<'_>, map: &Map) -> fmt::Result {
    f.write_char('{')?;
    for (index, (key, value)) in map.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        show(f, key)?;
        f.write_char('=')?;
        show(f, value)?;
    }
    f.write_char('}')
}

/// Octets behind an opening and before a closing quote. What could be taken for the latter appears as hexadecimal digits.
fn show_octets(f: &mut Formatter<'_>, opening: &str, octets: &[u8]) -> fmt::Result {
    f.write_str(opening)?;
    for &octet in octets {
        match octet {
            b'"' | b'\\' => write!(f, "\\{octet:02x}")?,
            b' '..=b'~' => f.write_char(char::from(octet))?,
            _ => write!(f, "\\{octet:02x}")?,
        }
    }
    f.write_char('"')
}

/// A time in milliseconds since the Unix epoch, as date and time in UTC.
struct Time(i64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 86_400_000;
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        // Years begin in March here, so that the leap day is the last one. 400 years have 146097 days.
        let (era, day) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (date, january) = (day - (153 * month + 2) / 5 + 1, month >= 10);
        let (year, month) = (era * 400 + year + i64::from(january), if january { month - 9 } else { month + 3 });
        let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}.{:03} +0000", rest % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_singly_or_all() {
        assert!(MessageFields::parse("none").is_empty() && MessageFields::parse("").is_empty());
        let some = MessageFields::parse("user-id,app-properties,nonsense");
        assert_eq!((0..14).filter(|&i| some.has(i)).collect::<Vec<_>>(), [1, 13]);
        assert!((0..14).all(|i| MessageFields::parse("all").has(i)));
    }

    #[test]
    fn times() {
        for (millis, shown) in [
            (0, "1970-01-01 00:00:00.000 +0000"),
            (1_487_772_623_883, "2017-02-22 14:10:23.883 +0000"),
            (951_827_696_000, "2000-02-29 12:34:56.000 +0000"),
            (-1, "1969-12-31 23:59:59.999 +0000"),
            (4_107_542_399_999, "2100-02-28 23:59:59.999 +0000"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000 +0000"),
        ] {
            assert_eq!(Time(millis).to_string(), shown);
        }
        // No time is too far away.
        assert!(!Time(i64::MAX).to_string().is_empty() && !Time(i64::MIN).to_string().is_empty());
    }

    #[test]
    fn values_cannot_end_a_line_or_a_quote() {
        let map = Map::new()
            .with("a\"b", vec![Value::Int(-10), Value::Null, Value::Bool(true)])
            .with(Value::symbol("s"), Value::Binary(Bytes::from_static(b"x\n\xff")));
        let text = from_fn(|f| show_map(f, &map)).to_string();
        assert_eq!(text, "{\"a\\22b\"=[-10, null, T], :\"s\"=b\"x\\0a\\ff\"}");
    }
}
