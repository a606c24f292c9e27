//! TCP services: what a client and a server must see of each other across the routers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use crate::harness::{Mark, Port, eventually};
use crate::tcp::{
    Digest, ScriptedServer, connect, expect_end, expect_fin, expect_refused, expect_reset, receive_all,
    receive_exactly, reset, send_pattern,
};
use crate::topology::{Line, LineBuilder};

/// Service address of the server whose behaviour the scenarios choose.
const SERVICE: &str = "scripted";
/// Service address whose server does not listen.
const DEAD_SERVICE: &str = "dead";
/// Service address whose connector comes and goes.
const DORMANT_SERVICE: &str = "dormant";
/// Name of that connector.
const DORMANT_CONNECTOR: &str = "dormant-connector";
/// Name of a connector whose server does not listen.
const NEARER_CONNECTOR: &str = "nearer-connector";

/// Clients of [`Stage::nearer_servers_refuse`], one after the other.
const CLIENTS_OF_MANY_SERVERS: usize = 5;
/// Flows that are open at the same time in [`Stage::concurrent_flows`].
const FLOWS: usize = 200;
/// Octets each of them carries each way.
const FLOW_OCTETS: u64 = 100_000;

/// Running routers with TCP services across them.
pub struct Stage {
    /// The routers.
    pub line: Line,
    server: ScriptedServer,
    listener: usize,
    connector: usize,
    // Reserved, so that nothing else starts to listen there.
    dead: Port,
}

/// Octets carried each way by [`Stage::bulk`]: `INTEROP_TCP_BYTES`, 64 MiB by default.
pub fn bulk_octets() -> u64 {
    let set = std::env::var("INTEROP_TCP_BYTES").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(64 << 20)
}

// === impl Stage ===

/// Starts the line with a service from its first router to its last. At the moment at which its port opens
/// [`FLOWS`] clients come at once, and each is served.
pub fn opens_for_everybody(line: LineBuilder, routers: usize) -> Result<()> {
    let server = ScriptedServer::start()?;
    server.script(echo);
    let line = line.service(SERVICE, 0, routers - 1, server.address()).launch()?;
    line.wait_until_listening(SERVICE, Mark::default())?;
    let service = line.listen_address(SERVICE)?;
    let flow = |n: usize| -> Result<()> {
        let mut client = connect(service)?;
        exchange(&mut client, format!("client {n}").as_bytes()).with_context(|| format!("client {n} of {FLOWS}"))
    };
    thread::scope(|scope| {
        let flow = &flow;
        let flows: Vec<_> = (0..FLOWS).map(|n| scope.spawn(move || flow(n))).collect();
        let failed: Vec<_> = flows.into_iter().filter_map(|flow| flow.join().ok()?.err()).collect();
        match failed.first() {
            None => Ok(()),
            Some(first) => Err(anyhow!("{} flows failed, first: {first:#}", failed.len())),
        }
    })
}

impl Stage {
    /// Starts the line with the services' listeners on router `listener` and their connectors on router `connector`.
    pub fn start(line: LineBuilder, listener: usize, connector: usize) -> Result<Self> {
        let server = ScriptedServer::start()?;
        let dead = Port::reserve()?;
        let line = line
            .service(SERVICE, listener, connector, server.address())
            .service(DEAD_SERVICE, listener, connector, dead.address())
            .dormant_service(DORMANT_SERVICE, listener, server.address())
            .start()?;
        let stage = Self { line, server, listener, connector, dead };
        // A listener may open before the routers have settled on a path, and then refuse a flow or two.
        eventually("the service works", || stage.echo())?;
        Ok(stage)
    }

    fn connect(&self) -> Result<TcpStream> {
        connect(self.service_address()?)
    }

    /// Every way in which a flow can begin and end.
    pub fn beginnings_and_ends(&self) -> Result<()> {
        self.echo().context("echo")?;
        self.server_speaks_first().context("server speaks first")?;
        self.client_closes_first().context("client closes first")?;
        self.server_closes_first().context("server closes first")?;
        self.client_resets().context("client resets")?;
        self.server_resets().context("server resets")?;
        self.refused().context("refused")?;
        self.connector_comes_and_goes().context("connector comes and goes")?;
        if self.line.node(self.listener).router.is_ours() {
            self.nearer_servers_refuse().context("nearer servers refuse")?;
        }
        // After all that, one more: nothing above may have worn anything out.
        self.echo().context("echo at the end")
    }

