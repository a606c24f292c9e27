//! Flows that are cut. Whatever cuts one, both ends must see a reset and no closing alert of TLS: an orderly end would
//! say that everything has arrived.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::harness::{Management, TLS_PROFILE, eventually, patience};
use crate::tcp::{Digest, ScriptedServer, Stream, TlsSetup, connect, receive_all, send_pattern};
use crate::topology::{Line, LineBuilder};

/// Service address.
const SERVICE: &str = "cut";
/// Octets of a block of data.
const BLOCK: usize = 16 * 1024;
/// Blocks carried before a flow counts as being under way.
const BLOCKS: usize = 16;

/// What the client of a flow does when the flow is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It sends.
    Sender,
    /// It receives.
    Receiver,
    /// Neither end sends.
    Idle,
    /// It has ended its direction, and receives.
    HalfClosed,
}

/// What cuts the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Each client resets its connection.
    ClientReset,
    /// The server resets its connections.
    ServerReset,
    /// The clients' connections are deleted by management.
    ClientConnectionDeleted,
    /// The connections to the server are deleted by management.
    ServerConnectionDeleted,
    /// The tcpListener is deleted.
    ListenerDeleted,
    /// The tcpConnector is deleted.
    ConnectorDeleted,
    /// All connections between routers are reset.
    LinkReset,
    /// The router with this index is killed.
    Killed(usize),
    /// The router with this index is asked to end.
    Terminated(usize),
}

/// Running routers with one service from the first to the last of them.
pub struct CutStage {
    line: Line,
    server: ScriptedServer,
    tls: Option<TlsSetup>,
}

/// The end of a flow that a test looks from.
#[derive(Clone, Copy)]
enum Role {
    Reads,
    Writes,
}

// === impl Activity ===

impl Activity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sender, Self::Receiver, Self::Idle, Self::HalfClosed];

    fn letter(self) -> u8 {
        match self {
            Self::Sender => b'S',
            Self::Receiver => b'R',
            Self::Idle => b'I',
            Self::HalfClosed => b'H',
        }
    }
}

// === impl Cause ===

impl Cause {
    /// All causes that there are in a line of `routers`.
    pub fn all(routers: usize) -> Vec<Self> {
        let mut causes = vec![
            Self::ClientReset,
            Self::ServerReset,
            Self::ClientConnectionDeleted,
            Self::ServerConnectionDeleted,
            Self::ListenerDeleted,
            Self::ConnectorDeleted,
        ];
        causes.extend((routers > 1).then_some(Self::LinkReset));
        causes.extend((0..routers).flat_map(|index| [Self::Killed(index), Self::Terminated(index)]));
        causes
    }

    /// Who resets it by himself, as told to the server.
    fn letter(self) -> u8 {
        match self {
            Self::ClientReset => b'c',
            Self::ServerReset => b's',
            _ => b'-',
        }
    }
}

// === impl CutStage ===

impl CutStage {
    /// Starts the line; with `tls` the service's clients and its server use TLS.
    pub fn start(line: LineBuilder, last: usize, tls: bool) -> Result<Self> {
        let server = ScriptedServer::start()?;
        let line = line.relayed().service(SERVICE, 0, last, server.address());
        let line = if tls { line.with_tls() } else { line }.start()?;
        let tls = tls.then(|| TlsSetup::new(line.certificates())).transpose()?;
        let stage = Self { line, server, tls };
        let script = stage.tls.clone();
        stage.server.script(move |socket| serve(socket, script.as_ref()));
        eventually("the service works", || stage.ping())?;
        Ok(stage)
    }

    /// Cuts flows of every activity for every cause, one cause after the other.
    pub fn every_cause(&mut self) -> Result<()> {
        let causes = Cause::all(self.line.nodes().len());
        causes.into_iter().try_for_each(|cause| self.cut(cause).with_context(|| format!("{cause:?}")))
    }

    /// Cuts flows of every activity, all at the same time, and looks at both ends of each.
    pub fn cut(&mut self, cause: Cause) -> Result<()> {
        let (under_way, told) = channel();
        let address = self.line.listen_address(SERVICE)?;
        let clients = Activity::ALL.map(|activity| {
            let (tls, under_way) = (self.tls.clone(), under_way.clone());
            thread::spawn(move || client(address, tls.as_ref(), activity, cause, &under_way))
        });
        for _ in &clients {
            told.recv_timeout(patience()).context("a flow did not get under way")?;
        }
        self.apply(cause)?;
        for (client, activity) in clients.into_iter().zip(Activity::ALL) {
            let seen = client.join().map_err(|_| anyhow!("client panicked"))?;
            seen.with_context(|| format!("client, {activity:?}"))?;
        }
        for _ in Activity::ALL {
            self.server.outcome()?;
        }
        self.mend(cause).context("mending")?;
        eventually("the service works again", || self.ping())
    }

