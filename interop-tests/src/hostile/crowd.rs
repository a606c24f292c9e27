//! Very many clients at once, at a listener that lets few of them in.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Dice;
use super::sasl::init;
use super::wire::{AMQP_HEADER, CLOSE, SASL_HEADER, begin, frame, frames, open};

/// How soon each client has to know whether it is let in.
const FATE_WAIT: Duration = Duration::from_secs(30);
/// What who is not let in is told.
const CAUSES: [&str; 2] = ["amqp:resource-limit-exceeded", "connection disallowed by local policy"];

/// What clients have in common that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: they are all counted together.
    Everybody,
    /// They come from so many hosts.
    Hosts(u8),
    /// They are a user, whose name and password these are, and nobody.
    Users(&'static str, &'static str),
}

/// Clients of one listener, of which so many of each kind may be there at a time.
#[derive(Clone, Debug)]
pub struct Crowd {
    address: SocketAddr,
    kind: Kind,
    limit: usize,
    seen: Arc<Mutex<Seen>>,
}

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How many were let in.
    pub admitted: u64,
    /// How many were not.
    pub refused: u64,
    /// Those that are there, and how many have been at most, by what a limit counts.
    there: BTreeMap<usize, (usize, usize)>,
}

/// A client that was let in. It counts until it is dropped.
#[derive(Debug)]
struct Member {
    crowd: Crowd,
    group: usize,
    stream: TcpStream,
}

// === impl Crowd ===

impl Crowd {
    /// A crowd of which `limit` of each kind may be there.
    pub fn new(address: SocketAddr, kind: Kind, limit: usize) -> Self {
        Self { address, kind, limit, seen: Arc::default() }
    }

    /// How many kinds of clients there are.
    const fn groups(&self) -> usize {
        match self.kind {
            Kind::Everybody => 1,
            Kind::Hosts(count) => count as usize,
            Kind::Users(..) => 2,
        }
    }

    fn lock<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was seen until now.
    pub fn seen(&self) -> Seen {
        self.lock(|seen| seen.clone())
    }

    /// `clients` come at once and stay until all know their fate: as many are let in as may be, no more and no fewer.
    pub async fn come_at_once(&self, clients: usize) -> Result<()> {
        let before = self.seen();
        let mut dials = JoinSet::new();
        for number in 0..clients {
            let crowd = self.clone();
            dials.spawn(async move { crowd.dial(number).await });
        }
        let mut members = Vec::new();
        while let Some(fate) = dials.join_next().await {
            members.extend(fate??);
        }
        let (wanted, seen) = ((self.limit * self.groups()) as u64, self.seen());
        let (admitted, refused) = (seen.admitted - before.admitted, seen.refused - before.refused);
        ensure!(admitted == wanted && members.len() as u64 == wanted, "{admitted} of {clients} let in, not {wanted}");
        ensure!(refused == clients as u64 - wanted, "{refused} refused");
        Ok(())
    }

    /// `clients` come, stay for a moment if they are let in, go, and come again.
    pub async fn churn(&self, clients: usize, duration: Duration, seed: u64) -> Result<()> {
        let end = Instant::now() + duration;
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (crowd, mut dice) = (self.clone(), Dice::new(seed ^ ((number as u64) << 16)));
            tasks.spawn(async move {
                while Instant::now() < end {
                    match crowd.dial(number).await? {
                        Some(member) => member.leave(&mut dice).await,
                        None => sleep(Duration::from_millis(dice.below(200) as u64)).await,
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        let highest = self.lock(|seen| seen.there.values().map(|(_, most)| *most).max().unwrap_or_default());
        ensure!(highest <= self.limit, "{highest} were there at a time, {} may be", self.limit);
        Ok(())
    }

    /// A client comes, and learns whether it may stay.
    async fn dial(&self, number: usize) -> Result<Option<Member>> {
        let group = number % self.groups();
        let host = match self.kind {
            Kind::Hosts(_) => Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(group)?),
            Kind::Everybody | Kind::Users(..) => Ipv4Addr::new(127, 0, 0, 77),
        };
        let login = match self.kind {
            Kind::Users(user, password) if group == 0 => {
                [SASL_HEADER, &init("PLAIN", format!("\0{user}\0{password}").as_bytes())].concat()
            }
            _ => Vec::new(),
        };
        let Some(mut stream) = connect(host.into(), self.address).await? else { return Ok(None) };
        let bytes = [&login, AMQP_HEADER, &open(), &begin(0)].concat();
        let fate = timeout(FATE_WAIT, fate(&mut stream, &bytes)).await;
        let is_admitted = fate.with_context(|| format!("client {number} is told nothing"))??;
        self.lock(|seen| {
            let (now, most) = seen.there.entry(group).or_default();
            if is_admitted {
                seen.admitted += 1;
                *now += 1;
                *most = (*most).max(*now);
            } else {
                seen.refused += 1;
            }
        });
        Ok(is_admitted.then(|| Member { crowd: self.clone(), group, stream }))
    }
}

/// A connection from one of our addresses. `None`: all ports are taken for the moment.
async fn connect(from: IpAddr, to: SocketAddr) -> Result<Option<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    match socket.connect(to).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            sleep(Duration::from_millis(10)).await;
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("connecting to {to}")),
    }
}

/// Whether the session began, or the connection was closed for the right reason.
async fn fate(stream: &mut TcpStream, bytes: &[u8]) -> Result<bool> {
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    loop {
        for frame in frames(&answer).iter().filter(|frame| frame.kind == 0) {
            match frame.code {
                Some(0x11) => return Ok(true),
                Some(CLOSE) => {
                    ensure!(CAUSES.iter().all(|text| frame.says(text)), "closed with {frame:02x?}");
                    return Ok(false);
                }
                _ => {}
            }
        }
        if stream.read_buf(&mut answer).await.context("waiting for the answer")? == 0 {
            bail!("closed without a reason: {:?}", String::from_utf8_lossy(&answer));
        }
    }
}

// === impl Member ===

impl Member {
    /// Stays for a moment and goes, in order or not.
    async fn leave(mut self, dice: &mut Dice) {
        sleep(Duration::from_millis(dice.below(50) as u64)).await;
        if dice.below(2) == 0 {
            // Counted as gone before it says so.
            self.count_off();
            let _ = self.stream.write_all(&frame(0, CLOSE, &[], &[])).await;
        }
    }

    fn count_off(&mut self) {
        let group = std::mem::replace(&mut self.group, usize::MAX);
        self.crowd.lock(|seen| {
            if let Some((now, _)) = seen.there.get_mut(&group) {
                *now -= 1;
            }
        });
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.group != usize::MAX {
            self.count_off();
        }
    }
}