    /// Many flows, and much data in one.
    pub fn load(&self) -> Result<()> {
        self.concurrent_flows().context("concurrent flows")?;
        self.bulk(bulk_octets()).context("bulk")
    }

    /// Request and response, twice over one connection, then an orderly end.
    pub fn echo(&self) -> Result<()> {
        self.server.script(echo);
        let mut client = self.connect()?;
        exchange(&mut client, b"hello")?;
        exchange(&mut client, b"again")?;
        client.shutdown(Shutdown::Write)?;
        expect_fin(&mut client)?;
        let served = self.server.outcome()?;
        ensure!(served.octets == 10, "server saw {served:?}");
        Ok(())
    }

    /// The server greets before the client has sent anything.
    pub fn server_speaks_first(&self) -> Result<()> {
        self.server.script(|mut stream| {
            stream.write_all(b"220 ready\r\n")?;
            receive_all(stream)
        });
        let mut client = self.connect()?;
        receive_exactly(&mut client, b"220 ready\r\n")?;
        client.write_all(b"QUIT\r\n")?;
        client.shutdown(Shutdown::Write)?;
        expect_fin(&mut client)?;
        ensure!(self.server.outcome()?.octets == 6, "request lost");
        Ok(())
    }

    /// The client ends its direction; the server answers only then.
    pub fn client_closes_first(&self) -> Result<()> {
        self.server.script(|mut stream| {
            let request = receive_all(&stream)?;
            write!(stream, "total {}", request.octets)?;
            Ok(request)
        });
        let mut client = self.connect()?;
        client.write_all(&[b'x'; 1000])?;
        client.shutdown(Shutdown::Write)?;
        receive_exactly(&mut client, b"total 1000")?;
        expect_fin(&mut client)?;
        self.server.outcome().map(drop)
    }

    /// The server ends its direction; the client sends on, and all of it arrives.
    pub fn server_closes_first(&self) -> Result<()> {
        self.server.script(|mut stream| {
            stream.write_all(b"goodbye")?;
            stream.shutdown(Shutdown::Write)?;
            receive_all(stream)
        });
        let mut client = self.connect()?;
        receive_exactly(&mut client, b"goodbye")?;
        expect_fin(&mut client)?;
        let sent = send_pattern(&client, 3, 300_000)?;
        drop(client);
        let received = self.server.outcome()?;
        ensure!(received == sent, "sent {sent:?}, received {received:?}");
        Ok(())
    }

    /// A flow that was cut reaches its client as a reset. Other routers make an orderly end of it.
    fn expect_cut(&self, client: &mut TcpStream) -> Result<()> {
        if self.line.is_ours() { expect_reset(client) } else { expect_end(client) }
    }

