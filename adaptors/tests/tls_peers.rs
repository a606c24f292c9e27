//! Our records with OpenSSL's and GnuTLS's programs, in both roles: every cipher, bulk data both ways, key
//! updates of both forms from both sides under load, tickets and closing alerts.
//!
//! Without the programs these tests pass at once, unless `INTEROP_REQUIRE_PEERS` is set.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::tls::{PeerEnd, Session};
use common::Certs;
use std::future::poll_fn;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What both ends send; no line or chunk of it begins like a command of the programs.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| if i % 1000 == 999 { b'\n' } else { b'd' + (i * 31 % 251 % 7) as u8 }).collect()
}

/// Only bounds failures.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a program is there.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg(if program == "openssl" { "version" } else { "--version" }).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("INTEROP_REQUIRE_PEERS").is_none(), "{program} is missing");
    found
}

fn letters(octets: &[u8]) -> usize {
    octets.iter().filter(|octet| (b'd'..=b'j').contains(*octet)).count()
}

// --- the program

/// A program that speaks TLS, ended when dropped, and what happens at it and at our end.
struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
    /// For our end.
    tell: SyncSender<Event>,
    /// What the program received of us, and said in between.
    output: Vec<u8>,
    /// Octets of the output that may be data.
    letters: usize,
    /// Key updates that it has sent.
    updates: usize,
    /// Octets that our end received and sent.
    ours: [usize; 2],
    exchanged: bool,
    messages: Vec<String>,
}

enum Event {
    Output(Vec<u8>),
    Message(String),
    /// Octets that our end received and sent.
    Ours([usize; 2]),
    Exchanged([usize; 2]),
}

