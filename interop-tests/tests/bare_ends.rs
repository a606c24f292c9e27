//! Ends without the closing alert of TLS: good ones, which stay recognisable whoever looks at them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Result, bail, ensure};
use interop_tests::harness::{eventually, run};
use interop_tests::tcp::{Digest, ScriptedServer, Stream, TlsSetup, connect, expect_reset};
use interop_tests::topology::{Line, LineBuilder, Tls};

const SERVICE: &str = "svc";

/// How a direction ends, or is seen to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As far as its transport can tell in good order.
    Orderly,
    /// Without the closing alert of TLS.
    Bare,
}

impl End {
    fn make(self, stream: &mut Stream) -> Result<()> {
        match self {
            Self::Orderly => stream.finish(),
            Self::Bare => stream.finish_bare(),
        }
    }

    /// Reads to the end of a direction.
    fn see(stream: &mut Stream) -> Result<(Vec<u8>, Self)> {
        let mut octets = Vec::new();
        match stream.read_to_end(&mut octets) {
            Ok(_) => Ok((octets, Self::Orderly)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok((octets, Self::Bare)),
            Err(error) => bail!("{error} after {} octets", octets.len()),
        }
    }
}

/// A line with a service, and what makes TLS at its ends.
struct Stage {
    line: Line,
    server: ScriptedServer,
    setup: TlsSetup,
    tls: Tls,
}

impl Stage {
    fn start(routers: usize, tls: Tls) -> Result<Self> {
        let server = ScriptedServer::start()?;
        let line = LineBuilder::ours(routers)?.service(SERVICE, 0, routers - 1, server.address()).tls(tls).start()?;
        let setup = TlsSetup::new(line.certificates())?;
        let stage = Self { line, server, setup, tls };
        eventually("the service works", || stage.exchange([End::Orderly; 2], [End::Orderly; 2]))?;
        Ok(stage)
    }

    fn client(&self) -> Result<Stream> {
        let socket = connect(self.line.listen_address(SERVICE)?)?;
        if matches!(self.tls, Tls::Listener | Tls::Both) {
            self.setup.client(socket)
        } else {
            Ok(Stream::Plain(socket))
        }
    }

    /// What a server does to an accepted connection to speak as the service has it.
    fn accept(&self) -> impl Fn(TcpStream) -> Result<Stream> + Send + Sync + 'static {
        let setup = matches!(self.tls, Tls::Connector | Tls::Both).then(|| self.setup.clone());
        move |socket| {
            setup.as_ref().map_or_else(|| Ok(Stream::Plain(socket.try_clone()?)), |tls| tls.server(socket.try_clone()?))
        }
    }

    /// A question, its end, an answer after that, and its end: each ends as it was made, and is seen as expected.
    fn exchange(&self, ends: [End; 2], expected: [End; 2]) -> Result<()> {
        let ([question, answer], [at_server, at_client], accept) = (ends, expected, self.accept());
        self.server.script(move |socket| {
            let mut stream = accept(socket)?;
            let seen = End::see(&mut stream)?;
            ensure!(seen == (b"question".to_vec(), at_server), "{seen:?} instead of {at_server:?}");
            stream.write_all(b"answer")?;
            answer.make(&mut stream)?;
            Ok(Digest::default())
        });
        let mut client = self.client()?;
        client.write_all(b"question")?;
        question.make(&mut client)?;
        let seen = End::see(&mut client)?;
        ensure!(seen == (b"answer".to_vec(), at_client), "{seen:?} instead of {at_client:?}");
        self.server.outcome().map(drop)
    }

    /// A reset is none of these ends.
    fn reset(&self) -> Result<()> {
        let accept = self.accept();
        self.server.script(move |socket| {
            let mut stream = accept(socket)?;
            stream.read_exact(&mut [0; 8])?;
            stream.write_all(b"k")?;
            stream.flush()?;
            expect_reset(&mut stream).map(|()| Digest::default())
        });
        let mut client = self.client()?;
        client.write_all(b"question")?;
        client.read_exact(&mut [0])?;
        client.reset()?;
        self.server.outcome().map(drop)
    }
}

/// TLS at both ends, then at one of them, where the other sees FIN only and ends like that.
fn ends_stay(routers: usize) -> Result<()> {
    use End::{Bare, Orderly};
    let stage = Stage::start(routers, Tls::Both)?;
    for ends in [[Bare, Orderly], [Orderly, Bare], [Bare, Bare], [Orderly, Orderly]] {
        stage.exchange(ends, ends)?;
    }
    stage.reset()?;
    stage.line.expect_no_errors(&[])?;
    let stage = Stage::start(routers, Tls::Listener)?;
    stage.exchange([Bare, Orderly], [Orderly, Orderly])?;
    stage.reset()?;
    let stage = Stage::start(routers, Tls::Connector)?;
    stage.exchange([Orderly, Bare], [Orderly, Orderly])?;
    stage.reset()
}

#[test]
fn one_router() {
    run(|| ends_stay(1));
}

#[test]
fn two_routers() {
    run(|| ends_stay(2));
}

#[test]
fn three_routers() {
    run(|| ends_stay(3));
}
