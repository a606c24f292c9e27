//! The daemon under peers that make it hold much: it stays below its ceiling, and serves the others.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use adaptors::clock;
use amqp_core::engine::{AttachParams, Config, Connection, Event, LinkKey, Outgoing, SaslConfig, SessionKey};
use amqp_core::performative::{Open, Role, Source, Target};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;

/// Only bounds failures.
const PATIENCE: Duration = Duration::from_secs(60);

/// After so long without a word of the router, a sender has sent what it may.
const QUIET: Duration = Duration::from_millis(500);

/// Octets in a message: almost as many as are held whole.
const LARGE: usize = 250_000;

/// A router with a memory ceiling, ended and tidied up when dropped.
struct Router {
    folder: PathBuf,
    process: Child,
    port: u16,
    log: Arc<Mutex<String>>,
}

impl Router {
    fn start(test: &str, ceiling: u64, more: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("memory-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "router {{\n mode: standalone\n id: A\n}}\n\
             listener {{\n host: 127.0.0.1\n port: {port}\n authenticatePeer: no\n saslMechanisms: ANONYMOUS\n}}\n{more}"
        );
        std::fs::write(folder.join("router.conf"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_skrouterd"));
        command.arg("-c").arg(folder.join("router.conf")).stderr(Stdio::piped());
        command.env("SKUPPER_ROUTER_MEMORY_CEILING", ceiling.to_string());
        command.env("SKUPPER_ROUTER_ALLOC_MONITOR_SECS", "1");
        let mut process = command.spawn().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (lines, all) = (BufReader::new(process.stderr.take().unwrap()).lines(), Arc::clone(&log));
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut all = all.lock().unwrap();
                all.push_str(&line);
                all.push('\n');
            }
        });
        let router = Self { folder, process, port, log };
        eventually("the router runs", || router.logged("Operational"));
        router
    }

    fn logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().contains(text)
    }

    /// Resident memory, octets.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.log.lock().unwrap());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A client with one link.
struct Client {
    socket: TcpStream,
    engine: Connection,
    session: SessionKey,
    link: LinkKey,
    events: Vec<Event>,
    /// The router has closed the connection.
    closed: bool,
}

impl Client {
    /// Attaches a link; a receiver has plenty of credit. `None` when the router does not let it in.
    fn attach(port: u16, role: Role, address: &str) -> Option<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut engine = Connection::new(Config { sasl: SaslConfig::BareClient, ..Config::default() });
        engine.open(Open { container_id: format!("{role:?} of {address}"), ..Open::default() });
        let session = engine.begin_session()?;
        let link = engine.attach(session, params("link", role, address))?;
        let mut client = Self { socket, engine, session, link, events: Vec::new(), closed: false };
        if role == Role::Receiver {
            client.engine.grant_credit(link, 1000);
        }
        let begun = Instant::now();
        while !client.events.iter().any(|event| matches!(event, Event::Attached { .. })) {
            client.turn();
            assert!(begun.elapsed() < PATIENCE, "not attached");
            if client.closed {
                return None;
            }
        }
        client.turn();
        Some(client)
    }

    /// Writes what there is, and reads for a moment. True: something came.
    fn turn(&mut self) -> bool {
        self.engine.flush(clock::now());
        if self.write().is_err() {
            self.closed = true;
        }
        let mut data = vec![0; 65_536];
        let came = match self.socket.read(&mut data) {
            Ok(0) => {
                self.closed = true;
                false
            }
            Ok(count) => {
                data.truncate(count);
                self.engine.receive(Bytes::from(data));
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            Err(_) => {
                self.closed = true;
                false
            }
        };
        while let Some(event) = self.engine.poll_event(clock::now()) {
            self.events.push(event);
        }
        came
    }

    fn write(&mut self) -> std::io::Result<()> {
        let output = self.engine.output();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = output.fill_slices(&mut slices);
            let count = self.socket.write_vectored(&slices[..filled])?;
            output.advance(count);
        }
        Ok(())
    }

    /// Starts a message if it may. What the window does not let out now is in `rest`.
    fn send(&mut self, octets: usize, tag: u64, rest: &mut VecDeque<Bytes>) -> bool {
        let started = rest.is_empty();
        if started {
            if !self.engine.can_start(self.link) {
                return false;
            }
            self.engine.start(self.link, Outgoing { tag, settled: false, state: None, token: tag });
            rest.push_back(message(octets));
        }
        let before = self.engine.output().total();
        self.engine.send(self.link, rest, Some(false), usize::MAX);
        self.engine.output().total() > before
    }

    /// Begins so many large messages, each on a link of its own, and finishes none.
    fn begin(&mut self, messages: usize, address: &str) {
        let links: Vec<LinkKey> = (0..messages)
            .map(|number| {
                self.engine.attach(self.session, params(&format!("{number}"), Role::Sender, address)).unwrap()
            })
            .collect();
        for (tag, link) in (0..).zip(links) {
            let begun = Instant::now();
            while !self.engine.can_start(link) && !self.closed {
                self.turn();
                assert!(begun.elapsed() < PATIENCE, "no credit");
            }
            self.engine.start(link, Outgoing { tag, settled: false, state: None, token: tag });
            let mut rest = VecDeque::from([message(LARGE).slice(..LARGE)]);
            while !rest.is_empty() && !self.closed {
                self.engine.send(link, &mut rest, None, usize::MAX);
                self.turn();
                assert!(begun.elapsed() < PATIENCE, "no window");
            }
        }
    }

    /// Sends large messages until the router lets it send no more. Returns how many octets.
    fn flood(mut self, stop: &AtomicBool) -> (u64, Self) {
        let (mut rest, mut sent) = (VecDeque::new(), 0);
        let mut quiet = Instant::now();
        for tag in 0.. {
            let before = self.engine.output().total();
            if self.send(LARGE, tag, &mut rest) | self.turn() {
                quiet = Instant::now();
            }
            sent += self.engine.output().total() - before;
            if self.closed || quiet.elapsed() > QUIET || stop.load(Ordering::Relaxed) {
                break;
            }
        }
        (sent, self)
    }
}

