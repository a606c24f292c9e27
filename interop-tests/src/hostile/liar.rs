//! A neighbour router that lies: it opens and attaches as routers do, and then tells of the network whatever it likes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Dice;
use super::wire::{
    AMQP_HEADER, ATTACH, BEGIN, FALSE, FLOW, Frame, NULL, OPEN, TRUE, array_of_nulls, binary, described, field_values,
    frame, frames, list, long, map, nested_lists, string, symbol, take_frames, uint,
};

/// Largest frame of the routers.
const FRAME: usize = 16_000;
/// How long a lie waits for credit.
const CREDIT_WAIT: Duration = Duration::from_secs(5);
/// Between two HELLOs.
const HELLO_PAUSE: Duration = Duration::from_millis(500);
/// Names and addresses in the longest lists.
const MANY: usize = 100_000;
/// The address of every lie begins so.
pub const LIE: &str = "lie.";

/// One kind of lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// A HELLO of another router, or of the one that hears it.
    OthersHello,
    /// HELLOs of very many routers.
    ManyHellos,
    /// Sequence numbers of others that cannot be outdone, or go back, and boot times.
    OthersAdvertisement,
    /// Another router, or the one that hears it, has no neighbours, or others.
    OthersLinks,
    /// Another router has no addresses, or others.
    OthersAddresses,
    /// Its own sequence numbers jump.
    OwnSequences,
    /// A hundred thousand routers.
    ManyRouters,
    /// Routers that tell of themselves, one after the other.
    InventedRouters,
    /// A hundred thousand addresses.
    ManyAddresses,
    /// The same of a router that is none.
    ManyInventedAddresses,
    /// Addresses of a megabyte.
    HugeAddresses,
    /// Names of a megabyte, or with line feeds.
    HugeNames,
    /// Bodies that are none.
    Malformed,
    /// One body of many megabytes.
    HugeBody,
    /// Requests, each of which asks for all.
    FloodOfRequests,
    /// A router that starts again with each message.
    FloodOfRestarts,
}

/// What routers a liar lies to and about.
#[derive(Clone, Debug)]
pub struct Victims {
    /// Where the first one listens for routers.
    pub address: SocketAddr,
    /// The id of that router.
    pub near: String,
    /// The id of its honest neighbour.
    pub far: String,
    /// An address that is consumed there.
    pub service: String,
}

/// A connection of a liar.
pub struct Liar {
    victims: Victims,
    id: String,
    stream: TcpStream,
    shared: Arc<Shared>,
    next_transfer: u32,
    next_delivery: u32,
    instance: i64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the router said.
#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Its handle of the link that we send on.
    handle: Option<u64>,
    attached: usize,
    /// Deliveries and transfers that may be sent.
    credit: u32,
    window: u32,
    /// Boot times of the routers.
    instances: BTreeMap<String, i64>,
}

// === impl Lie ===

impl Lie {
    /// Every lie.
    pub const ALL: [Self; 16] = [
        Self::OthersHello,
        Self::ManyHellos,
        Self::OthersAdvertisement,
        Self::OthersLinks,
        Self::OthersAddresses,
        Self::OwnSequences,
        Self::ManyRouters,
        Self::InventedRouters,
        Self::ManyAddresses,
        Self::ManyInventedAddresses,
        Self::HugeAddresses,
        Self::HugeNames,
        Self::Malformed,
        Self::HugeBody,
        Self::FloodOfRequests,
        Self::FloodOfRestarts,
    ];

