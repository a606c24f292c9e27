//! Just enough AMQP encoding to speak correctly up to the point where an attack begins.
//!
//! Not the router's own codec: an encoder that refuses nonsense is no use here.

/// Protocol header for AMQP without SASL.
pub(crate) const AMQP_HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
/// Protocol header for SASL.
pub(crate) const SASL_HEADER: &[u8] = b"AMQP\x03\x01\x00\x00";

pub(crate) const OPEN: u8 = 0x10;
pub(crate) const BEGIN: u8 = 0x11;
pub(crate) const ATTACH: u8 = 0x12;
pub(crate) const FLOW: u8 = 0x13;
pub(crate) const TRANSFER: u8 = 0x14;
pub(crate) const DISPOSITION: u8 = 0x15;
pub(crate) const CLOSE: u8 = 0x18;
pub(crate) const SASL_MECHANISMS: u8 = 0x40;
pub(crate) const SASL_INIT: u8 = 0x41;
pub(crate) const SASL_RESPONSE: u8 = 0x43;
pub(crate) const SASL_OUTCOME: u8 = 0x44;

pub(crate) const NULL: &[u8] = &[0x40];
pub(crate) const TRUE: &[u8] = &[0x41];
pub(crate) const FALSE: &[u8] = &[0x42];

pub(crate) fn uint(value: u32) -> Vec<u8> {
    [&[0x70], value.to_be_bytes().as_slice()].concat()
}

pub(crate) fn long(value: i64) -> Vec<u8> {
    [&[0x81], value.to_be_bytes().as_slice()].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    variable(0xb1, text.as_bytes())
}

pub(crate) fn symbol(text: &str) -> Vec<u8> {
    variable(0xb3, text.as_bytes())
}

pub(crate) fn binary(bytes: &[u8]) -> Vec<u8> {
    variable(0xb0, bytes)
}

fn variable(code: u8, bytes: &[u8]) -> Vec<u8> {
    [&[code], length(bytes.len()).as_slice(), bytes].concat()
}

pub(crate) fn list(items: &[&[u8]]) -> Vec<u8> {
    compound(0xd0, items)
}

pub(crate) fn map(items: &[&[u8]]) -> Vec<u8> {
    compound(0xd1, items)
}

fn compound(code: u8, items: &[&[u8]]) -> Vec<u8> {
    let content = items.concat();
    [&[code], length(content.len() + 4).as_slice(), &length(items.len()), &content].concat()
}

/// An array that claims `count` elements of no width: a few octets that may expand to anything.
pub(crate) fn array_of_nulls(count: u32) -> Vec<u8> {
    [&[0xf0], length(5).as_slice(), &count.to_be_bytes(), &[0x40]].concat()
}

/// An array of what [`symbol`] has made.
pub(crate) fn array_of_symbols(symbols: &[Vec<u8>]) -> Vec<u8> {
    let content: Vec<u8> = symbols.iter().flat_map(|symbol| &symbol[1..]).copied().collect();
    [&[0xf0], length(content.len() + 5).as_slice(), &length(symbols.len()), &[0xb3], &content].concat()
}

/// A list in a list in a list, `depth` deep.
pub(crate) fn nested_lists(depth: usize) -> Vec<u8> {
    // Built inside out would copy `depth` times; the sizes are known beforehand.
    let mut bytes = Vec::with_capacity(depth * 9 + 1);
    for level in 0..depth {
        let content = (depth - level - 1) * 9 + 1;
        bytes.push(0xd0);
        bytes.extend(length(content + 4));
        bytes.extend(length(1));
    }
    bytes.push(0x45);
    bytes
}

pub(crate) fn described(code: u8, value: &[u8]) -> Vec<u8> {
    [&[0x00, 0x53, code], value].concat()
}

/// An AMQP frame with a performative and payload.
pub(crate) fn frame(channel: u16, code: u8, fields: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    raw_frame(0, channel, &[described(code, &list(fields)).as_slice(), payload].concat())
}

/// A frame of any type with any body.
pub(crate) fn raw_frame(kind: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let head = [2, kind, channel.to_be_bytes()[0], channel.to_be_bytes()[1]];
    [length(body.len() + 8).as_slice(), &head, body].concat()
}

pub(crate) fn open() -> Vec<u8> {
    frame(0, OPEN, &[&string("intruder"), &string("localhost"), &uint(16384)], &[])
}

pub(crate) fn begin(channel: u16) -> Vec<u8> {
    frame(channel, BEGIN, &[NULL, &uint(0), &uint(2048), &uint(2048)], &[])
}

/// Attaches a sending link with the given target address.
pub(crate) fn attach_sender(handle: u32, target: &str) -> Vec<u8> {
    attach(handle, FALSE, &terminus(0x28, NULL), &terminus(0x29, &string(target)))
}

