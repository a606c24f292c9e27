//! Many attackers at once, for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::attacks::authentication;
use super::{Attack, Dice, Pace};
use crate::harness::Certificates;

/// Attackers that send everything at once.
const FAST_ATTACKERS: u64 = 4;
/// Connections that dribble, per target.
const SLOW_CONNECTIONS: usize = 25;
/// Pause between two octets of such a connection.
const DRIBBLE: Duration = Duration::from_millis(50);
/// How long an attacker looks for an answer before it goes on.
const ANSWER_WAIT: Duration = Duration::from_millis(40);

/// A listener under attack.
#[derive(Clone)]
pub struct Target {
    name: &'static str,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// An attack on several listeners.
pub struct Siege {
    targets: Vec<Target>,
    duration: Duration,
    seed: u64,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// Connections made, by target and attack.
    pub connections: BTreeMap<(&'static str, Attack), u64>,
}

type Connection = Box<dyn Stream>;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

// === impl Target ===

impl Target {
    /// A listener that gets the bytes as they are.
    pub fn plain(name: &'static str, address: SocketAddr) -> Self {
        Self { name, address, tls: None }
    }

    /// A listener that gets the bytes inside TLS, from a client with a good certificate.
    pub fn tls(name: &'static str, address: SocketAddr, files: &Certificates) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&files.ca)? {
            roots.add(certificate?)?;
        }
        let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&files.key)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        Ok(Self { name, address, tls: Some(Arc::new(config)) })
    }

    /// The name it was given.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Puts an authentication before the bytes, where the listener wants one and mostly.
    fn dress(&self, attack: Attack, bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
        if self.tls.is_some() && attack.begins_with_amqp() && dice.below(5) > 0 {
            return [authentication(), bytes].concat();
        }
        bytes
    }

    fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).with_context(|| format!("connecting to {}", self.name))?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        // A router may stop reading from an attacker; that must not stop the attack.
        stream.set_write_timeout(Some(Duration::from_millis(500)))?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                Ok(Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, stream)))
            }
        }
    }
}

// === impl Siege ===

impl Siege {
    /// An attack that takes `duration` and depends on `seed`.
    pub fn new(targets: Vec<Target>, duration: Duration, seed: u64) -> Self {
        Self { targets, duration, seed }
    }

    /// Attacks, calling `meanwhile` over and over, and fails as soon as that fails or nobody can connect any more.
    pub fn lay(&self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<Report> {
        let end = Instant::now() + self.duration;
        let report = Mutex::new(Report::default());
        let rounds = AtomicU64::new(0);
        thread::scope(|scope| {
            let fast: Vec<_> =
                (0..FAST_ATTACKERS).map(|_| scope.spawn(|| self.attack_fast(end, &rounds, &report))).collect();
            let slow: Vec<_> =
                self.targets.iter().map(|target| scope.spawn(|| self.dribble(target, end, &report))).collect();
            while Instant::now() < end {
                meanwhile()?;
            }
            for attacker in fast.into_iter().chain(slow) {
                attacker.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))??;
            }
            anyhow::Ok(())
        })?;
        Ok(report.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn attack_fast(&self, end: Instant, rounds: &AtomicU64, report: &Mutex<Report>) -> Result<()> {
        let fast: Vec<_> = Attack::ALL.into_iter().filter(|attack| attack.pace() == Pace::AtOnce).collect();
        while Instant::now() < end {
            // Numbered over all attackers, so a round can be repeated from the seed and its number alone.
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let mut dice = Dice::new(self.seed ^ (round << 16));
            let (target, attack) = (dice.pick(&self.targets), *dice.pick(&fast));
            let bytes = target.dress(attack, attack.bytes(&mut dice), &mut dice);
            let mut connection = target.connect()?;
            count(report, target, attack);
            // The router may close at any moment: no error here says anything.
            if connection.write_all(&bytes).is_ok() && connection.flush().is_ok() {
                let mut answer = [0; 4096];
                while connection.read(&mut answer).is_ok_and(|count| count > 0) && Instant::now() < end {}
            }
        }
        Ok(())
    }

    fn dribble(&self, target: &Target, end: Instant, report: &Mutex<Report>) -> Result<()> {
        let slow: Vec<_> = Attack::ALL.into_iter().filter(|attack| attack.pace() == Pace::Dribble).collect();
        let mut dice = Dice::new(self.seed);
        let mut open = Vec::new();
        while Instant::now() < end {
            while open.len() < SLOW_CONNECTIONS {
                let attack = *dice.pick(&slow);
                let bytes = target.dress(attack, attack.bytes(&mut dice), &mut dice);
                open.push((target.connect()?, bytes.into_iter()));
                count(report, target, attack);
            }
            open.retain_mut(|(connection, rest)| match rest.next() {
                Some(octet) => connection.write_all(&[octet]).and_then(|()| connection.flush()).is_ok(),
                // Everything sent that is to be sent: stay, silent, until the router has enough of it.
                None => true,
            });
            thread::sleep(DRIBBLE);
        }
        Ok(())
    }
}

fn count(report: &Mutex<Report>, target: &Target, attack: Attack) {
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    *report.connections.entry((target.name, attack)).or_default() += 1;
}

// === impl Report ===

impl Report {
    /// All connections made.
    pub fn total(&self) -> u64 {
        self.connections.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((target, attack), count) in &self.connections {
            writeln!(f, "{target:<20} {:<20} {count:>7}", format!("{attack:?}"))?;
        }
        write!(f, "{:<20} {:<20} {:>7}", "all", "", self.total())
    }
}
