//! Forward proxies that answer CONNECT as no proxy should, and some that only look so.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::wire::{AMQP_HEADER, SASL_HEADER, SASL_MECHANISMS, SASL_OUTCOME, described, list, open, raw_frame, symbol};

/// Between two octets of who is slow.
const DRIBBLE: Duration = Duration::from_millis(10);
/// Between two signs of life.
const ALIVE: Duration = Duration::from_millis(500);

/// How a proxy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Not at all.
    Silent,
    /// Octet by octet, and then well.
    OctetByOctet,
    /// With a head that has no end, at once.
    Endless,
    /// The same, octet by octet.
    SlowlyEndless,
    /// With answers that only inform, and then well.
    Informing,
    /// With nothing but those.
    EndlesslyInforming,
    /// With a protocol that nobody asked for.
    Switching,
    /// With octets of no protocol.
    Garbage,
    /// Well, with the server's first octets right behind.
    Glued,
    /// Well, with octets of no protocol right behind.
    GluedGarbage,
    /// With very many challenges.
    Challenging,
    /// By going away.
    Closing,
    /// By going away amid its answer.
    Breaking,
    /// Well, and with the length of a body, which such an answer has not.
    WithLength,
    /// As a server of HTTP/2.
    Http2,
    /// As a client of HTTP/2.
    Http2Client,
}

// === impl Manner ===

impl Manner {
    /// Every manner.
    pub const ALL: [Self; 16] = [
        Self::Silent,
        Self::OctetByOctet,
        Self::Endless,
        Self::SlowlyEndless,
        Self::Informing,
        Self::EndlesslyInforming,
        Self::Switching,
        Self::Garbage,
        Self::Glued,
        Self::GluedGarbage,
        Self::Challenging,
        Self::Closing,
        Self::Breaking,
        Self::WithLength,
        Self::Http2,
        Self::Http2Client,
    ];

    /// What a connector says of it; `None` where it gets through.
    pub const fn fault(self) -> Option<&'static str> {
        Some(match self {
            Self::OctetByOctet | Self::Informing | Self::Glued | Self::WithLength => return None,
            Self::Silent | Self::SlowlyEndless => "proxy response not within",
            Self::Endless | Self::EndlesslyInforming => "proxy response not terminated",
            Self::Switching => "proxy request denied 101 Switching Protocols",
            Self::Garbage | Self::Http2 => "proxy response invalid character",
            Self::GluedGarbage => "Unknown protocol detected",
            Self::Challenging => "proxy request denied 407 Proxy Authentication Required",
            // Seen as an end or as a reset.
            Self::Closing | Self::Breaking => "proxy response ",
            Self::Http2Client => "proxy malformed header version",
        })
    }

    /// Starts such a proxy, which leads to `server` where it leads anywhere; it serves for as long as the process lives.
    pub fn start(self, server: SocketAddr) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever goes away in between ends it.
                thread::spawn(move || drop(self.serve(client, server)));
            }
        });
        Ok(address)
    }

    fn serve(self, mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
        const GRANTED: &str = "HTTP/1.1 200 Connection established\r\n";
        if self == Self::Closing {
            return Ok(());
        }
        read_request(&mut client)?;
        let answer = match self {
            Self::Silent => return wait(&mut client),
            Self::OctetByOctet => {
                dribble(&mut client, format!("{GRANTED}Via: 1.1 slow\r\n\r\n").bytes())?;
                String::new()
            }
            Self::Endless => {
                return client.write_all(format!("{GRANTED}{}", "X-More: 1\r\n".repeat(1 << 20)).as_bytes());
            }
            Self::SlowlyEndless => {
                return dribble(&mut client, GRANTED.bytes().chain(b"A: b\r\n".iter().copied().cycle()));
            }
            Self::Informing => {
                let informs = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
                format!("{informs}{GRANTED}\r\n")
            }
            Self::EndlesslyInforming => {
                return client.write_all("HTTP/1.1 102 Processing\r\n\r\n".repeat(1 << 18).as_bytes());
            }
            Self::Switching => return client.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: amqp\r\n\r\n"),
            Self::Garbage => return client.write_all(&[0x00, 0xff, 0x80, 0x0a].repeat(1000)),
            Self::Glued => return glue(&mut client, GRANTED),
            Self::GluedGarbage => {
                return client.write_all(format!("{GRANTED}\r\n{}", "no AMQP ".repeat(1000)).as_bytes());
            }
            Self::Challenging => {
                let challenges = "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n".repeat(200);
                let status = "HTTP/1.1 407 Proxy Authentication Required\r\n";
                return client.write_all(format!("{status}{challenges}\r\n").as_bytes());
            }
            Self::Breaking => return client.write_all(&GRANTED.as_bytes()[..20]),
            Self::WithLength => format!("{GRANTED}Content-Length: 1000000\r\nTransfer-Encoding: chunked\r\n\r\n"),
            // SETTINGS.
            Self::Http2 => return client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]),
            Self::Http2Client => return client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            Self::Closing => return Ok(()),
        };
        client.write_all(answer.as_bytes())?;
        tunnel(&client, &TcpStream::connect(server)?)
    }
}

fn read_request(client: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet)?;
        request.push(octet[0]);
    }
    Ok(())
}

fn wait(client: &mut TcpStream) -> io::Result<()> {
    io::copy(client, &mut io::sink()).map(drop)
}

fn dribble(client: &mut TcpStream, octets: impl Iterator<Item = u8>) -> io::Result<()> {
    client.set_nodelay(true)?;
    for octet in octets {
        client.write_all(&[octet])?;
        thread::sleep(DRIBBLE);
    }
    Ok(())
}

/// All that a server of AMQP says at first, in one piece with the proxy's answer.
fn glue(client: &mut TcpStream, granted: &str) -> io::Result<()> {
    let sasl = |code, fields: &[&[u8]]| raw_frame(1, 0, &described(code, &list(fields)));
    let mechanisms = sasl(SASL_MECHANISMS, &[&symbol("ANONYMOUS")]);
    let outcome = sasl(SASL_OUTCOME, &[&[0x50, 0x00]]);
    let head = format!("{granted}\r\n");
    let server = [SASL_HEADER, &mechanisms, &outcome, AMQP_HEADER, &open()].concat();
    client.write_all(&[head.as_bytes(), &server].concat())?;
    let mut reading = client.try_clone()?;
    thread::spawn(move || wait(&mut reading));
    loop {
        thread::sleep(ALIVE);
        client.write_all(&raw_frame(0, 0, &[]))?;
    }
}

fn tunnel(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = io::copy(&mut from_server, &mut to_client);
    client.shutdown(Shutdown::Write)
}
