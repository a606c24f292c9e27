//! The recorder's connections of HTTP/2.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use super::frame::{Frame, PREFACE, code, flag, kind, setting};
use super::hpack::{self, Decoder};
use super::http2::check_fields;
use super::recorder::{Record, Shared, THOUGHT, lock, pattern, wanted};
use super::{Field, field};

/// The longest frame, the size of the table and the first window, as nothing else is agreed on.
const FRAME: usize = 16_384;
const TABLE: u32 = 4096;
const WINDOW: i64 = 65_535;
const STREAMS: u32 = 1000;

/// A request on its way here.
struct Request {
    number: usize,
    method: String,
    target: String,
    length: Option<u64>,
    body: Vec<u8>,
    ended: bool,
}

/// What is on its way out, which several threads add to.
struct Outgoing {
    stream: TcpStream,
    queue: VecDeque<(u32, Vec<u8>, Vec<u8>)>,
    connection: i64,
    initial: i64,
    windows: BTreeMap<u32, i64>,
}

/// A connection.
struct Connection {
    shared: Arc<Shared>,
    outgoing: Arc<Mutex<Outgoing>>,
    decoder: Decoder,
    /// Requests that have no answer.
    requests: BTreeMap<u32, Request>,
    highest: u32,
    block: Option<(u32, u8, Vec<u8>)>,
}

pub(super) fn serve(shared: &Arc<Shared>, stream: &TcpStream) {
    let Ok(writer) = stream.try_clone() else { return };
    let outgoing = Outgoing {
        stream: writer,
        queue: VecDeque::new(),
        connection: WINDOW,
        initial: WINDOW,
        windows: BTreeMap::new(),
    };
    let mut connection = Connection {
        shared: Arc::clone(shared),
        outgoing: Arc::new(Mutex::new(outgoing)),
        decoder: Decoder::new(TABLE),
        requests: BTreeMap::new(),
        highest: 0,
        block: None,
    };
    if let Err(fault) = connection.run(BufReader::with_capacity(65_536, stream)) {
        shared.complain(format!("{fault:#}"));
        connection.send(&Frame::goaway(0, code::PROTOCOL_ERROR));
    }
    for request in connection.requests.values() {
        shared.amend(request.number, &request.target, |record| record.is_cut = true);
    }
    let _ = stream.shutdown(Shutdown::Both);
}

// === impl Outgoing ===

impl Outgoing {
    /// Sends what windows allow.
    fn flush(&mut self) {
        for _ in 0..self.queue.len() {
            let Some((stream, mut body, trailers)) = self.queue.pop_front() else { return };
            let window = self.windows.entry(stream).or_insert(self.initial);
            while !body.is_empty() {
                let most = FRAME.min(body.len()).min((*window).min(self.connection).max(0) as usize);
                if most == 0 {
                    break;
                }
                (*window, self.connection) = (*window - most as i64, self.connection - most as i64);
                let rest = body.split_off(most);
                let flags = if rest.is_empty() && trailers.is_empty() { flag::END_STREAM } else { 0 };
                let _ = self.stream.write_all(&Frame::new(kind::DATA, flags, stream, body).octets());
                body = rest;
            }
            if !body.is_empty() {
                self.queue.push_back((stream, body, trailers));
            } else if !trailers.is_empty() {
                let _ = self.stream.write_all(&Frame::new(kind::HEADERS, flag::END, stream, trailers).octets());
            }
        }
    }

    fn answer(&mut self, shared: &Shared, stream: u32, method: &str, target: &str) {
        let status = wanted(target, "/status/").unwrap_or(200);
        let body = wanted(target, "/bytes/").map_or_else(|| target.as_bytes().to_vec(), pattern);
        let is_bare = method == "HEAD" || matches!(status, 204 | 304) || body.is_empty();
        let (code, length) = (status.to_string(), body.len().to_string());
        let mut fields = vec![(":status", code.as_str()), ("served-by", &shared.name)];
        if !matches!(status, 204 | 304) && !target.contains("/chunked") {
            fields.push(("content-length", &length));
        }
        let flags = if is_bare { flag::END } else { flag::END_HEADERS };
        let head = Frame::new(kind::HEADERS, flags, stream, hpack::block(fields));
        let _ = self.stream.write_all(&head.octets());
        if !is_bare {
            let trailers = if target.contains("/chunked") { hpack::block([("sum", "1")]) } else { Vec::new() };
            self.queue.push_back((stream, body, trailers));
            self.flush();
        }
    }
}