    /// Server script: sends everything back, until the flow is cut.
    fn echo_until_cut(&self) -> impl Fn(TcpStream) -> Result<Digest> + Send + Sync + 'static {
        let strict = self.line.is_ours();
        move |stream| match echo(stream) {
            Ok(digest) if strict => Err(anyhow!("an orderly end instead of a reset after {digest:?}")),
            Err(error) if strict && !is_reset(&error) => Err(error),
            other => Ok(other.unwrap_or_default()),
        }
    }

    /// The client resets an established connection: the server's connection is reset.
    pub fn client_resets(&self) -> Result<()> {
        self.server.script(self.echo_until_cut());
        let mut client = self.connect()?;
        exchange(&mut client, b"hello")?;
        reset(client)?;
        self.server.outcome().map(drop)
    }

    /// The server resets an established connection: the client gets what was sent before, and its connection is reset.
    pub fn server_resets(&self) -> Result<()> {
        self.server.script(|mut stream| {
            receive_exactly(&mut stream, b"hello")?;
            stream.write_all(b"reply")?;
            receive_exactly(&mut stream, b"now")?;
            reset(stream)?;
            Ok(Default::default())
        });
        let mut client = self.connect()?;
        client.write_all(b"hello")?;
        receive_exactly(&mut client, b"reply")?;
        client.write_all(b"now")?;
        self.expect_cut(&mut client)?;
        self.server.outcome().map(drop)
    }

    /// Nothing listens at the connector's end: the client's connection is accepted and reset.
    pub fn refused(&self) -> Result<()> {
        let address = self.line.listen_address(DEAD_SERVICE)?;
        self.expect_cut(&mut connect(address)?).context("silent client")?;
        let mut talkative = connect(address)?;
        // The routers may have ended the connection already, in which case this fails as it should.
        if talkative.write_all(b"anyone there?").is_err() {
            return Ok(());
        }
        self.expect_cut(&mut talkative).context("client that sends")
    }

    /// The listener's socket exists only while there is a connector somewhere; live connections end with it.
    pub fn connector_comes_and_goes(&self) -> Result<()> {
        let address = self.line.listen_address(DORMANT_SERVICE)?;
        let log = self.line.node(self.listener).router.log();
        let mut near = self.line.node(self.listener).management()?;
        let mut far = self.line.node(self.connector).management()?;
        expect_refused(address)?;
        ensure!(oper_status(&mut near)? == "down", "operStatus before there is a connector");

        let mark = log.mark();
        let attributes = attributes(DORMANT_SERVICE, self.server.address());
        far.create("tcpConnector", DORMANT_CONNECTOR, &attributes.each_ref().map(borrow))?;
        self.line.wait_until_listening(DORMANT_SERVICE, mark)?;
        ensure!(oper_status(&mut near)? == "up", "operStatus with a connector");
        self.server.script(self.echo_until_cut());
        let mut client = connect(address)?;
        exchange(&mut client, b"hello")?;

        far.delete("tcpConnector", DORMANT_CONNECTOR)?;
        self.expect_cut(&mut client).context("live connection")?;
        self.server.outcome()?;
        log.wait_for(mark, &format!("Listener {DORMANT_SERVICE}: stopped listening"))?;
        expect_refused(address)
    }

    /// The service has other servers, which are nearer to the clients and refuse them: each comes to the one that does not.
    /// Only with a router of ours at the listener. A C router prefers its own server, so none of them has one.
    pub fn nearer_servers_refuse(&self) -> Result<()> {
        let on_the_way = self.listener.min(self.connector)..=self.listener.max(self.connector);
        let nearer = on_the_way.filter(|&at| at != self.connector && self.line.node(at).router.is_ours());
        let mut nearer = nearer.map(|at| self.line.node(at).management()).collect::<Result<Vec<_>>>()?;
        let attributes = attributes(SERVICE, self.dead.address());
        for router in &mut nearer {
            router.create("tcpConnector", NEARER_CONNECTOR, &attributes.each_ref().map(borrow))?;
        }
        for number in 0..CLIENTS_OF_MANY_SERVERS {
            self.echo().with_context(|| format!("client {number}"))?;
        }
        nearer.iter_mut().try_for_each(|router| router.delete("tcpConnector", NEARER_CONNECTOR))
    }

    /// Many flows open at the same time, each with its own data.
    pub fn concurrent_flows(&self) -> Result<()> {
        self.server.script(echo);
        let service = self.service_address()?;
        let all_open = Barrier::new(FLOWS);
        let flow = &|seed: usize| -> Result<()> {
            let connected = connect(service).and_then(|mut client| {
                exchange(&mut client, b"open")?;
                Ok(client)
            });
            // Reached in any case: a flow that failed must not leave the others waiting.
            all_open.wait();
            let client = connected?;
            let sending = client.try_clone()?;
            let (sent, received) = thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    let sent = send_pattern(&sending, seed as u64, FLOW_OCTETS)?;
                    sending.shutdown(Shutdown::Write)?;
                    anyhow::Ok(sent)
                });
                let received = receive_all(&client);
                (sender.join(), received)
            });
            let sent = sent.map_err(|_| anyhow!("sender panicked"))??;
            ensure!(received? == sent, "flow {seed}: echo differs");
            Ok(())
        };
        thread::scope(|scope| {
            let flows: Vec<_> = (0..FLOWS).map(|seed| scope.spawn(move || flow(seed))).collect();
            flows.into_iter().try_for_each(|flow| flow.join().map_err(|_| anyhow!("flow panicked"))?)
        })
    }

    /// `octets` checksummed octets each way at the same time.
    pub fn bulk(&self, octets: u64) -> Result<()> {
        self.server.script(move |stream| {
            let sending = stream.try_clone()?;
            let sender = thread::spawn(move || {
                let sent = send_pattern(&sending, 11, octets)?;
                sending.shutdown(Shutdown::Write)?;
                anyhow::Ok(sent)
            });
            let received = receive_all(&stream)?;
            sender.join().map_err(|_| anyhow!("sender panicked"))??;
            Ok(received)
        });
        let client = self.connect()?;
        let sending = client.try_clone()?;
        let sender = thread::spawn(move || {
            let sent = send_pattern(&sending, 5, octets)?;
            sending.shutdown(Shutdown::Write)?;
            anyhow::Ok(sent)
        });
        let received = receive_all(&client).context("from the server")?;
        let sent = sender.join().map_err(|_| anyhow!("sender panicked"))??;
        let arrived = self.server.outcome()?;
        ensure!(arrived == sent, "to the server: sent {sent:?}, received {arrived:?}");
        let expected = send_pattern(std::io::sink(), 11, octets)?;
        ensure!(received == expected, "from the server: sent {expected:?}, received {received:?}");
        Ok(())
    }

    /// The router at `index` dies with a flow open: both ends of the flow are reset, and the service returns with the router.
    pub fn survives_death_of(&mut self, index: usize) -> Result<()> {
        self.server.script(self.echo_until_cut());
        let mut client = self.connect()?;
        exchange(&mut client, b"before")?;
        let mark = self.line.node(self.listener).router.log().mark();
        self.line.router_mut(index).kill()?;
        self.expect_cut(&mut client).context("client's connection")?;
        self.server.outcome().context("server's connection")?;
        if index != self.listener {
            // The address is gone once the neighbour is given up.
            let text = format!("Listener {SERVICE}: stopped listening");
            self.line.node(self.listener).router.log().wait_for(mark, &text)?;
            expect_refused(self.line.listen_address(SERVICE)?)?;
        }
        self.line.router_mut(index).launch()?;
        self.returned(mark)
    }

    /// Waits until the service is back after a restart, and uses it.
    fn returned(&self, mark: Mark) -> Result<()> {
        self.line.wait_until_joined()?;
        self.line.wait_until_listening(SERVICE, mark)?;
        // A listener may open before the routers have settled on a path, and then refuse a flow or two.
        let back = eventually("the service is back", || self.echo());
        back.with_context(|| self.line.describe_address(SERVICE))
    }

    /// Where clients of the scripted service connect.
    pub fn service_address(&self) -> Result<SocketAddr> {
        self.line.listen_address(SERVICE)
    }

    /// The server behind the scripted service.
    pub fn server(&self) -> &ScriptedServer {
        &self.server
    }
}

fn oper_status(management: &mut crate::harness::Management) -> Result<String> {
    let rows = management.query("tcpListener")?;
    let row = rows.iter().find(|row| row["name"] == DORMANT_SERVICE).context("no such tcpListener")?;
    Ok(row["operStatus"].as_str().context("operStatus is no text")?.to_owned())
}

/// Of a tcpConnector.
fn attributes(service: &str, server: SocketAddr) -> [(&'static str, String); 3] {
    [("address", service.to_owned()), ("host", server.ip().to_string()), ("port", server.port().to_string())]
}

fn borrow<'a>(pair: &'a (&'static str, String)) -> (&'a str, &'a str) {
    (pair.0, &pair.1)
}

fn exchange(client: &mut TcpStream, text: &[u8]) -> Result<()> {
    client.write_all(text)?;
    receive_exactly(client, text)
}

/// Server script: sends everything back, then ends its direction too.
fn echo(stream: TcpStream) -> Result<Digest> {
    receive_all(Echo(&stream))
}

fn is_reset(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::ConnectionReset)
}

/// Reads from a socket and writes everything it read back to it.
struct Echo<'a>(&'a TcpStream);

impl Read for Echo<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.0.write_all(&buffer[..count])?;
        Ok(count)
    }
}
