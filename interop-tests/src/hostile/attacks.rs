//! What is sent.

use super::Dice;
use super::wire::{
    AMQP_HEADER, ATTACH, BEGIN, DISPOSITION, FALSE, FLOW, NULL, OPEN, SASL_HEADER, SASL_INIT, TRANSFER, TRUE,
    array_of_nulls, attach_receiver, attach_sender, begin, binary, described, frame, list, map, nested_lists, open,
    raw_frame, string, symbol, transfer, uint,
};

/// How fast the bytes of an attack are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once; then the answer is awaited for a moment.
    AtOnce,
    /// Octet by octet for as long as the siege lasts, in parallel with everything else.
    Dribble,
}

/// One kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Random bytes from the first octet on.
    Noise,
    /// A correct protocol header, then random bytes.
    NoiseAfterHeader,
    /// A correct conversation with some octets changed, lost, repeated or swapped.
    Mutation,
    /// A correct conversation that breaks off anywhere.
    Truncation,
    /// Frame sizes and offsets that cannot be.
    FrameHeaders,
    /// A frame that announces four gigabytes, followed by a lot of them.
    OversizeFrame,
    /// Performatives that do not exist.
    UnknownDescriptors,
    /// Values in values, thousands deep.
    DeepNesting,
    /// Collections that claim more elements than there is memory.
    HugeCounts,
    /// Frames in an order, or for channels, handles and deliveries, that make no sense.
    Nonsense,
    /// SASL exchanges gone wrong.
    Sasl,
    /// Messages to the management node that are none.
    Management,
    /// A message that never ends.
    EndlessMessage,
    /// Very many sessions and links.
    Flood,
    /// A router's hello with addresses and lists that do not fit.
    RouterProtocol,
    /// A header, octet by octet, that never becomes complete.
    SlowHeader,
    /// A frame, octet by octet, that never becomes complete.
    SlowFrame,
}

// === impl Attack ===

impl Attack {
    /// Every attack.
    pub const ALL: [Self; 17] = [
        Self::Noise,
        Self::NoiseAfterHeader,
        Self::Mutation,
        Self::Truncation,
        Self::FrameHeaders,
        Self::OversizeFrame,
        Self::UnknownDescriptors,
        Self::DeepNesting,
        Self::HugeCounts,
        Self::Nonsense,
        Self::Sasl,
        Self::Management,
        Self::EndlessMessage,
        Self::Flood,
        Self::RouterProtocol,
        Self::SlowHeader,
        Self::SlowFrame,
    ];

    /// How fast it is sent.
    pub fn pace(self) -> Pace {
        match self {
            Self::SlowHeader | Self::SlowFrame => Pace::Dribble,
            _ => Pace::AtOnce,
        }
    }

    /// Whether it begins where AMQP begins, so that an authentication that succeeds may come before.
    pub(crate) fn begins_with_amqp(self) -> bool {
        !matches!(self, Self::Noise | Self::Sasl | Self::SlowHeader)
    }

    /// The bytes of one such attack.
    pub fn bytes(self, dice: &mut Dice) -> Vec<u8> {
        match self {
            Self::Noise => noise(dice),
            Self::NoiseAfterHeader => [*dice.pick(&[AMQP_HEADER, SASL_HEADER]), &noise(dice)].concat(),
            Self::Mutation => mutate(conversation(), dice),
            Self::Truncation => {
                let mut bytes = conversation();
                bytes.truncate(dice.below(bytes.len()));
                bytes
            }
            Self::FrameHeaders => frame_header(dice),
            Self::OversizeFrame => [AMQP_HEADER, &[0xff; 4], &[2, 0, 0, 0], &vec![0; 256 * 1024]].concat(),
            Self::UnknownDescriptors => unknown_descriptor(dice),
            Self::DeepNesting => deep_nesting(dice),
            Self::HugeCounts => huge_counts(dice),
            Self::Nonsense => nonsense(dice),
            Self::Sasl => sasl(dice),
            Self::Management => management(dice),
            Self::EndlessMessage => endless_message(),
            Self::Flood => flood(dice),
            Self::RouterProtocol => router_protocol(dice),
            Self::SlowHeader => AMQP_HEADER[..7].to_vec(),
            Self::SlowFrame => {
                let long_open = frame(0, OPEN, &[&string(&"x".repeat(400))], &[]);
                [AMQP_HEADER, &long_open[..400]].concat()
            }
        }
    }
}

/// What a client with a certificate sends to authenticate with it; the answers need not be awaited.
pub(crate) fn authentication() -> Vec<u8> {
    let init = described(SASL_INIT, &list(&[&symbol("EXTERNAL"), &binary(b"")]));
    [SASL_HEADER, &raw_frame(1, 0, &init)].concat()
}

fn noise(dice: &mut Dice) -> Vec<u8> {
    let count = 1 + dice.below(4096);
    dice.bytes(count)
}