    fn messages(self, liar: &Liar, dice: &mut Dice) -> Vec<Vec<u8>> {
        let Victims { near, far, service, .. } = &liar.victims;
        let other = dice.pick(&[near.as_str(), far.as_str()]).to_string();
        let instance = *dice.pick(&[liar.known_instance(&other), 0, 7, i64::MAX, i64::MIN]);
        let seq = *dice.pick(&[i64::MAX, i64::MAX - 1, 1 << 40, 1000, 1, 0, -1, i64::MIN]);
        let own = liar.id.as_str();
        match self {
            Self::OthersHello => vec![hello(&other, instance, &[near, far, own])],
            Self::ManyHellos => (0..300).map(|n| hello(&format!("{LIE}h{n}"), 1, &[near])).collect(),
            Self::OthersAdvertisement => {
                let sync = *dice.pick(&[None, Some(1), Some(2)]);
                vec![ra(&other, instance, seq, *dice.pick(&[seq, 1, i64::MAX]), sync)]
            }
            Self::OthersLinks => {
                let peers = dice.pick(&[vec![], vec![own], vec!["nobody"]]).clone();
                let to = dice.pick(&[near.as_str(), far.as_str(), "all"]).to_string();
                vec![lsu(&to, &other, instance, seq, peers.into_iter().map(str::to_owned))]
            }
            Self::OthersAddresses => {
                let to = dice.pick(&[near.as_str(), far.as_str(), "all"]).to_string();
                let lists = match dice.below(3) {
                    0 => vec![("exist", Vec::new())],
                    1 => vec![("add", Vec::new()), ("del", vec![format!("M{service}")])],
                    _ => vec![("exist", vec![format!("M{LIE}of-another")])],
                };
                (0..4).map(|n| mau(&to, &other, seq.saturating_add(n), &lists)).collect()
            }
            Self::OwnSequences => vec![
                ra(own, liar.instance, seq, seq, None),
                lsu(near, own, liar.instance, seq, [near.clone()]),
                mau(near, own, seq, &[("exist", vec![format!("M{LIE}own")])]),
            ],
            Self::ManyRouters => vec![lsu(near, own, liar.instance, seq, (0..MANY).map(|n| format!("{LIE}r{n}")))],
            Self::InventedRouters => invented(near, dice),
            Self::ManyAddresses => vec![many_addresses(near, own, seq, "own")],
            Self::ManyInventedAddresses => {
                let id = format!("{LIE}i{}", dice.below(200));
                let told = [ra(&id, 1, 1, 1, None), lsu(near, &id, 1, 1, [near.clone()])];
                [&told[..], &[many_addresses(near, &id, 1 << 40, &id)]].concat()
            }
            Self::HugeAddresses => {
                let keys = (0..20).map(|n| format!("M{LIE}{n}{}", "x".repeat(1 << 20))).collect();
                vec![mau(near, own, i64::MAX, &[("exist", keys)])]
            }
            Self::HugeNames => huge_names(near, dice),
            Self::Malformed => (0..20).map(|_| malformed(near, dice)).collect(),
            Self::HugeBody => {
                vec![message("all/qdrouter", "RA", &[("id", string(own)), ("x", binary(&vec![0; 20 << 20]))])]
            }
            Self::FloodOfRequests => {
                let asks = |n: usize| match n % 2 {
                    0 => message(&format!("{near}/qdrouter"), "LSR", &[("id", string(&other))]),
                    _ => message(&format!("{near}/qdrouter.ma"), "MAR", &[("id", string(own)), ("have_seq", long(-1))]),
                };
                (0..1000).map(asks).collect()
            }
            Self::FloodOfRestarts => (0..500).map(|n| ra(own, n, 1, 1, None)).collect(),
        }
    }
}

/// Routers that nobody has, each with all that a router tells of itself.
fn invented(near: &str, dice: &mut Dice) -> Vec<Vec<u8>> {
    let first = dice.below(1000);
    let tells = |n: usize| {
        let id = format!("{LIE}v{n}");
        let keys = vec![format!("M{LIE}of-{n}")];
        [
            ra(&id, 1, 2, 2, None),
            lsu(near, &id, 1, 2, [near.to_owned(), format!("{LIE}v{}", n + 1)]),
            mau(near, &id, 2, &[("exist", keys)]),
        ]
    };
    (first..first + 150).flat_map(tells).collect()
}