fn params(name: &str, role: Role, address: &str) -> AttachParams {
    let address = Some(address.to_owned());
    AttachParams {
        name: name.to_owned(),
        role,
        source: Some(Box::new(Source { address: address.clone(), ..Source::default() })),
        target: Some(Box::new(Target { address, ..Target::default() })),
        snd_settle_mode: 2,
    }
}

fn message(octets: usize) -> Bytes {
    let mut message = vec![0, 0x53, 0x75, 0xb0];
    message.extend_from_slice(&u32::try_from(octets).unwrap().to_be_bytes());
    message.resize(message.len() + octets, 7);
    message.into()
}

/// A pair that behaves.
struct Pair {
    sender: Client,
    receiver: Client,
    tag: u64,
}

impl Pair {
    fn new(port: u16) -> Self {
        let receiver = Client::attach(port, Role::Receiver, "good").unwrap();
        Self { receiver, sender: Client::attach(port, Role::Sender, "good").unwrap(), tag: 0 }
    }

    /// A message goes from one to the other.
    fn exchange(&mut self) {
        let begun = Instant::now();
        let mut rest = VecDeque::new();
        let arrived = |client: &Client| client.events.iter().filter(|e| matches!(e, Event::Transfer(_))).count();
        let before = arrived(&self.receiver);
        self.tag += 1;
        while !self.sender.send(1000, self.tag, &mut rest) {
            self.sender.turn();
            assert!(begun.elapsed() < PATIENCE, "the pair has no credit");
        }
        self.sender.turn();
        while arrived(&self.receiver) == before {
            self.receiver.turn();
            assert!(begun.elapsed() < PATIENCE && !self.receiver.closed, "the pair is not served");
        }
        for event in std::mem::take(&mut self.receiver.events) {
            if let Event::Transfer(incoming) = event {
                let accepted = Some(amqp_core::performative::DeliveryState::Accepted);
                self.receiver.engine.update_in(incoming.delivery, accepted, true);
            }
        }
        self.receiver.engine.grant_credit(self.receiver.link, 1);
        self.receiver.turn();
    }
}

/// What came of receivers that read nothing.
struct Outcome {
    /// The most memory that was resident.
    peak: u64,
    /// Octets that each sender could send.
    sent: Vec<u64>,
    clients: Vec<Client>,
}

/// Large messages to so many receivers that read nothing, beside a pair that goes on.
fn besiege(router: &Router, pair: &mut Pair, receivers: usize) -> Outcome {
    let stop = Arc::<AtomicBool>::default();
    let mut clients = Vec::new();
    let mut floods = Vec::new();
    for number in 0..receivers {
        let address = format!("q{number}");
        let Some(receiver) = Client::attach(router.port, Role::Receiver, &address) else { break };
        clients.push(receiver);
        let Some(sender) = Client::attach(router.port, Role::Sender, &address) else { break };
        let stop = Arc::clone(&stop);
        floods.push(thread::spawn(move || sender.flood(&stop)));
    }
    let begun = Instant::now();
    let mut peak = 0;
    while floods.iter().any(|flood| !flood.is_finished()) && begun.elapsed() < PATIENCE {
        pair.exchange();
        peak = peak.max(router.resident());
    }
    stop.store(true, Ordering::Relaxed);
    let ended = floods.into_iter().map(|flood| flood.join().unwrap());
    let (sent, senders): (Vec<u64>, Vec<Client>) = ended.unzip();
    clients.extend(senders);
    Outcome { peak: peak.max(router.resident()), sent, clients }
}

