//! Ncat, which ends its direction when its input has ended, and then waits for the answer.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, require};
use interop_tests::harness::output_of;
use interop_tests::tcp::{Digest, ScriptedServer, receive_all};
use interop_tests::topology::LineBuilder;

use crate::octets;

/// What is sent, in octets.
const SENT: [usize; 3] = [0, 1, 4 << 20];
/// Octets of the answer behind its first line.
const ANSWER: usize = 1 << 20;

/// Answers, once its client has said all, how much that was.
fn server(mut stream: TcpStream) -> Result<Digest> {
    let received = receive_all(&stream)?;
    writeln!(stream, "{}", received.octets)?;
    stream.write_all(&octets(8, ANSWER))?;
    stream.shutdown(Shutdown::Write)?;
    Ok(received)
}

fn check(routers: Routers, _encryption: Encryption) -> Result<()> {
    let ncat = require("ncat")?;
    let scripted = ScriptedServer::start()?;
    scripted.script(server);
    let binaries = routers.binaries()?;
    let last = binaries.len() - 1;
    let line = LineBuilder::new(binaries).service("count", 0, last, scripted.address()).start()?;
    let port = line.listen_address("count")?.port().to_string();
    for count in SENT {
        let answer = output_of(Command::new(&ncat).args(["127.0.0.1", &port]), &octets(7, count))?;
        let wanted = [format!("{count}\n").as_bytes(), &octets(8, ANSWER)].concat();
        ensure!(answer == wanted, "{} octets come back after {count}", answer.len());
        scripted.outcome()?;
    }
    line.expect_no_errors(&[])
}

through! { check;
    one_router: One, Plain;
    two_routers: Two, Plain;
    upstream_first: UpstreamFirst, Plain;
    upstream_last: UpstreamLast, Plain;
}
