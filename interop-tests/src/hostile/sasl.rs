//! Peers that abuse the login: wrong, endless, malformed, or skipped.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Socket, Type};

use super::Dice;
use super::wire::{
    AMQP_HEADER, NULL, OPEN, SASL_HEADER, SASL_INIT, SASL_OUTCOME, SASL_RESPONSE, attach_sender, begin, binary,
    described, frames, list, nested_lists, open, raw_frame, symbol, transfer,
};

/// Where the attackers come from: another host than decent peers.
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));

/// Attackers at a time.
const ATTACKERS: u64 = 8;
/// Logins that are begun and never ended, at a time.
const UNFINISHED: usize = 300;
/// How soon who is refused has to find the connection closed.
const REFUSAL_WAIT: Duration = Duration::from_secs(20);

/// One way to abuse a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SaslAttack {
    /// PLAIN with a wrong password.
    WrongPassword,
    /// SCRAM to its end, with a proof that proves nothing.
    WrongProof,
    /// An init larger than any may be.
    Oversize,
    /// An init that is none.
    MalformedInit,
    /// A message of the mechanism that is none.
    MalformedMessage,
    /// An init, and behind it, unasked, a lot.
    Junk,
    /// A name longer than any, or of what no name is made of.
    LongName,
    /// A mechanism that was not offered.
    OtherMechanism,
    /// Init after init.
    SeveralInits,
    /// No login at all.
    Skipped,
    /// Frames whose turn it is not.
    OutOfTurn,
}

/// Attackers of a listener that asks for logins.
#[derive(Debug)]
pub struct Abuse<'a> {
    /// The listener.
    pub address: SocketAddr,
    /// Whose password they do not know.
    pub user: &'a str,
    /// How long they go on.
    pub duration: Duration,
    /// What they send depends on it.
    pub seed: u64,
    /// Within which time a login has to end, as the listener has it.
    pub login_limit: Duration,
}

/// Connections by attack.
pub type Count = BTreeMap<SaslAttack, u64>;

// === impl SaslAttack ===

impl SaslAttack {
    /// Every attack.
    pub const ALL: [Self; 11] = [
        Self::WrongPassword,
        Self::WrongProof,
        Self::Oversize,
        Self::MalformedInit,
        Self::MalformedMessage,
        Self::Junk,
        Self::LongName,
        Self::OtherMechanism,
        Self::SeveralInits,
        Self::Skipped,
        Self::OutOfTurn,
    ];

    fn bytes(self, user: &str, dice: &mut Dice) -> Vec<u8> {
        let wrong = || init("PLAIN", format!("\0{user}\0wrong").as_bytes());
        let rest = match self {
            Self::WrongPassword => wrong(),
            Self::WrongProof => init("SCRAM-SHA-256", format!("n,,n={user},r={NONCE}").as_bytes()),
            Self::Oversize => oversize(dice),
            Self::MalformedInit => malformed_init(dice),
            Self::MalformedMessage => malformed_message(user, dice),
            Self::Junk => [wrong(), junk(dice)].concat(),
            Self::LongName => long_name(dice),
            Self::OtherMechanism => other_mechanism(dice),
            Self::SeveralInits => wrong().repeat(2 + dice.below(200)),
            Self::Skipped => return skipped(dice),
            Self::OutOfTurn => out_of_turn(dice),
        };
        // What only somebody who was let in may say is there already.
        [SASL_HEADER, &rest, AMQP_HEADER, &open(), &begin(0)].concat()
    }