/// What a client that behaves would send: it opens, begins, attaches both ways and sends two messages.
fn conversation() -> Vec<u8> {
    let message = [described(0x73, &list(&[NULL, NULL, &string("queue.hostile")])), described(0x77, NULL)].concat();
    let credit = frame(0, FLOW, &[&uint(0), &uint(2048), &uint(0), &uint(2048), &uint(1), &uint(0), &uint(10)], &[]);
    let accept = frame(0, DISPOSITION, &[TRUE, &uint(0), &uint(1), TRUE, &described(0x24, &list(&[]))], &[]);
    [
        AMQP_HEADER.to_vec(),
        open(),
        begin(0),
        attach_sender(0, "queue.hostile"),
        attach_receiver(1, "queue.hostile"),
        credit,
        transfer(0, 0, false, &message),
        transfer(0, 1, true, &message),
        transfer(0, 1, false, b"tail"),
        accept,
    ]
    .concat()
}

fn mutate(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    for _ in 0..=dice.below(8) {
        // The protocol header mostly stays, else nothing behind it would be looked at.
        let start = if dice.below(10) == 0 { 0 } else { AMQP_HEADER.len() };
        let at = start + dice.below(bytes.len() - start);
        let length = (1 + dice.below(32)).min(bytes.len() - at);
        match dice.below(5) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = *dice.pick(&[0x00, 0x40, 0x45, 0x7f, 0x80, 0xd0, 0xf0, 0xff]),
            2 if bytes.len() > start + 64 => drop(bytes.drain(at..at + length)),
            3 => {
                let repeated = bytes[at..at + length].to_vec();
                drop(bytes.splice(at..at, repeated));
            }
            _ => bytes[at..at + length].reverse(),
        }
    }
    bytes
}

fn frame_header(dice: &mut Dice) -> Vec<u8> {
    let size: u32 = *dice.pick(&[0, 1, 4, 7, 8, 9, 16_385, 0x7fff_ffff, 0xffff_ffff]);
    let offset: u8 = *dice.pick(&[0, 1, 2, 3, 255]);
    let kind: u8 = *dice.pick(&[0, 1, 2, 255]);
    let body = open();
    [AMQP_HEADER, &size.to_be_bytes(), &[offset, kind, 0, 0], &body[8..]].concat()
}

fn unknown_descriptor(dice: &mut Dice) -> Vec<u8> {
    let body = match dice.below(4) {
        0 => described(dice.number().to_be_bytes()[0] | 0x80, &list(&[])),
        1 => [&[0x00], symbol("no:such:list").as_slice(), &list(&[])].concat(),
        2 => [&[0x00, 0x00, 0x00, 0x00], list(&[]).as_slice()].concat(),
        _ => described(OPEN, &map(&[&string("container-id"), &string("map, not list")])),
    };
    [AMQP_HEADER.to_vec(), raw_frame(0, 0, &body), begin(0)].concat()
}

fn deep_nesting(dice: &mut Dice) -> Vec<u8> {
    let deep = nested_lists(1700);
    match dice.below(3) {
        0 => {
            let fields: [&[u8]; 3] = [&string("deep"), NULL, &deep];
            [AMQP_HEADER.to_vec(), frame(0, OPEN, &fields, &[])].concat()
        }
        1 => {
            // Descriptors of descriptors of descriptors.
            let body = [vec![0x00; 8000], list(&[])].concat();
            [AMQP_HEADER.to_vec(), open(), begin(0), raw_frame(0, 0, &body)].concat()
        }
        _ => {
            let annotations = described(0x72, &map(&[&symbol("x-deep"), &deep]));
            let start = [AMQP_HEADER.to_vec(), open(), begin(0), attach_sender(0, "queue.hostile")].concat();
            [start, transfer(0, 0, false, &annotations)].concat()
        }
    }
}

fn huge_counts(dice: &mut Dice) -> Vec<u8> {
    let bomb = match dice.below(3) {
        0 => array_of_nulls(u32::MAX),
        1 => [&[0xd0], 8_u32.to_be_bytes().as_slice(), &u32::MAX.to_be_bytes(), &[0x40; 4]].concat(),
        _ => [&[0xb1], u32::MAX.to_be_bytes().as_slice(), b"short"].concat(),
    };
    if dice.below(2) == 0 {
        let fields: [&[u8]; 8] = [&string("huge"), NULL, NULL, NULL, NULL, NULL, NULL, &bomb];
        return [AMQP_HEADER.to_vec(), frame(0, OPEN, &fields, &[])].concat();
    }
    let sections = [described(0x72, &map(&[&symbol("x-huge"), &bomb])), described(0x74, &bomb)].concat();
    let start = [AMQP_HEADER.to_vec(), open(), begin(0), attach_sender(0, "queue.hostile")].concat();
    [start, transfer(0, 0, false, &sections)].concat()
}