fn many_addresses(near: &str, id: &str, seq: i64, whose: &str) -> Vec<u8> {
    mau(near, id, seq, &[("exist", (0..MANY).map(|n| format!("M{LIE}{whose}.{n}")).collect())])
}

fn huge_names(near: &str, dice: &mut Dice) -> Vec<Vec<u8>> {
    let name = match dice.below(3) {
        0 => "n".repeat(1 << 20),
        1 => "forged\n2026-01-01 00:00:00.000000 +0000 ROUTER (critical) forged".to_owned(),
        _ => "\u{1b}[2J".repeat(1000),
    };
    vec![
        hello(&name, 1, &[near]),
        ra(&name, 1, 1, 1, None),
        lsu(near, &name, 1, 1, [near.to_owned()]),
        lsu(near, &format!("{LIE}n"), 1, dice.below(1000) as i64, (0..20).map(|n| format!("{name}{n}"))),
        mau(near, &name, 1, &[("exist", Vec::new())]),
        message(&format!("{near}/qdrouter"), "LSR", &[("id", string(&name))]),
    ]
}

fn malformed(near: &str, dice: &mut Dice) -> Vec<u8> {
    let opcode = *dice.pick(&["HELLO", "RA", "LSR", "LSU", "MAR", "MAU", "NONE", ""]);
    let to = *dice.pick(&["all/qdrouter", "all/qdrouter.ma", near]);
    let value = match dice.below(6) {
        0 => nested_lists(500),
        1 => array_of_nulls(u32::MAX),
        2 => long(-1),
        3 => vec![0xd1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2],
        4 => map(&[&string("a"), &long(1)]),
        _ => dice.bytes(60),
    };
    match dice.below(4) {
        0 => message(to, opcode, &[]),
        1 => message(to, opcode, &[("id", value)]),
        2 => {
            let keys = ["seen", "instance", "ls_seq", "mobile_seq", "ls", "exist", "add", "del", "pv"];
            message(to, opcode, &[("id", string(&format!("{LIE}m"))), (*dice.pick(&keys), value)])
        }
        _ => [sections(to, opcode), described(0x77, &value)].concat(),
    }
}

// === messages ===

fn sections(to: &str, opcode: &str) -> Vec<u8> {
    let to = string(&if to.starts_with("_local") { to.to_owned() } else { format!("_topo/0/{to}") });
    let properties = described(0x73, &list(&[NULL, NULL, &to]));
    [properties, described(0x74, &map(&[&string("opcode"), &string(opcode)]))].concat()
}