    /// Attacks once, and fails if that opens the door or the connection is not closed. False: there was no port for it.
    fn attack(self, abuse: &Abuse<'_>, dice: &mut Dice) -> Result<bool> {
        let Some(mut connection) = connect_from(STRANGER, abuse.address)? else { return Ok(false) };
        let bytes = self.bytes(abuse.user, dice);
        // The router may close at any moment.
        let _ = connection.write_all(&bytes);
        let mut answer = Vec::new();
        if self == Self::WrongProof {
            let _ = prove_wrongly(&mut connection, &mut answer);
        }
        let is_closed = read_to_end(&mut connection, &mut answer);
        ensure!(!lets_in(&answer), "{self:?} was let in by {bytes:02x?}: {answer:02x?}");
        ensure!(is_closed, "{self:?} was not sent away: {bytes:02x?}");
        Ok(true)
    }
}

const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

pub(crate) fn init(mechanism: &str, response: &[u8]) -> Vec<u8> {
    raw_frame(1, 0, &described(SASL_INIT, &list(&[&symbol(mechanism), &binary(response)])))
}

fn response(message: &[u8]) -> Vec<u8> {
    raw_frame(1, 0, &described(SASL_RESPONSE, &list(&[&binary(message)])))
}

fn oversize(dice: &mut Dice) -> Vec<u8> {
    match dice.below(3) {
        0 => [&[0xff; 4], [2, 1, 0, 0].as_slice(), &vec![0; 64 * 1024]].concat(),
        1 => init("PLAIN", &vec![b'x'; 1 << 20]),
        _ => init(&"X".repeat(1 << 18), b""),
    }
}