fn nonsense(dice: &mut Dice) -> Vec<u8> {
    let start = [AMQP_HEADER.to_vec(), open()].concat();
    let rest = match dice.below(9) {
        0 => transfer(0, 0, false, b"before begin"),
        1 => [begin(0), transfer(77, 0, false, b"no such handle")].concat(),
        2 => [begin(0), begin(0)].concat(),
        3 => frame(65_535, BEGIN, &[NULL, &uint(0), &uint(1), &uint(1)], &[]),
        4 => [open(), open()].concat(),
        5 => [begin(0), attach_sender(u32::MAX, "queue.hostile")].concat(),
        6 => {
            let receiver_sends = frame(0, TRANSFER, &[&uint(1), &uint(0)], b"wrong direction");
            [begin(0), attach_receiver(1, "queue.hostile"), receiver_sends].concat()
        }
        7 => {
            let all = frame(0, DISPOSITION, &[TRUE, &uint(0), &uint(u32::MAX), TRUE], &[]);
            [begin(0), all].concat()
        }
        _ => {
            let no_credit: Vec<_> = (0..500).map(|id| transfer(0, id, false, b"no credit")).collect();
            [begin(0), attach_sender(0, "queue.nobody"), no_credit.concat()].concat()
        }
    };
    [start, rest].concat()
}

fn sasl(dice: &mut Dice) -> Vec<u8> {
    let init = |mechanism: &str, response: &[u8]| {
        let fields = list(&[&symbol(mechanism), &binary(response)]);
        raw_frame(1, 0, &described(SASL_INIT, &fields))
    };
    let rest = match dice.below(6) {
        0 => init("NO-SUCH-MECHANISM", b""),
        1 => init("PLAIN", b"\0guest\0guest"),
        2 => init("EXTERNAL", &[b'x'; 400]),
        3 => [init("ANONYMOUS", b""), init("ANONYMOUS", b"")].concat(),
        4 => open(),
        _ => raw_frame(1, 0, &described(0x43, &list(&[&nested_lists(40)]))),
    };
    [SASL_HEADER.to_vec(), rest, AMQP_HEADER.to_vec(), open()].concat()
}

fn management(dice: &mut Dice) -> Vec<u8> {
    let properties = described(0x73, &list(&[NULL, NULL, NULL, NULL, &string("amqp:/_topo/0/x/temp.y")]));
    let application = described(0x74, &map(&[&string("operation"), &string("QUERY")]));
    let body = match dice.below(4) {
        0 => described(0x77, &nested_lists(1500)),
        1 => described(0x77, &array_of_nulls(1_000_000)),
        2 => described(0x77, &map(&[&string("attributeNames"), &uint(7)])),
        _ => dice.bytes(300),
    };
    let message = [properties, application, body].concat();
    let start = [AMQP_HEADER.to_vec(), open(), begin(0), attach_sender(0, "$management")].concat();
    [start, transfer(0, 0, false, &message)].concat()
}

fn endless_message() -> Vec<u8> {
    let head = described(0x75, &[&[0xb0], u32::MAX.to_be_bytes().as_slice()].concat());
    let mut bytes = [AMQP_HEADER.to_vec(), open(), begin(0), attach_sender(0, "$management")].concat();
    bytes.extend(transfer(0, 0, true, &head));
    for _ in 0..400 {
        bytes.extend(transfer(0, 0, true, &[0x55; 8000]));
    }
    bytes
}

fn flood(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = [AMQP_HEADER.to_vec(), open(), begin(0)].concat();
    match dice.below(3) {
        0 => (1..1000).for_each(|channel| bytes.extend(begin(channel))),
        1 => (0..1000).for_each(|handle| bytes.extend(attach_sender(handle, &format!("queue.flood.{handle}")))),
        _ => (0..1000).for_each(|handle| bytes.extend(attach_receiver(handle, &format!("queue.flood.{handle}")))),
    }
    bytes
}

fn router_protocol(dice: &mut Dice) -> Vec<u8> {
    let addresses = ["_local/qdhello", "qdhello", "_topo/0/all/qdrouter", "_topo/0/all/qdrouter.ma"];
    let address = *dice.pick(&addresses);
    let opcode = *dice.pick(&["HELLO", "RA", "LSU", "MAU"]);
    let application = described(0x74, &map(&[&string("opcode"), &string(opcode)]));
    let body = match dice.below(3) {
        0 => described(0x77, &map(&[&string("id"), &uint(1), &string("seen"), &nested_lists(300)])),
        1 => described(0x77, &array_of_nulls(100_000)),
        _ => dice.bytes(200),
    };
    let properties = described(0x73, &list(&[NULL, NULL, &string(address)]));
    let capability = symbol("qd.router");
    let source = described(0x28, &list(&[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &capability]));
    let target = described(0x29, &list(&[NULL, NULL, NULL, NULL, NULL, NULL, &capability]));
    let fields: [&[u8]; 10] = [&string("control"), &uint(0), FALSE, NULL, NULL, &source, &target, NULL, NULL, &uint(0)];
    let attach = frame(0, ATTACH, &fields, &[]);
    let message = [properties, application, body].concat();
    [AMQP_HEADER.to_vec(), open(), begin(0), attach, transfer(0, 0, false, &message)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_repeat_with_their_seed() {
        for attack in Attack::ALL {
            let bytes = |seed| attack.bytes(&mut Dice::new(seed));
            assert_eq!(bytes(5), bytes(5), "{attack:?}");
        }
        assert_ne!(Attack::Mutation.bytes(&mut Dice::new(1)), Attack::Mutation.bytes(&mut Dice::new(2)));
    }
}
