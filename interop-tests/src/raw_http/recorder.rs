//! A server of HTTP/1 and HTTP/2 that writes down what it gets.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::frame::PREFACE;
use super::{Field, LIMIT, recorder_http1, recorder_http2, shown, shown_fields};
use crate::harness::{Port, patience};

/// How long the server thinks about an answer to a target with `/slow`.
pub(super) const THOUGHT: Duration = Duration::from_millis(20);

/// A request as the server got it.
#[derive(Clone, Default)]
pub struct Record {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub version: String,
    /// Its method.
    pub method: String,
    /// Its target: `:path` of HTTP/2.
    pub target: String,
    /// Host, or `:authority`.
    pub authority: String,
    /// Its fields, without pseudo fields.
    pub fields: Vec<Field>,
    /// Its body, as far as it came.
    pub body: Vec<u8>,
    /// The fields behind the body.
    pub trailers: Vec<Field>,
    /// It came to its end.
    pub is_whole: bool,
    /// It was given up: the stream was reset, or the connection ended.
    pub is_cut: bool,
    /// The rule that it broke.
    pub fault: Option<String>,
}

/// What a server does with a request, if it is nothing good.
#[derive(Clone)]
pub struct Script {
    /// The octets that it answers, for that stream, in place of an answer.
    octets: Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    /// It ends the connection afterwards.
    ends: bool,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    port: Port,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What the threads of a server have in common.
#[derive(Default)]
pub(super) struct Shared {
    /// It tells its name with each answer.
    pub(super) name: String,
    records: Mutex<Vec<Record>>,
    changed: Condvar,
    scripts: Mutex<BTreeMap<String, Script>>,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    accepted: AtomicU64,
    stopped: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl Record ===

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.is_whole { "" } else { " (not whole)" };
        let cut = if self.is_cut { " (cut)" } else { "" };
        write!(f, "[{} {} {} at {}", self.version, self.method, self.target.escape_debug(), self.authority)?;
        write!(f, " {{{}}} {}{end}{cut}", shown_fields(&self.fields), shown(&self.body))?;
        let trailers = shown_fields(&self.trailers);
        if !trailers.is_empty() {
            write!(f, " {{{trailers}}}")?;
        }
        match &self.fault {
            Some(fault) => write!(f, " fault: {fault}]"),
            None => f.write_str("]"),
        }
    }
}

impl Record {
    /// Whether it has a field with that value alone.
    pub fn says(&self, name: &str, value: &str) -> bool {
        super::fields(&self.fields, name) == [value.as_bytes()]
    }

    /// Whether it has a field of that name.
    pub fn has(&self, name: &str) -> bool {
        super::field(&self.fields, name).is_some()
    }

    /// Whether it is of the case with that target, or of none that can be told.
    pub fn is_about(&self, target: &str) -> bool {
        self.target.starts_with(target) || (self.target.is_empty() && self.fault.is_some())
    }
}

// === impl Script ===

impl Script {
    /// An answer of those octets.
    pub fn new(octets: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { octets: Arc::new(octets), ends: false }
    }

    /// The connection ends behind it.
    #[must_use]
    pub fn ending(mut self) -> Self {
        self.ends = true;
        self
    }

    /// Plays it; whether the connection goes on.
    pub(super) fn play(&self, stream: u32, writer: &mut impl Write) -> bool {
        writer.write_all(&(self.octets)(stream)).is_ok() && !self.ends
    }
}

// === impl Recorder ===

impl Recorder {
    /// Starts a server that tells its name with each answer, in the field `served-by`.
    pub fn start(name: &str) -> Result<Self> {
        let shared = Arc::new(Shared { name: name.to_owned(), ..Shared::default() });
        let mut recorder = Self { port: Port::reserve()?, shared, accepting: None };
        recorder.restart()?;
        Ok(recorder)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Starts it again after [`Self::kill`], with what it has written down.
    pub fn restart(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address()).context("server socket")?;
        self.shared.stopped.store(false, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(thread::spawn(move || accept(&shared, &listener)));
        Ok(())
    }

    /// Ends it with all its connections, as the end of a process does.
    pub fn kill(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        if let Some(accepting) = self.accepting.take() {
            // It wakes the thread, which then sees that it is over.
            let _ = TcpStream::connect(self.address());
            let _ = accepting.join();
        }
        for (_, stream) in std::mem::take(&mut *lock(&self.shared.connections)) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Answers requests for that target as the script says.
    pub fn script(&self, target: &str, script: Script) {
        lock(&self.shared.scripts).insert(target.to_owned(), script);
    }

    /// What came for targets that begin like that, and what was broken so much that it has none.
    pub fn about(&self, target: &str) -> Vec<Record> {
        lock(&self.shared.records).iter().filter(|record| record.is_about(target)).cloned().collect()
    }

    /// Forgets what came.
    pub fn forget(&self) {
        lock(&self.shared.records).clear();
    }

    /// How many requests came to their end.
    pub fn count(&self) -> usize {
        lock(&self.shared.records).iter().filter(|record| record.is_whole).count()
    }

    /// Connections that it has accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Waits for a request like that.
    pub fn wait_for(&self, target: &str, what: &str, is_it: impl Fn(&Record) -> bool) -> Result<Record> {
        let deadline = Instant::now() + patience();
        let mut records = lock(&self.shared.records);
        loop {
            if let Some(found) = records.iter().find(|record| record.is_about(target) && is_it(record)) {
                return Ok(found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} has not seen {what}, but {:?}", self.shared.name, records.last());
            }
            records = self.shared.changed.wait_timeout(records, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.kill();
    }
}

// === impl Shared ===

impl Shared {
    /// Writes down a request. Its number.
    pub(super) fn begin(&self, record: Record) -> usize {
        let mut records = lock(&self.records);
        records.push(record);
        self.changed.notify_all();
        records.len() - 1
    }

    /// Adds to a request, unless it was forgotten meanwhile.
    pub(super) fn amend(&self, number: usize, target: &str, change: impl FnOnce(&mut Record)) {
        if let Some(record) = lock(&self.records).get_mut(number).filter(|record| record.target == target) {
            change(record);
            self.changed.notify_all();
        }
    }

    /// Writes down what is no request.
    pub(super) fn complain(&self, fault: String) {
        self.begin(Record { fault: Some(fault), ..Record::default() });
    }

    pub(super) fn script_for(&self, target: &str) -> Option<Script> {
        lock(&self.scripts).get(target).cloned()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// The size that the target asks for, or the status.
pub(super) fn wanted(target: &str, word: &str) -> Option<usize> {
    let (_, rest) = target.split_once(word)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Octets that tell their place.
pub fn pattern(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at % 251) as u8).collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.is_stopped() {
            return;
        }
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(known) = stream.try_clone() else { continue };
        lock(&shared.connections).insert(number, known);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            serve(&shared, &stream);
            let _ = stream.shutdown(Shutdown::Both);
            lock(&shared.connections).remove(&number);
        });
    }
}

/// Serves a connection in the protocol that its first octets tell.
fn serve(shared: &Arc<Shared>, stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(LIMIT));
    let mut first = [0; 4];
    loop {
        match stream.peek(&mut first) {
            // Until there is enough of it. The rest comes at once, so that nobody spins for long.
            Ok(count) if (1..first.len()).contains(&count) && PREFACE.starts_with(&first[..count]) => {
                thread::yield_now()
            }
            Ok(0) | Err(_) => return,
            Ok(_) if PREFACE.starts_with(&first) => return recorder_http2::serve(shared, stream),
            Ok(_) => return recorder_http1::serve(shared, stream),
        }
    }
}