    fn apply(&mut self, cause: Cause) -> Result<()> {
        let last = self.line.nodes().len() - 1;
        match cause {
            Cause::ClientReset | Cause::ServerReset => Ok(()),
            Cause::ClientConnectionDeleted => self.delete_connections(0, "in"),
            Cause::ServerConnectionDeleted => self.delete_connections(last, "out"),
            Cause::ListenerDeleted => self.management(0)?.delete("tcpListener", SERVICE),
            Cause::ConnectorDeleted => self.management(last)?.delete("tcpConnector", &connector_name()),
            Cause::LinkReset => {
                self.line.relays().iter().for_each(crate::tcp::Relay::reset_all);
                Ok(())
            }
            Cause::Killed(index) => self.line.router_mut(index).kill(),
            Cause::Terminated(index) => self.line.router_mut(index).terminate().map(drop),
        }
    }

    /// Makes the service as it was.
    fn mend(&mut self, cause: Cause) -> Result<()> {
        let last = self.line.nodes().len() - 1;
        match cause {
            Cause::ListenerDeleted => self.create(0, "tcpListener", SERVICE, self.line.listen_address(SERVICE)?),
            Cause::ConnectorDeleted => self.create(last, "tcpConnector", &connector_name(), self.server.address()),
            Cause::Killed(index) | Cause::Terminated(index) => self.line.router_mut(index).launch(),
            _ => Ok(()),
        }
    }

    fn create(&self, index: usize, kind: &str, name: &str, at: SocketAddr) -> Result<()> {
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let mut attributes = vec![("address", SERVICE), ("host", host.as_str()), ("port", port.as_str())];
        attributes.extend(self.tls.is_some().then_some(("sslProfile", TLS_PROFILE)));
        self.management(index)?.create(kind, name, &attributes)
    }

    /// Deletes the TCP connections of one direction.
    fn delete_connections(&self, index: usize, direction: &str) -> Result<()> {
        let mut management = self.management(index)?;
        let mut deleted = 0;
        for row in management.query("connection")? {
            if row["container"] == "TcpAdaptor" && row["dir"] == direction && row["host"] != "egress-dispatch" {
                let identity = row["identity"].as_str().context("no identity")?;
                management.delete_connection(identity)?;
                deleted += 1;
            }
        }
        ensure!(deleted == Activity::ALL.len(), "{deleted} connections");
        Ok(())
    }

    fn management(&self, index: usize) -> Result<Management> {
        self.line.node(index).management()
    }

    /// A flow that begins and ends in good order.
    fn ping(&self) -> Result<()> {
        let socket = connect(self.line.listen_address(SERVICE)?)?;
        let mut stream = wrap(socket, self.tls.as_ref(), TlsSetup::client)?;
        stream.write_all(b"P-")?;
        stream.finish()?;
        ensure!(receive_all(&mut stream)?.octets == 1, "no answer");
        self.server.outcome().map(drop)
    }

    /// A download of `octets` is cut by the death of the server's router: the client must not take it for complete.
    pub fn truncated_download(&mut self, octets: u64) -> Result<()> {
        let tls = self.tls.clone();
        self.server.script(move |socket| {
            let mut stream = wrap(socket, tls.as_ref(), TlsSetup::server)?;
            stream.read_exact(&mut [0])?;
            // It fails once the flow is cut.
            let _ = send_pattern(&mut stream, 7, octets);
            Ok(Digest::default())
        });
        let socket = connect(self.line.listen_address(SERVICE)?)?;
        let mut stream = wrap(socket, self.tls.as_ref(), TlsSetup::client)?;
        stream.write_all(b"?")?;
        let mut first = vec![0; BLOCK];
        stream.read_exact(&mut first).context("the first octets")?;
        let last = self.line.nodes().len() - 1;
        self.line.router_mut(last).kill()?;
        let received = BLOCK as u64 + expect_reset_after_data(&mut stream)?;
        ensure!(received < octets, "all was received before the cut");
        self.server.outcome().map(drop)
    }
}

impl fmt::Debug for CutStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutStage").field("line", &self.line).finish_non_exhaustive()
    }
}

/// The name that [`LineBuilder`] gives the connector.
fn connector_name() -> String {
    format!("{SERVICE}-connector")
}

fn wrap(
    socket: TcpStream,
    tls: Option<&TlsSetup>,
    with: impl FnOnce(&TlsSetup, TcpStream) -> Result<Stream>,
) -> Result<Stream> {
    match tls {
        Some(tls) => with(tls, socket),
        None => Ok(Stream::Plain(socket)),
    }
}