// === impl Connection ===

impl Connection {
    fn send(&self, frame: &Frame) {
        let _ = lock(&self.outgoing).stream.write_all(&frame.octets());
    }

    /// Serves until the connection ends. What the client has done wrong.
    fn run(&mut self, mut reader: impl Read) -> Result<()> {
        let mut preface = [0; PREFACE.len()];
        if reader.read_exact(&mut preface).is_err() {
            return Ok(());
        }
        ensure!(preface == PREFACE, "preface {}", preface.escape_ascii());
        self.send(&Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, STREAMS)]));
        let mut is_first = true;
        while let Some(frame) = Frame::read(&mut reader, FRAME)? {
            if self.shared.is_stopped() {
                return Ok(());
            }
            ensure!(!is_first || frame.kind == kind::SETTINGS, "{frame:?} before the settings");
            is_first = false;
            let goes_on = self.take(&frame).with_context(|| format!("{frame:?}"))?;
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Handles a frame; whether the connection goes on.
    fn take(&mut self, frame: &Frame) -> Result<bool> {
        let stream = frame.stream;
        if let Some((begun, ..)) = self.block {
            ensure!(frame.kind == kind::CONTINUATION && stream == begun, "within a block of fields");
        }
        match frame.kind {
            kind::SETTINGS if !frame.has(flag::ACK) => self.settle(frame)?,
            kind::PING if !frame.has(flag::ACK) => {
                self.send(&Frame::new(kind::PING, flag::ACK, 0, frame.payload.clone()))
            }
            kind::RST_STREAM => {
                ensure!(stream <= self.highest, "of an idle stream");
                lock(&self.outgoing).queue.retain(|(queued, ..)| *queued != stream);
                if let Some(request) = self.requests.remove(&stream) {
                    self.shared.amend(request.number, &request.target, |record| record.is_cut = true);
                }
            }
            kind::WINDOW_UPDATE => {
                let increment = i64::from(frame.number(0)?);
                let mut outgoing = lock(&self.outgoing);
                ensure!(increment > 0, "an increment of nothing");
                if stream == 0 {
                    outgoing.connection += increment;
                } else {
                    let initial = outgoing.initial;
                    *outgoing.windows.entry(stream).or_insert(initial) += increment;
                }
                outgoing.flush();
            }
            kind::DATA => return self.data(frame),
            kind::HEADERS => {
                let flags = frame.flags & flag::END_STREAM;
                return self.block(stream, flags, frame.content()?.to_vec(), frame.has(flag::END_HEADERS));
            }
            kind::CONTINUATION => {
                let (_, flags, before) = self.block.take().context("it continues nothing")?;
                return self.block(
                    stream,
                    flags,
                    [before, frame.payload.clone()].concat(),
                    frame.has(flag::END_HEADERS),
                );
            }
            kind::PUSH_PROMISE => bail!("from a client"),
            _ => {}
        }
        Ok(true)
    }

    fn settle(&self, frame: &Frame) -> Result<()> {
        let mut outgoing = lock(&self.outgoing);
        for (id, value) in frame.pairs()? {
            if id == setting::INITIAL_WINDOW_SIZE {
                let change = i64::from(value) - outgoing.initial;
                outgoing.initial += change;
                outgoing.windows.values_mut().for_each(|window| *window += change);
            }
        }
        let _ = outgoing.stream.write_all(&Frame::new(kind::SETTINGS, flag::ACK, 0, []).octets());
        outgoing.flush();
        Ok(())
    }

    fn data(&mut self, frame: &Frame) -> Result<bool> {
        let stream = frame.stream;
        ensure!(stream <= self.highest && stream % 2 == 1, "of an idle stream");
        let (octets, ends) = (frame.payload.len() as u32, frame.has(flag::END_STREAM));
        let Some(request) = self.requests.get_mut(&stream) else {
            // It was answered or reset, and the client does not know yet.
            return Ok(true);
        };
        ensure!(!request.ended, "behind the end of the stream");
        request.body.extend(frame.content()?);
        // A request that is not read concerns its own stream only.
        let is_read = !request.target.contains("/stall");
        if octets > 0 {
            let mut outgoing = lock(&self.outgoing);
            let _ = outgoing.stream.write_all(&Frame::window_update(0, octets).octets());
            if is_read && !ends {
                let _ = outgoing.stream.write_all(&Frame::window_update(stream, octets).octets());
            }
        }
        if !is_read {
            return Ok(true);
        }
        if ends { self.end(stream, Vec::new()) } else { Ok(true) }
    }

    fn block(&mut self, stream: u32, flags: u8, block: Vec<u8>, is_whole: bool) -> Result<bool> {
        if !is_whole {
            self.block = Some((stream, flags, block));
            return Ok(true);
        }
        let fields = self.decoder.decode(&block)?;
        if stream <= self.highest {
            if self.requests.contains_key(&stream) {
                check_fields(&fields, &[])?;
                ensure!(flags & flag::END_STREAM != 0, "trailers without an end");
                return self.end(stream, fields);
            }
            return Ok(true);
        }
        ensure!(stream % 2 == 1, "stream {stream} of a client");
        self.highest = stream;
        let record = described(fields)?;
        let length = field(&record.fields, "content-length").map(|length| String::from_utf8_lossy(length).parse());
        let Record { method, target, .. } = record.clone();
        let number = self.shared.begin(record);
        let request = Request { number, method, target, length: length.transpose()?, body: Vec::new(), ended: false };
        self.requests.insert(stream, request);
        if flags & flag::END_STREAM != 0 { self.end(stream, Vec::new()) } else { Ok(true) }
    }

    /// The request is whole; whether the connection goes on.
    fn end(&mut self, stream: u32, trailers: Vec<Field>) -> Result<bool> {
        let Some(request) = self.requests.get_mut(&stream) else { return Ok(true) };
        let octets = request.body.len() as u64;
        ensure!(request.length.is_none_or(|length| length == octets), "{octets} of {:?} octets", request.length);
        let body = std::mem::take(&mut request.body);
        request.ended = true;
        self.shared.amend(request.number, &request.target, |record| {
            (record.body, record.trailers, record.is_whole) = (body, trailers, true);
        });
        if request.target.contains("/hold") {
            return Ok(true);
        }
        let Some(Request { method, target, .. }) = self.requests.remove(&stream) else { return Ok(true) };
        if let Some(script) = self.shared.script_for(&target) {
            return Ok(script.play(stream, &mut lock(&self.outgoing).stream));
        }
        let (shared, outgoing) = (Arc::clone(&self.shared), Arc::clone(&self.outgoing));
        let is_slow = target.contains("/slow");
        let answer = move || lock(&outgoing).answer(&shared, stream, &method, &target);
        if is_slow {
            thread::spawn(move || {
                thread::sleep(THOUGHT);
                answer();
            });
        } else {
            answer();
        }
        Ok(true)
    }
}

fn described(mut fields: Vec<Field>) -> Result<Record> {
    check_fields(&fields, &[":method", ":scheme", ":path", ":authority"])?;
    let pseudo = |name: &str| field(&fields, name).map(|value| String::from_utf8_lossy(value).into_owned());
    let (method, target) = (pseudo(":method").context("no :method")?, pseudo(":path").context("no :path")?);
    ensure!(pseudo(":scheme").is_some(), "no :scheme");
    ensure!(target.starts_with('/') || target == "*", ":path {target:?}");
    let authority = pseudo(":authority").or_else(|| pseudo("host")).context("neither :authority nor host")?;
    fields.retain(|(name, _)| !name.starts_with(':'));
    let version = "HTTP/2".to_owned();
    Ok(Record { version, method, target, authority, fields, ..Record::default() })
}