fn malformed_init(dice: &mut Dice) -> Vec<u8> {
    let body = match dice.below(8) {
        0 => list(&[]),
        1 => list(&[NULL, &binary(b"\0a\0b")]),
        2 => list(&[&binary(b"PLAIN"), &symbol("x")]),
        3 => nested_lists(50),
        4 => vec![0xd0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        5 => list(&[&symbol("PLAIN"), &[0xb0, 0xff, 0xff, 0xff, 0xff]]),
        6 => dice.bytes(100),
        _ => return vec![0, 0, 0, 8 + dice.below(3) as u8, 2, 1, 0, 0, 0x00, 0x53, 0x41],
    };
    raw_frame(1, 0, &described(SASL_INIT, &body))
}

fn malformed_message(user: &str, dice: &mut Dice) -> Vec<u8> {
    let nonce = "r".repeat(200);
    match dice.below(10) {
        0 => init("PLAIN", b""),
        1 => init("PLAIN", b"no separators"),
        2 => init("PLAIN", b"\0\xff\xfe\0\xc0\xaf"),
        3 => init("PLAIN", &[0; 200]),
        4 => init("PLAIN", format!("somebody\0{user}\0wrong\0more").as_bytes()),
        5 => init("SCRAM-SHA-256", b"n,,n=,r="),
        6 => init("SCRAM-SHA-256", b"p=tls-unique,,n=a,r=b"),
        7 => init("SCRAM-SHA-256", format!("y,a=other,n={user},r={nonce}").as_bytes()),
        8 => init("SCRAM-SHA-256", &dice.bytes(150)),
        _ => [init("SCRAM-SHA-256", format!("n,,n={user},r={NONCE}").as_bytes()), response(b"c=biws,r=another,p=AAAA")]
            .concat(),
    }
}

fn junk(dice: &mut Dice) -> Vec<u8> {
    match dice.below(3) {
        0 => dice.bytes(256 * 1024),
        1 => response(b"wrong").repeat(5000),
        _ => {
            let messages: Vec<_> = (0..2000).map(|id| transfer(0, id, false, b"not let in yet")).collect();
            [AMQP_HEADER, &open(), &begin(0), &attach_sender(0, "queue.hostile"), &messages.concat()].concat()
        }
    }
}

fn long_name(dice: &mut Dice) -> Vec<u8> {
    let name = match dice.below(5) {
        0 => "n".repeat(255),
        1 => "\u{1f980}".repeat(60),
        2 => "line\n2026-01-01 00:00:00.000000 +0000 SERVER (critical) forged\r\n\u{1b}[2J".to_owned(),
        3 => "@".repeat(200),
        _ => "../../../../etc/passwd".to_owned(),
    };
    match dice.below(2) {
        0 => init("PLAIN", format!("\0{name}\0wrong").as_bytes()),
        _ => init("SCRAM-SHA-256", format!("n,,n={},r={NONCE}", name.replace('\n', " ")).as_bytes()),
    }
}

fn other_mechanism(dice: &mut Dice) -> Vec<u8> {
    let long = "X".repeat(300);
    let name = *dice.pick(&["ANONYMOUS", "EXTERNAL", "GSSAPI", "plain", "SCRAM-SHA-256-PLUS", "", "PLAIN\0", &long]);
    init(name, b"\0root\0root")
}

fn skipped(dice: &mut Dice) -> Vec<u8> {
    let conversation = [open(), begin(0), attach_sender(0, "queue.hostile")].concat();
    match dice.below(4) {
        0 => [AMQP_HEADER, &conversation].concat(),
        1 => [SASL_HEADER, &conversation].concat(),
        2 => [SASL_HEADER, AMQP_HEADER, &conversation].concat(),
        _ => [b"AMQP\x02\x01\x00\x00", conversation.as_slice()].concat(),
    }
}

fn out_of_turn(dice: &mut Dice) -> Vec<u8> {
    let ok = list(&[&[0x50, 0x00]]);
    match dice.below(4) {
        0 => response(b"before init"),
        // Only servers say so.
        1 => raw_frame(1, 0, &described(SASL_OUTCOME, &ok)),
        2 => raw_frame(1, 0, &described(0x40, &list(&[&symbol("PLAIN")]))),
        _ => raw_frame(1, 0, &described(OPEN, &list(&[]))),
    }
}

/// Goes on with SCRAM as who does not know the password.
fn prove_wrongly(connection: &mut TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    let nonce = loop {
        let text = String::from_utf8_lossy(answer).into_owned();
        if let Some((nonce, _)) = text.split_once("r=").and_then(|(_, rest)| rest.split_once(",s=")) {
            break nonce.to_owned();
        }
        let mut part = [0; 1024];
        let count = connection.read(&mut part)?;
        ensure!(count > 0, "closed");
        answer.extend_from_slice(&part[..count]);
    };
    let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    Ok(connection.write_all(&response(format!("c=biws,r={nonce},p={proof}").as_bytes()))?)
}

/// Whether a router's answer shows that it takes the peer for one who may be there.
fn lets_in(answer: &[u8]) -> bool {
    frames(answer).iter().any(|frame| match (frame.kind, frame.code) {
        (1, Some(SASL_OUTCOME)) => frame.first_octet() == Some(0),
        // An open alone says nothing: an error may need one.
        (0, Some(0x11)) => true,
        _ => false,
    })
}

/// A connection from one of our addresses. `None`: all ports are taken for the moment.
pub(crate) fn connect_from(source: IpAddr, to: SocketAddr) -> Result<Option<TcpStream>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            thread::sleep(Duration::from_millis(10));
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("connecting to {to}")),
    }
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(REFUSAL_WAIT))?;
    stream.set_write_timeout(Some(REFUSAL_WAIT))?;
    Ok(Some(stream))
}