/// Attaches a receiving link with the given source address.
pub(crate) fn attach_receiver(handle: u32, source: &str) -> Vec<u8> {
    attach(handle, TRUE, &terminus(0x28, &string(source)), &terminus(0x29, NULL))
}

fn attach(handle: u32, role: &[u8], source: &[u8], target: &[u8]) -> Vec<u8> {
    let name = string(&format!("link-{handle}"));
    let fields: [&[u8]; 10] = [&name, &uint(handle), role, NULL, NULL, source, target, NULL, FALSE, &uint(0)];
    frame(0, ATTACH, &fields, &[])
}

fn terminus(code: u8, address: &[u8]) -> Vec<u8> {
    described(code, &list(&[address]))
}

pub(crate) fn transfer(handle: u32, delivery: u32, more: bool, payload: &[u8]) -> Vec<u8> {
    let tag = binary(&delivery.to_be_bytes());
    let more = if more { TRUE } else { FALSE };
    frame(0, TRANSFER, &[&uint(handle), &uint(delivery), &tag, &uint(0), FALSE, more], payload)
}

/// A frame of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    /// Of its performative, where that has a small one.
    pub(crate) code: Option<u8>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// The value of the first field, where that is one octet.
    pub(crate) fn first_octet(&self) -> Option<u8> {
        match self.body.get(3..)? {
            [0xc0, _, _, 0x50, value, ..] | [0xd0, _, _, _, _, _, _, _, _, 0x50, value, ..] => Some(*value),
            _ => None,
        }
    }

    /// Whether its body has that text.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

/// The numbers and truths among the fields of a performative, in their places.
pub(crate) fn field_values(body: &[u8]) -> Vec<Option<u64>> {
    let Some([0xc0, _, _, fields @ ..] | [0xd0, _, _, _, _, _, _, _, _, fields @ ..]) = body.get(3..) else {
        return Vec::new();
    };
    let mut rest = fields;
    let mut values = Vec::new();
    while let Some(size) = size_of(rest) {
        let (value, behind) = rest.split_at(size);
        values.push(match value {
            [0x41] | [0x56, 1] => Some(1),
            [0x42..=0x44] | [0x56, 0] => Some(0),
            [0x50 | 0x52 | 0x53, number] => Some(u64::from(*number)),
            [0x70, number @ ..] => number.try_into().ok().map(u32::from_be_bytes).map(u64::from),
            _ => None,
        });
        rest = behind;
    }
    values
}

/// Octets of the value that comes first, with its constructor.
fn size_of(octets: &[u8]) -> Option<usize> {
    let code = *octets.first()?;
    let size = match code >> 4 {
        0x0 => {
            let descriptor = size_of(&octets[1..])?;
            descriptor + size_of(octets.get(1 + descriptor..)?)?
        }
        width @ 0x4..=0x9 => [0, 1, 2, 4, 8, 16][usize::from(width - 4)],
        0xa | 0xc | 0xe => 1 + usize::from(*octets.get(1)?),
        0xb | 0xd | 0xf => 4 + u32::from_be_bytes(octets.get(1..5)?.try_into().ok()?) as usize,
        _ => return None,
    };
    (octets.len() > size).then_some(size + 1)
}

/// Octets of the whole frames and protocol headers that an answer begins with.
pub(crate) fn take_frames(answer: &[u8]) -> usize {
    let mut taken = 0;
    while let Some(head) = answer.get(taken..taken + 8) {
        let size = if head.starts_with(b"AMQP") { 8 } else { u32::from_be_bytes([head[0], head[1], head[2], head[3]]) };
        if size < 8 || answer.len() - taken < size as usize {
            break;
        }
        taken += size as usize;
    }
    taken
}

/// The whole frames of an answer, whose protocol headers are passed over.
pub(crate) fn frames(mut answer: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while answer.len() >= 8 {
        if answer.starts_with(b"AMQP") {
            answer = &answer[8..];
            continue;
        }
        let size = u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]) as usize;
        let offset = usize::from(answer[4]) * 4;
        if size < offset || offset < 8 || answer.len() < size {
            break;
        }
        let body = answer[offset..size].to_vec();
        let code = if let [0x00, 0x53, code, ..] = body[..] { Some(code) } else { None };
        frames.push(Frame { kind: answer[5], code, body });
        answer = &answer[size..];
    }
    frames
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let sent = [AMQP_HEADER.to_vec(), open(), attach_receiver(7, "q"), begin(0)[..5].to_vec()].concat();
        assert_eq!(take_frames(&sent), sent.len() - 5);
        let read = frames(&sent);
        assert_eq!(read.iter().map(|frame| frame.code).collect::<Vec<_>>(), [Some(OPEN), Some(ATTACH)]);
        assert!(read[0].says("intruder"));
        assert_eq!(field_values(&read[1].body)[..3], [None, Some(7), Some(1)]);
        assert_eq!(field_values(&frame(0, FLOW, &[NULL, &uint(3)], &[])[8..]), [None, Some(3)]);
    }
}