#[test]
fn receivers_that_read_nothing_cost_little() {
    let router = Router::start("stalled", 200 * MIB, "");
    let mut pair = Pair::new(router.port);
    let base = router.resident();
    let Outcome { peak, sent, clients } = besiege(&router, &mut pair, 30);
    println!("base {} peak {} sent {:?}", base / MIB, peak / MIB, sent);
    assert_eq!(sent.len(), 30, "nobody is refused");
    assert!(peak < 200 * MIB, "{} MiB are resident", peak / MIB);
    // What the kernel holds of it cannot be told apart here.
    assert!(sent.iter().all(|octets| *octets < 16 * MIB), "a receiver that reads nothing costs {sent:?} octets");
    pair.exchange();
    drop(clients);
    eventually("the memory is given back", || router.resident() < base + 40 * MIB);
    pair.exchange();
}

#[test]
fn many_receivers_that_read_nothing_stay_below_a_low_ceiling() {
    let ceiling = 64 * MIB;
    let router = Router::start("ceiling", ceiling, "");
    let mut pair = Pair::new(router.port);
    let Outcome { peak, sent, clients } = besiege(&router, &mut pair, 120);
    println!("peak {} senders {} sent {sent:?}", peak / MIB, sent.len());
    assert!(peak < ceiling, "{} MiB are resident", peak / MIB);
    assert!(router.logged("Memory: senders are slowed down"));
    pair.exchange();
    drop(clients);
    eventually("it is over", || router.logged("Memory: back to normal"));
    pair.exchange();
}

#[test]
fn new_connections_are_refused_before_the_heaviest_is_closed() {
    let router = Router::start("refuse", 64 * MIB, "");
    let mut pair = Pair::new(router.port);
    let _consumer = Client::attach(router.port, Role::Receiver, "unfinished").unwrap();
    let mut heavy = Client::attach(router.port, Role::Sender, "unfinished").unwrap();
    let mut other = Client::attach(router.port, Role::Sender, "unfinished").unwrap();
    // Between half of the ceiling and two thirds of it.
    heavy.begin(130, "unfinished");
    eventually("new ones are refused", || router.logged("Memory: new connections are refused"));
    assert!(Client::attach(router.port, Role::Sender, "good").is_none(), "refused");
    pair.exchange();
    assert!(!heavy.closed);
    // Beyond that: not the newest is closed, and not who is there, but who holds the most.
    other.begin(60, "unfinished");
    eventually("the heaviest is closed", || {
        heavy.turn();
        heavy.closed
    });
    let told = heavy.events.iter().any(|e| format!("{e:?}").contains("amqp:resource-limit-exceeded"));
    assert!(told, "{:?}", heavy.events.last());
    other.turn();
    assert!(!other.closed);
    eventually("new ones are welcome", || Client::attach(router.port, Role::Sender, "good").is_some());
    pair.exchange();
}

#[test]
fn the_log_tells_now_and_then_how_much_there_is() {
    let router = Router::start("line", 1024 * MIB, "");
    eventually("the line comes", || router.logged("ROUTER (info) ram:"));
    let log = router.log.lock().unwrap();
    let line = log.lines().find_map(|line| line.split_once("ROUTER (info) ram:")).unwrap().1;
    let size = |name: &str| line.split_once(name).unwrap().1.split(' ').next().unwrap();
    let resident: f64 = size(" rss:").strip_suffix("MiB").unwrap().parse().unwrap();
    let real = router.resident() as f64 / MIB as f64;
    assert!(resident > real / 2.0 && resident < real * 2.0, "{line} of {real} MiB");
    assert!(size(" vm:").ends_with("iB") && size(" pool:").ends_with('B'), "{line}");
}

#[test]
fn idle_connections_cost_little() {
    const COUNT: u64 = 300;
    let router = Router::start("idle", 1024 * MIB, "");
    let warm = Pair::new(router.port);
    let base = router.resident();
    let clients: Vec<Client> =
        (0..COUNT).map(|_| Client::attach(router.port, Role::Receiver, "idle").unwrap()).collect();
    let each = router.resident().saturating_sub(base) / COUNT;
    println!("an idle connection costs {each} octets");
    assert!(each < 32 * 1024, "{each}");
    drop((clients, warm));
}

#[test]
fn stalled_flows_cost_their_window() {
    const COUNT: u64 = 20;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let router = Router::start(
        "flows",
        1024 * MIB,
        &format!(
            "tcpListener {{\n name: l\n address: svc\n host: 127.0.0.1\n port: {port}\n}}\n\
             tcpConnector {{\n name: c\n address: svc\n host: 127.0.0.1\n port: {}\n}}\n",
            server.local_addr().unwrap().port()
        ),
    );
    eventually("the service is there", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let base = router.resident();
    let mut flows: Vec<TcpStream> = (0..COUNT).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    // Nobody reads what is accepted.
    let _accepted: Vec<TcpStream> = (0..COUNT).map(|_| server.accept().unwrap().0).collect();
    let data = vec![7; 65_536];
    for flow in &mut flows {
        flow.set_write_timeout(Some(QUIET)).unwrap();
        while flow.write(&data).is_ok() {}
    }
    let each = router.resident().saturating_sub(base) / COUNT;
    println!("a stalled flow costs {each} octets");
    assert!(each < 2 * MIB, "{each}");
}