/// Reads until the peer has closed. False: it has not in time.
fn read_to_end(connection: &mut TcpStream, answer: &mut Vec<u8>) -> bool {
    match connection.read_to_end(answer) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

// === impl Abuse ===

impl Abuse<'_> {
    /// Attacks, calling `meanwhile` over and over; fails as soon as that fails, or anybody is let in or not sent away.
    pub fn commit(&self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<Count> {
        let end = Instant::now() + self.duration;
        let (count, rounds) = (Mutex::new(Count::new()), AtomicU64::new(0));
        thread::scope(|scope| {
            let attackers: Vec<_> =
                (0..ATTACKERS).map(|_| scope.spawn(|| self.attack_until(end, &rounds, &count))).collect();
            let unfinished = scope.spawn(|| self.never_finish(end));
            while Instant::now() < end {
                meanwhile()?;
            }
            for attacker in attackers {
                attacker.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))??;
            }
            unfinished.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))?
        })?;
        Ok(count.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn attack_until(&self, end: Instant, rounds: &AtomicU64, count: &Mutex<Count>) -> Result<()> {
        while Instant::now() < end {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let mut dice = Dice::new(self.seed ^ (round << 16));
            let attack = SaslAttack::ALL[round as usize % SaslAttack::ALL.len()];
            if !attack.attack(self, &mut dice).with_context(|| format!("round {round}"))? {
                continue;
            }
            *count.lock().unwrap_or_else(PoisonError::into_inner).entry(attack).or_default() += 1;
        }
        Ok(())
    }

    /// Begins logins and leaves it at that; each has to be ended by the router.
    fn never_finish(&self, end: Instant) -> Result<()> {
        let begun = init("SCRAM-SHA-256", format!("n,,n={},r={NONCE}", self.user).as_bytes());
        let beginnings = [SASL_HEADER.to_vec(), [SASL_HEADER, &begun].concat(), [SASL_HEADER, &begun[..20]].concat()];
        while Instant::now() < end {
            let mut open = Vec::new();
            for beginning in beginnings.iter().cycle().take(UNFINISHED) {
                let Some(mut connection) = connect_from(STRANGER, self.address)? else { continue };
                connection.write_all(beginning)?;
                open.push((connection, Instant::now()));
            }
            for (mut connection, begun) in open {
                let mut answer = Vec::new();
                let is_closed = read_to_end(&mut connection, &mut answer);
                ensure!(is_closed && !lets_in(&answer), "a login that never ends goes on after {:?}", begun.elapsed());
                ensure!(begun.elapsed() < self.login_limit + REFUSAL_WAIT, "ended after {:?}", begun.elapsed());
            }
        }
        Ok(())
    }
}

/// Logs in with PLAIN as somebody who may, opens, and begins a session.
pub fn log_in(address: SocketAddr, user: &str, password: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(REFUSAL_WAIT))?;
    stream.write_all(&[SASL_HEADER, &init("PLAIN", format!("\0{user}\0{password}").as_bytes())].concat())?;
    let mut answer = Vec::new();
    expect(&mut stream, &mut answer, 1, SASL_OUTCOME)?;
    ensure!(lets_in(&answer), "refused: {answer:02x?}");
    stream.write_all(&[AMQP_HEADER, &open(), &begin(0)].concat())?;
    expect(&mut stream, &mut answer, 0, 0x11)
}

/// Reads until a frame with that performative has come.
pub(crate) fn expect(stream: &mut impl Read, answer: &mut Vec<u8>, kind: u8, code: u8) -> Result<()> {
    while !frames(answer).iter().any(|frame| (frame.kind, frame.code) == (kind, Some(code))) {
        let mut part = [0; 4096];
        match stream.read(&mut part).context("waiting for an answer")? {
            0 => bail!("closed: {:?}", String::from_utf8_lossy(answer)),
            count => answer.extend_from_slice(&part[..count]),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in_is_known_by_the_answer() {
        let outcome = |code: u8| raw_frame(1, 0, &[0x00, 0x53, SASL_OUTCOME, 0xc0, 0x03, 0x01, 0x50, code]);
        assert!(lets_in(&[SASL_HEADER, &outcome(0)].concat()));
        assert!(!lets_in(&[SASL_HEADER, &outcome(1)].concat()));
        assert!(!lets_in(&[AMQP_HEADER, &open()].concat()));
        assert!(lets_in(&[AMQP_HEADER, &open(), &begin(0)].concat()));
    }

    #[test]
    fn attacks_repeat_with_their_seed() {
        for attack in SaslAttack::ALL {
            let bytes = |seed| attack.bytes("user", &mut Dice::new(seed));
            assert_eq!(bytes(5), bytes(5), "{attack:?}");
        }
    }
}