fn message(to: &str, opcode: &str, fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<Vec<u8>> = fields.iter().flat_map(|(key, value)| [string(key), value.clone()]).collect();
    let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    [sections(to, opcode), described(0x77, &map(&items))].concat()
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let texts: Vec<_> = texts.into_iter().map(string).collect();
    list(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn hello(id: &str, instance: i64, seen: &[&str]) -> Vec<u8> {
    let seen = texts(seen.iter().copied());
    message(
        "_local/qdhello",
        "HELLO",
        &[("id", string(id)), ("pv", long(1)), ("instance", long(instance)), ("seen", seen)],
    )
}

fn ra(id: &str, instance: i64, ls_seq: i64, mobile_seq: i64, sync: Option<i64>) -> Vec<u8> {
    let mut fields = vec![
        ("id", string(id)),
        ("pv", long(1)),
        ("instance", long(instance)),
        ("ls_seq", long(ls_seq)),
        ("mobile_seq", long(mobile_seq)),
    ];
    fields.extend(sync.map(|sync| ("sync", long(sync))));
    message("all/qdrouter", "RA", &fields)
}

fn lsu(to: &str, id: &str, instance: i64, seq: i64, peers: impl IntoIterator<Item = String>) -> Vec<u8> {
    let peers: Vec<Vec<u8>> = peers.into_iter().flat_map(|peer| [string(&peer), long(1)]).collect();
    let peers = map(&peers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let state = map(&[&string("id"), &string(id), &string("ls_seq"), &long(seq), &string("peers"), &peers]);
    let fields =
        [("id", string(id)), ("pv", long(1)), ("instance", long(instance)), ("ls_seq", long(seq)), ("ls", state)];
    message(&format!("{to}/qdrouter"), "LSU", &fields)
}

fn mau(to: &str, id: &str, seq: i64, lists: &[(&str, Vec<String>)]) -> Vec<u8> {
    let mut fields = vec![("id", string(id)), ("pv", long(2)), ("mobile_seq", long(seq))];
    fields.extend(lists.iter().map(|(name, keys)| (*name, texts(keys.iter().map(String::as_str)))));
    message(&format!("{to}/qdrouter.ma"), "MAU", &fields)
}

// === impl Liar ===

impl Liar {
    /// Opens a connection as the router `id`, with control links.
    pub fn connect(victims: &Victims, id: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(victims.address)?;
        stream.set_write_timeout(Some(CREDIT_WAIT))?;
        let capabilities = [symbol("qd.streaming-links"), symbol("qd.connection_trunking")];
        let capabilities = super::wire::array_of_symbols(&capabilities);
        let properties = map(&[&symbol("product"), &string("skupper-router")]);
        let opened: [&[u8]; 10] = [
            &string(id),
            NULL,
            &uint(16_384),
            NULL,
            &uint(60_000),
            NULL,
            NULL,
            &capabilities,
            &capabilities,
            &properties,
        ];
        let begun = frame(0, BEGIN, &[NULL, &uint(0), &uint(1 << 30), &uint(1 << 30)], &[]);
        let credit = [NULL, &uint(1 << 30), &uint(0), &uint(1 << 30), &uint(1), &uint(0), &uint(1 << 30)];
        let hello = [AMQP_HEADER, &frame(0, OPEN, &opened, &[]), &begun, &attach(0, false), &attach(1, true)].concat();
        stream.write_all(&hello)?;
        stream.write_all(&frame(0, FLOW, &credit, &[]))?;
        let shared = Arc::new(Shared::default());
        let (reading, state) = (stream.try_clone()?, Arc::clone(&shared));
        thread::spawn(move || state.follow(reading));
        let liar = Self {
            victims: victims.clone(),
            id: id.to_owned(),
            stream,
            shared,
            next_transfer: 0,
            next_delivery: 0,
            instance: 1,
        };
        liar.shared.wait_until(|state| state.attached == 2).context("the control links are not answered")?;
        ensure!(liar.shared.lock().attached == 2, "the router has closed the connection of {id}");
        Ok(liar)
    }

    /// Tells the lies in turn until the time is over or the router has enough of it; goes on after what was counted, and
    /// counts what it has said.
    pub fn lie(&mut self, lies: &[Lie], end: Instant, dice: &mut Dice, count: &mut BTreeMap<Lie, u64>) -> Result<()> {
        let mut next_hello = Instant::now();
        while Instant::now() < end && !self.shared.lock().closed {
            if Instant::now() >= next_hello {
                let (id, near) = (self.id.clone(), self.victims.near.clone());
                self.send(&hello(&id, self.instance, &[&near]))?;
                next_hello = Instant::now() + HELLO_PAUSE;
            }
            let said: u64 = count.values().sum();
            let lie = lies[said as usize % lies.len()];
            for message in lie.messages(self, dice) {
                self.send(&message)?;
            }
            *count.entry(lie).or_default() += 1;
        }
        Ok(())
    }

    fn known_instance(&self, id: &str) -> i64 {
        self.shared.lock().instances.get(id).copied().unwrap_or_default()
    }

    /// Sends a message in as many frames as it needs.
    fn send(&mut self, message: &[u8]) -> Result<()> {
        let (delivery, tag) = (self.next_delivery, binary(&self.next_delivery.to_be_bytes()));
        let parts: Vec<&[u8]> = message.chunks(FRAME).collect();
        for (number, part) in parts.iter().enumerate() {
            let transfer = self.next_transfer;
            let is_free = |state: &State| state.closed || (delivery < state.credit && transfer < state.window);
            self.shared.wait_until(is_free).context("no credit")?;
            let more = if number + 1 < parts.len() { TRUE } else { FALSE };
            let fields: [&[u8]; 6] = [&uint(0), &uint(delivery), &tag, &uint(0), TRUE, more];
            // A router that closes has had enough.
            if self.stream.write_all(&frame(0, 0x14, &fields, part)).is_err() {
                self.shared.lock().closed = true;
            }
            self.next_transfer += 1;
        }
        self.next_delivery += 1;
        Ok(())
    }
}

fn attach(handle: u32, is_receiver: bool) -> Vec<u8> {
    let capability = symbol("qd.router");
    let source = described(0x28, &list(&[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &capability]));
    let target = described(0x29, &list(&[NULL, NULL, NULL, NULL, NULL, NULL, &capability]));
    let role = if is_receiver { TRUE } else { FALSE };
    let name = string(&format!("qdlink.{handle}"));
    let fields: [&[u8]; 10] = [&name, &uint(handle), role, NULL, NULL, &source, &target, NULL, NULL, &uint(0)];
    frame(0, ATTACH, &fields, &[])
}

impl Drop for Liar {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, is_so: impl Fn(&State) -> bool) -> Result<()> {
        let wait = self.changed.wait_timeout_while(self.lock(), CREDIT_WAIT, |state| !is_so(state) && !state.closed);
        let (state, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
        ensure!(!timeout.timed_out() || state.closed, "{state:?}");
        Ok(())
    }

    /// Reads what the router says, until it says no more.
    fn follow(&self, mut stream: TcpStream) {
        let (mut input, mut part) = (Vec::new(), vec![0; 64 * 1024]);
        while let Ok(count) = stream.read(&mut part) {
            if count == 0 {
                break;
            }
            input.extend_from_slice(&part[..count]);
            let taken = take_frames(&input);
            let mut state = self.lock();
            frames(&input[..taken]).iter().filter(|frame| frame.kind == 0).for_each(|frame| state.take(frame));
            drop(state);
            input.drain(..taken);
            self.changed.notify_all();
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

// === impl State ===

impl State {
    fn take(&mut self, frame: &Frame) {
        let fields = || field_values(&frame.body);
        match frame.code {
            Some(ATTACH) => {
                let fields = fields();
                self.attached += 1;
                if fields.get(2).copied().flatten() == Some(1) {
                    self.handle = fields.get(1).copied().flatten();
                }
            }
            Some(FLOW) => {
                let fields = fields();
                let field = |at: usize| fields.get(at).copied().flatten();
                self.window = (field(0).unwrap_or_default() + field(1).unwrap_or_default()) as u32;
                if field(4).is_some() && field(4) == self.handle {
                    self.credit = (field(5).unwrap_or_default() + field(6).unwrap_or_default()) as u32;
                }
            }
            Some(BEGIN) => {
                let fields = fields();
                self.window = fields.get(2).copied().flatten().unwrap_or_default() as u32;
            }
            Some(0x14) => drop(self.learn(&frame.body)),
            _ => {}
        }
    }

    /// The boot time of a router that says it.
    fn learn(&mut self, message: &[u8]) -> Option<()> {
        let behind = |text: &[u8]| {
            let at = message.windows(text.len()).position(|part| part == text)?;
            message.get(at + text.len()..)
        };
        let [0xa1, length, id @ ..] = behind(b"\xa1\x02id")? else { return None };
        let id = String::from_utf8(id.get(..usize::from(*length))?.to_vec()).ok()?;
        let [0x71, instance @ ..] = behind(b"\xa1\x08instance")? else { return None };
        let instance = i32::from_be_bytes(instance.get(..4)?.try_into().ok()?);
        self.instances.insert(id, instance.into());
        Some(())
    }
}
