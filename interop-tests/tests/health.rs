//! Servers that die, are unwell, and come back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Entity, Mark, Port, eventually, eventually_within, run};
use interop_tests::tcp::{connect, receive_exactly};
use interop_tests::topology::{Line, LineBuilder, Node};

/// Within this time all routers know.
const SOON: Duration = Duration::from_secs(1);
const INTERVAL: (&str, &str) = ("healthCheckIntervalMilliseconds", "100");

/// A program behind a service: it answers `?` with its name, and a request with a page. It dies with this value, but its
/// connections do not.
struct Program {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Program {
    fn start(port: &Port, name: u8) -> Result<Self> {
        let address = port.address();
        let listener = TcpListener::bind(address)?;
        let (status, stopping) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(false)));
        let (pages, stops) = (Arc::clone(&status), Arc::clone(&stopping));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stops.load(Ordering::Acquire) {
                    return;
                }
                let pages = Arc::clone(&pages);
                thread::spawn(move || stream.map(|stream| answer(stream, name, &pages)));
            }
        });
        Ok(Self { address, status, stopping, thread: Some(thread) })
    }

    fn show(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, name: u8, status: &AtomicU16) -> std::io::Result<()> {
    let (mut octet, mut tail) = ([0], [0; 4]);
    while stream.read(&mut octet)? > 0 {
        tail.rotate_left(1);
        tail[3] = octet[0];
        if octet == *b"?" {
            stream.write_all(&[name])?;
        } else if tail == *b"\r\n\r\n" {
            let status = status.load(Ordering::Acquire);
            return write!(stream, "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n");
        }
    }
    Ok(())
}

fn ask(client: &mut TcpStream, name: u8) -> Result<()> {
    client.write_all(b"?")?;
    receive_exactly(client, &[name])
}

/// Who answers clients of the service.
fn expect_answer(line: &Line, name: u8) -> Result<()> {
    eventually("clients reach the server", || ask(&mut connect(line.listen_address("svc")?)?, name))
}

/// Waits until a router knows so many other routers with the service.
fn expect_known(node: &Node, remotes: u64) -> Result<()> {
    let mut management = node.management()?;
    eventually_within(SOON, "the other router knows", || {
        let rows = management.query("router.address")?;
        let row = rows.iter().find(|row| row["name"] == "Msvc");
        let known = row.and_then(|row| row["remoteCount"].as_u64()).unwrap_or_default();
        ensure!(known == remotes, "{row:?}");
        Ok(())
    })
}

fn connector(node: &Node) -> Result<Entity> {
    node.management()?.query("tcpConnector")?.into_iter().next().context("a tcpConnector")
}

#[test]
fn a_server_that_dies_is_gone_everywhere_and_comes_back() {
    run(|| {
        let port = Port::reserve()?;
        let first = Program::start(&port, b'1')?;
        let builder = LineBuilder::ours(2)?.service("svc", 0, 1, port.address());
        let line = builder.with_options([], [INTERVAL]).start()?;
        let (near, far) = (line.first(), line.last());
        let mut client = connect(line.listen_address("svc")?)?;
        ask(&mut client, b'1')?;
        expect_known(near, 1)?;
        let mark = far.router.log().mark();
        drop(first);
        let text = format!("tcpConnector svc-connector: server {} is down: Connection refused", port.address());
        far.router.log().wait_for(mark, &text)?;
        expect_known(near, 0)?;
        let shown = connector(far)?;
        ensure!(shown["healthStatus"] == "down" && shown["healthReason"] == "Connection refused", "{shown:?}");
        ask(&mut client, b'1').context("a flow that lives")?;
        let mark = far.router.log().mark();
        let _second = Program::start(&port, b'2')?;
        far.router.log().wait_for(mark, "is up")?;
        expect_known(near, 1)?;
        let shown = connector(far)?;
        ensure!(shown["healthStatus"] == "up" && shown["healthReason"] == "", "{shown:?}");
        expect_answer(&line, b'2')?;
        ask(&mut client, b'1').context("a flow that has outlived its server")?;
        line.expect_no_errors(&[])
    });
}

/// A line with a server at its far end, and a nearer one whose tcpConnector has these attributes.
fn with_nearer(port: &Port, far: &Port, options: &[(&str, &str)]) -> Result<Line> {
    let line = LineBuilder::ours(2)?.service("svc", 0, 1, far.address()).start()?;
    let number = port.number().to_string();
    let attributes = [&[("address", "svc"), ("host", "127.0.0.1"), ("port", &number)], options].concat();
    line.first().management()?.create("tcpConnector", "nearer", &attributes)?;
    Ok(line)
}

#[test]
fn clients_of_a_server_that_is_unwell_get_another() {
    run(|| {
        let ports = (Port::reserve()?, Port::reserve()?);
        let (nearer, _far) = (Program::start(&ports.0, b'n')?, Program::start(&ports.1, b'f')?);
        nearer.show(503);
        let line = with_nearer(&ports.0, &ports.1, &[INTERVAL, ("healthCheckPath", "/healthz")])?;
        let log = line.first().router.log();
        log.wait_for(Mark::default(), "is down: it answered with status 503")?;
        for _ in 0..5 {
            expect_answer(&line, b'f')?;
        }
        let mark = log.mark();
        nearer.show(204);
        log.wait_for(mark, "is up")?;
        expect_answer(&line, b'n')?;
        let mark = log.mark();
        nearer.show(500);
        log.wait_for(mark, "is down: it answered with status 500")?;
        expect_answer(&line, b'f')?;
        line.expect_no_errors(&[])
    });
}

#[test]
fn a_server_that_takes_no_clients_is_ejected_for_a_while() {
    run(|| {
        let ports = (Port::reserve()?, Port::reserve()?);
        let _far = Program::start(&ports.1, b'f')?;
        let line = with_nearer(&ports.0, &ports.1, &[("ejectAfterFailures", "1"), ("ejectSeconds", "1")])?;
        let log = line.first().router.log();
        expect_answer(&line, b'f')?;
        log.wait_for(Mark::default(), "is ejected for 1s: Connection refused")?;
        let _nearer = Program::start(&ports.0, b'n')?;
        log.wait_for(Mark::default(), "is tried again")?;
        expect_answer(&line, b'n')?;
        log.wait_for(Mark::default(), "is up")?;
        line.expect_no_errors(&[])
    });
}