/// The client's end of a flow: brings it under way, tells so, and waits for the cut.
fn client(
    address: SocketAddr,
    tls: Option<&TlsSetup>,
    activity: Activity,
    cause: Cause,
    under_way: &Sender<()>,
) -> Result<()> {
    let mut stream = wrap(connect(address)?, tls, TlsSetup::client)?;
    stream.write_all(&[activity.letter(), cause.letter()])?;
    stream.read_exact(&mut [0]).context("the server's answer")?;
    let role = match activity {
        Activity::Sender => {
            send_blocks(&mut stream)?;
            stream.read_exact(&mut [0]).context("the receipt")?;
            Role::Writes
        }
        Activity::Receiver | Activity::HalfClosed => {
            if activity == Activity::HalfClosed {
                stream.finish()?;
            }
            // A server that resets takes back what its kernel has not sent.
            if cause != Cause::ServerReset {
                receive_blocks(&mut stream)?;
            }
            Role::Reads
        }
        Activity::Idle => Role::Reads,
    };
    // The test may have failed already.
    let _ = under_way.send(());
    if cause == Cause::ClientReset { stream.reset() } else { expect_cut(&mut stream, role, false) }
}

/// The server's end.
fn serve(socket: TcpStream, tls: Option<&TlsSetup>) -> Result<Digest> {
    let mut stream = wrap(socket, tls, TlsSetup::server)?;
    let mut words = [0; 2];
    stream.read_exact(&mut words)?;
    stream.write_all(b"k")?;
    stream.flush()?;
    let [activity, cause] = words;
    if activity == b'P' {
        let read = receive_all(&mut stream)?;
        stream.finish()?;
        return Ok(read);
    }
    let seen = attend(stream, activity, cause);
    seen.with_context(|| format!("activity {}", char::from(activity)))?;
    Ok(Digest::default())
}

fn attend(mut stream: Stream, activity: u8, cause: u8) -> Result<()> {
    let (role, half_closed) = match activity {
        b'S' => {
            receive_blocks(&mut stream)?;
            stream.write_all(b"k")?;
            (Role::Reads, false)
        }
        b'R' => {
            send_blocks(&mut stream)?;
            (Role::Writes, false)
        }
        b'I' => (Role::Reads, false),
        b'H' => {
            ensure!(receive_all(&mut stream).context("the client's end")?.octets == 0, "unexpected data");
            send_blocks(&mut stream)?;
            (Role::Writes, true)
        }
        other => bail!("unknown activity {other}"),
    };
    if cause == b's' { stream.reset() } else { expect_cut(&mut stream, role, half_closed) }
}

fn send_blocks(stream: &mut Stream) -> Result<()> {
    let block = vec![b'x'; BLOCK];
    (0..BLOCKS).try_for_each(|_| stream.write_all(&block)).context("sending")
}

fn receive_blocks(stream: &mut Stream) -> Result<()> {
    let mut block = vec![0; BLOCK];
    (0..BLOCKS).try_for_each(|_| stream.read_exact(&mut block)).context("receiving")
}

fn expect_cut(stream: &mut Stream, role: Role, ended_before: bool) -> Result<()> {
    match role {
        Role::Reads => expect_reset_after_data(stream).map(drop),
        Role::Writes => expect_reset_of_writing(stream, ended_before),
    }
}

/// Reads on until the connection is reset. The octets that came until then.
fn expect_reset_after_data(stream: &mut Stream) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut octets = 0;
    loop {
        match stream.read(&mut block) {
            Ok(0) => bail!("an orderly end instead of a reset"),
            Ok(count) => octets += count as u64,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(octets),
            Err(error) => return Err(error).context("waiting for a reset"),
        }
    }
}

/// Writes on until the connection is reset. After an end of the peer's direction the kernel names a reset otherwise, so
/// that the name shows whether there was one.
fn expect_reset_of_writing(stream: &mut Stream, ended_before: bool) -> Result<()> {
    let block = vec![b'x'; BLOCK];
    let error = loop {
        if let Err(error) = stream.write_all(&block) {
            break error;
        }
    };
    match (&*stream, error.kind()) {
        (Stream::Plain(_), ErrorKind::ConnectionReset) => Ok(()),
        (_, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) if ended_before => Ok(()),
        (Stream::Client(_) | Stream::Server(_), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            // The TLS library keeps the first error to itself. A closing alert would be an end without error.
            ensure!(!matches!(stream.read(&mut [0]), Ok(0)), "a closing alert");
            Ok(())
        }
        _ => Err(error).context("waiting for a reset"),
    }
}