/// What `openssl s_server` says of a key update of its own.
const UPDATED: &[u8] = b"SSL_do_handshake -> 1\n";

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Short, so that a program that is faster than this test waits for it.
        let (tell, events) = sync_channel(8);
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (to_output, to_messages) = (tell.clone(), tell.clone());
        thread::spawn(move || copy(stdout, &to_output));
        thread::spawn(move || {
            let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.try_for_each(|line| to_messages.send(Event::Message(line)))
        });
        let stdin = child.stdin.take();
        let (output, messages) = (Vec::new(), Vec::new());
        Self { child, stdin, events, tell, output, letters: 0, updates: 0, ours: [0; 2], exchanged: false, messages }
    }

    fn write(&mut self, data: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(data).unwrap();
        stdin.flush().unwrap();
    }

    /// Writes from a thread of its own, which gives the pipe back.
    fn write_aside(&mut self, data: Vec<u8>) -> JoinHandle<ChildStdin> {
        let mut stdin = self.stdin.take().unwrap();
        thread::spawn(move || {
            stdin.write_all(&data).unwrap();
            stdin.flush().unwrap();
            stdin
        })
    }

    /// Waits for something.
    fn wait(&mut self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            match self.events.recv_timeout(PATIENCE) {
                Ok(Event::Output(more)) => self.take(&more),
                Ok(Event::Message(line)) => {
                    self.updates += usize::from(line.contains("KEYUPDATE"));
                    self.messages.push(line);
                }
                Ok(Event::Ours(ours)) => self.ours = ours,
                Ok(Event::Exchanged(ours)) => (self.ours, self.exchanged) = (ours, true),
                Err(_) => panic!("nothing more happens: {:?}", self.messages),
            }
        }
    }

    /// Waits until the program's output contains this.
    fn says(&mut self, part: &[u8]) {
        self.wait(|program| find(&program.output, part).is_some());
    }

    /// Takes output. What `openssl s_server` says between the data is left out.
    fn take(&mut self, more: &[u8]) {
        const NOISE: [&[u8]; 2] = [b"Read BLOCK\n", UPDATED];
        let from = self.output.len().saturating_sub(UPDATED.len());
        self.output.extend_from_slice(more);
        self.letters += letters(more);
        // Data has no capitals.
        if !self.output[from..].iter().any(u8::is_ascii_uppercase) {
            return;
        }
        for noise in NOISE {
            while let Some(at) = self.output[from..].windows(noise.len()).position(|part| part == noise) {
                self.output.drain(from + at..from + at + noise.len());
                self.letters -= letters(noise);
                self.updates += usize::from(noise == UPDATED);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(mut from: impl Read, to: &SyncSender<Event>) {
    let mut buf = [0; 65536];
    while let Ok(n @ 1..) = from.read(&mut buf) {
        if to.send(Event::Output(buf[..n].to_vec())).is_err() {
            return;
        }
    }
}

fn find(all: &[u8], part: &[u8]) -> Option<usize> {
    (0..all.len()).find(|at| all[*at..].starts_with(part))
}

// --- our end

/// What our end does.
struct Play {
    /// Sent once, or whole again and again until told to stop.
    send: Vec<u8>,
    stop: Option<watch::Receiver<bool>>,
    /// So many octets come before we close.
    expect: usize,
    /// We close first.
    close: bool,
    /// Records under a key of TLS 1.3.
    limit: u64,
}

#[derive(Debug)]
struct Outcome {
    sent: usize,
    received: Vec<u8>,
    end: Option<PeerEnd>,
}

/// Our end of a connection.
struct Ours {
    session: Session,
    socket: TcpStream,
    outcome: Outcome,
    tell: SyncSender<Event>,
}

// === impl Ours ===

impl Ours {
    /// Sends and receives at once, then closes, or waits until the peer closes.
    async fn play(session: Session, socket: TcpStream, play: Play, tell: SyncSender<Event>) -> Outcome {
        let outcome = Outcome { sent: 0, received: Vec::new(), end: None };
        let mut ours = Self { session, socket, outcome, tell };
        poll_fn(|cx| ours.session.poll_handshake(cx, &mut ours.socket)).await.unwrap();
        poll_fn(|cx| ours.poll_exchange(cx, &play)).await;
        ours.tell.send(Event::Exchanged(ours.counts())).unwrap();
        if play.close {
            poll_fn(|cx| ours.session.poll_shutdown(cx, &mut ours.socket)).await.unwrap();
        }
        poll_fn(|cx| {
            while ours.outcome.end.is_none() && ours.poll_receive(cx) {}
            if ours.outcome.end.is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if !play.close {
            poll_fn(|cx| ours.session.poll_shutdown(cx, &mut ours.socket)).await.unwrap();
        }
        ours.outcome
    }

    const fn counts(&self) -> [usize; 2] {
        [self.outcome.received.len(), self.outcome.sent]
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>, play: &Play) -> Poll<()> {
        let more = play.stop.as_ref().is_some_and(|stop| !*stop.borrow());
        let sent = self.poll_send(cx, &play.send, more);
        let came = self.outcome.end.is_none() && self.poll_receive(cx);
        if sent && self.outcome.received.len() >= play.expect {
            return Poll::Ready(());
        }
        assert_eq!(self.outcome.end, None, "ended early");
        if came || more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// True when everything is on its way.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8], more: bool) -> bool {
        let sent = &mut self.outcome.sent;
        if data.is_empty() || !more && *sent > 0 && sent.is_multiple_of(data.len()) {
            return self.session.poll_flush(cx, &mut self.socket).map(Result::unwrap).is_ready();
        }
        let rest = [IoSlice::new(&data[*sent % data.len()..])];
        if let Poll::Ready(n) = self.session.poll_write(cx, &mut self.socket, &rest) {
            *sent += n.unwrap();
            cx.waker().wake_by_ref();
        }
        false
    }

    /// True when something came.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(data) = self.session.poll_read(cx, &mut self.socket) else { return false };
        match data.unwrap() {
            Some(data) => {
                self.outcome.received.extend_from_slice(&data);
                let _ = self.tell.send(Event::Ours(self.counts()));
            }
            None => self.outcome.end = self.session.peer_end(),
        }
        true
    }
}

/// Our end in a thread of its own.
fn start(program: &Program, socket: std::net::TcpStream, session: Session, play: Play) -> JoinHandle<Outcome> {
    let tell = program.tell.clone();
    thread::spawn(move || {
        socket.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async { Ours::play(session, TcpStream::from_std(socket).unwrap(), play, tell).await })
    })
}

/// A session of ours whose keys change early, where they can.
fn limited(mut session: Session, tls13: bool, play: &Play) -> Session {
    session.limit_keys(if tls13 { play.limit } else { u64::MAX });
    session
}

/// Starts the program as a client of our server.
fn as_server(
    certs: &Certs,
    tls13: bool,
    play: Play,
    command: impl FnOnce(u16) -> Command,
) -> (Program, JoinHandle<Outcome>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::start(&mut command(listener.local_addr().unwrap().port()));
    let (socket, _) = listener.accept().unwrap();
    let session = limited(certs.server(true).session(&[]).unwrap(), tls13, &play);
    let ours = start(&program, socket, session, play);
    (program, ours)
}

/// Starts the program as a server for our client, which connects when it `listens`.
fn as_client(
    certs: &Certs,
    version: &str,
    play: Play,
    command: impl FnOnce(u16) -> Command,
    listens: impl FnOnce(&mut Program),
) -> (Program, JoinHandle<Outcome>) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut program = Program::start(&mut command(port));
    listens(&mut program);
    let socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let session = certs.client(Some(version)).session("localhost", None).unwrap();
    let session = limited(session, version == "TLSv1.3", &play);
    let ours = start(&program, socket, session, play);
    (program, ours)
}

// --- OpenSSL

/// Version, options of `openssl` for it.
const OPENSSL: [(&str, [&str; 3]); 6] = [
    ("TLSv1.3", ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]),
    ("TLSv1.3", ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"]),
    ("TLSv1.3", ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]),
    ("TLSv1.2", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("TLSv1.2", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"]),
    ("TLSv1.2", ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]),
];

fn openssl(certs: &Certs, program: &str, options: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.arg(program).args(options).args(["-CAfile", &certs.path("ca.crt")]);
    command.args(["-cert", &certs.path("tls.crt"), "-key", &certs.path("tls.key")]);
    command
}

fn s_client(certs: &Certs, options: [&str; 3], port: u16) -> Command {
    let mut command = openssl(certs, "s_client", &options);
    command.args(["-quiet", "-no_ign_eof", "-verify_return_error", "-connect", &format!("127.0.0.1:{port}")]);
    command
}

fn s_server(certs: &Certs, options: [&str; 3], port: u16) -> Command {
    let mut command = openssl(certs, "s_server", &options);
    command.args(["-Verify", "1", "-verify_return_error", "-accept", &port.to_string()]);
    if options[0] == "-tls1_3" {
        command.args(["-num_tickets", "9"]);
    }
    command
}

#[test]
fn openssl_clients_exchange_data_with_every_cipher() {
    if !has("openssl") {
        return;
    }
    let (certs, data) = (Certs::new(), pattern(400_000));
    for (version, options) in OPENSSL {
        let play = Play { send: data.clone(), stop: None, expect: data.len(), close: false, limit: 5 };
        let (mut program, ours) = as_server(&certs, version == "TLSv1.3", play, |port| s_client(&certs, options, port));
        let writer = program.write_aside(data.clone());
        program.says(&data);
        program.stdin = Some(writer.join().unwrap());
        program.wait(|program| program.exchanged);
        // It closes with its alert.
        program.write(b"Q\n");
        let outcome = ours.join().unwrap();
        assert!(outcome.received == data, "{options:?}");
        assert_eq!(outcome.end, Some(PeerEnd::CloseNotify), "{options:?}");
    }
}

#[test]
fn openssl_servers_exchange_data_with_every_cipher_and_send_tickets() {
    if !has("openssl") {
        return;
    }
    let (certs, data) = (Certs::new(), pattern(400_000));
    for (version, options) in OPENSSL {
        let play = Play { send: data.clone(), stop: None, expect: data.len(), close: true, limit: 5 };
        let (mut program, ours) =
            as_client(&certs, version, play, |port| s_server(&certs, options, port), |p| p.says(b"ACCEPT"));
        let writer = program.write_aside(data.clone());
        program.says(&data);
        program.wait(|program| program.exchanged);
        drop(writer.join().unwrap());
        let outcome = ours.join().unwrap();
        assert!(outcome.received == data, "{options:?}");
        assert_eq!(outcome.end, Some(PeerEnd::CloseNotify), "{options:?}");
    }
}

/// Key updates of the program.
const ROUNDS: usize = 8;

/// Has the program update its keys while we send as fast as it reads, and it sends too. A client then `quits`
/// with its alert; a server answers ours, for it would quit without.
fn update_under_load(
    program: &mut Program,
    ours: JoinHandle<Outcome>,
    stop: &watch::Sender<bool>,
    data: &[u8],
    quits: bool,
) {
    program.says(data);
    let banner = letters(&program.output[..find(&program.output, data).unwrap()]);
    for round in 0..ROUNDS {
        program.write(if round % 2 == 0 { b"K\n" } else { b"k\n" });
        program.wait(|program| program.updates > round);
        program.write(data);
        // What follows in the same read would be no command.
        program.wait(|program| program.ours[0] == (round + 1) * data.len());
    }
    stop.send(true).unwrap();
    // Everything that we sent comes.
    program.wait(|p| p.exchanged && p.letters - banner >= p.ours[1] / data.len() * letters(data));
    if quits {
        program.write(b"Q\n");
    }
    let outcome = ours.join().unwrap();
    assert!(outcome.received == data.repeat(ROUNDS));
    assert_eq!(outcome.end, Some(PeerEnd::CloseNotify));
}

fn updates_of_openssl(we_are_client: bool) {
    if !has("openssl") {
        return;
    }
    let (certs, data) = (Certs::new(), pattern(7_000));
    for (version, options) in OPENSSL.into_iter().filter(|(version, _)| *version == "TLSv1.3") {
        let (stop, stopped) = watch::channel(false);
        let play = Play {
            send: data.clone(),
            stop: Some(stopped),
            expect: ROUNDS * data.len(),
            close: we_are_client,
            limit: 5,
        };
        let (mut program, ours) = if we_are_client {
            as_client(&certs, version, play, |port| s_server(&certs, options, port), |p| p.says(b"ACCEPT"))
        } else {
            as_server(&certs, true, play, |port| s_client(&certs, options, port))
        };
        update_under_load(&mut program, ours, &stop, &data, !we_are_client);
    }
}

#[test]
fn openssl_clients_update_keys_under_load() {
    updates_of_openssl(false);
}

#[test]
fn openssl_servers_update_keys_under_load() {
    updates_of_openssl(true);
}

// --- GnuTLS

/// GnuTLS takes eight key updates a second at most.
const GNUTLS_LIMIT: u64 = 50;

/// Versions and ciphers in GnuTLS's words.
const GNUTLS: [(&str, &str); 6] = [
    ("TLSv1.3", "+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM"),
    ("TLSv1.3", "+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM"),
    ("TLSv1.3", "+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"),
    ("TLSv1.2", "+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM"),
    ("TLSv1.2", "+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM"),
    ("TLSv1.2", "+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305"),
];

fn gnutls(certs: &Certs, program: &str, priority: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--priority", &format!("NORMAL:-VERS-ALL:{priority}"), "--x509cafile", &certs.path("ca.crt")]);
    command.args(["--x509certfile", &certs.path("tls.crt"), "--x509keyfile", &certs.path("tls.key")]);
    command
}

fn gnutls_cli(certs: &Certs, priority: &str, port: u16) -> Command {
    let mut command = gnutls(certs, "gnutls-cli", priority);
    command.args(["--inline-commands", "--port", &port.to_string(), "localhost"]);
    command
}

#[test]
fn gnutls_clients_exchange_data_and_update_keys() {
    if !has("gnutls-cli") {
        return;
    }
    let (certs, data) = (Certs::new(), pattern(3_000));
    let all = pattern(3_000_000);
    for (version, priority) in GNUTLS {
        let tls13 = version == "TLSv1.3";
        let play =
            Play { send: all.clone(), stop: None, expect: ROUNDS * data.len(), close: false, limit: GNUTLS_LIMIT };
        let (mut program, ours) = as_server(&certs, tls13, play, |port| gnutls_cli(&certs, priority, port));
        // While it receives.
        program.says(&data);
        for round in 0..ROUNDS {
            // With a request for a new key of ours, and without.
            if tls13 {
                program.write(if round % 2 == 0 { b"^rekey^\n" } else { b"^rekey1^\n" });
            }
            program.write(&data);
            program.wait(|program| program.ours[0] == (round + 1) * data.len());
        }
        program.says(&all);
        program.wait(|program| program.exchanged);
        // The end of its input closes with its alert.
        program.stdin = None;
        let outcome = ours.join().unwrap();
        assert!(outcome.received == data.repeat(ROUNDS), "{priority}");
        assert_eq!(outcome.end, Some(PeerEnd::CloseNotify), "{priority}");
    }
}

#[test]
fn gnutls_servers_exchange_data() {
    if !has("gnutls-serv") {
        return;
    }
    // It loses octets of an echo that is longer than its sockets hold.
    let (certs, data) = (Certs::new(), pattern(30_000));
    for (version, priority) in GNUTLS {
        let play = Play { send: data.clone(), stop: None, expect: data.len(), close: true, limit: 1 };
        let command = |port: u16| {
            let mut command = gnutls(&certs, "gnutls-serv", priority);
            command.args(["--echo", "--require-client-cert", "--port", &port.to_string()]);
            command
        };
        let (mut program, ours) = as_client(&certs, version, play, command, |p| p.wait(|p| !p.messages.is_empty()));
        program.wait(|program| program.exchanged);
        let outcome = ours.join().unwrap();
        assert!(outcome.received == data, "{priority}");
        assert_eq!(outcome.end, Some(PeerEnd::CloseNotify), "{priority}");
    }
}
