//! A client of HTTP/2 that sends what it is told, and checks all that it gets.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::{Context, Error, Result, bail, ensure};

use super::frame::{Frame, PREFACE, code, flag, is_waiting, kind, setting};
use super::hpack::{self, Decoder};
use super::{Field, LIMIT, field, is_field_value, is_token};

/// The longest frame, the first window and the size of the table, unless something else is agreed on.
const FRAME: usize = 16_384;
const WINDOW: i64 = 65_535;
const TABLE: u32 = 4096;

/// What a server has answered on a stream.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status; zero before it has come.
    pub status: u16,
    /// Statuses of answers before the final one.
    pub interim: Vec<u16>,
    /// Its fields, without the status.
    pub fields: Vec<Field>,
    /// Its body.
    pub body: Vec<u8>,
    /// The fields behind the body.
    pub trailers: Vec<Field>,
    /// It is complete.
    pub ended: bool,
}

/// A connection of a client.
pub struct Client {
    stream: TcpStream,
    frames: Receiver<Result<Option<Frame>>>,
    /// The target of its requests, by which they are known again.
    target: String,
    decoder: Decoder,
    /// A frame has come.
    greeted: bool,
    /// A block of fields that has not ended: its stream, the flags of its first frame, what came.
    block: Option<(u32, u8, Vec<u8>)>,
    /// Answers by stream.
    pub answers: BTreeMap<u32, Answer>,
    /// Streams that the server has reset, and how.
    pub resets: BTreeMap<u32, u32>,
    /// The code of a GOAWAY.
    pub goaway: Option<u32>,
    /// The connection has ended.
    pub closed: bool,
    /// What answers to PING had in them.
    pub pongs: Vec<Vec<u8>>,
    /// The server's settings.
    pub settings: BTreeMap<u16, u32>,
    /// How many of our settings the server has confirmed.
    pub confirmed: usize,
    /// Settings of ours that it has not confirmed.
    told: Vec<Vec<(u16, u32)>>,
    /// What the server may send: on the connection, on a new stream, on streams.
    receive: Credit,
    /// What we may send.
    send: Credit,
    /// Octets that came are allowed again.
    returns_credit: bool,
    /// A write did not get through in time.
    pub blocked: bool,
    failure: Option<Error>,
}

/// Windows of one direction.
#[derive(Debug)]
struct Credit {
    connection: i64,
    initial: i64,
    streams: BTreeMap<u32, i64>,
}

// === impl Credit ===

impl Default for Credit {
    fn default() -> Self {
        Self { connection: WINDOW, initial: WINDOW, streams: BTreeMap::new() }
    }
}

impl Credit {
    fn stream(&mut self, stream: u32) -> &mut i64 {
        self.streams.entry(stream).or_insert(self.initial)
    }

    fn resize(&mut self, initial: u32) {
        let change = i64::from(initial) - self.initial;
        self.initial += change;
        self.streams.values_mut().for_each(|window| *window += change);
    }

    fn update(&mut self, stream: u32, change: i64) {
        if stream == 0 { self.connection += change } else { *self.stream(stream) += change }
    }
}

// === impl Client ===

impl Client {
    /// Connects, and says nothing. Requests have that target.
    pub fn connect(address: SocketAddr, target: &str) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
        let (sender, frames) = mpsc::channel();
        let mut reader = BufReader::with_capacity(65_536, stream.try_clone()?);
        // It ends with the connection, which ends with the client.
        thread::spawn(move || {
            loop {
                let frame = Frame::read(&mut reader, FRAME);
                let goes_on = matches!(frame, Ok(Some(_)));
                if sender.send(frame).is_err() || !goes_on {
                    break;
                }
            }
        });
        Ok(Self {
            stream,
            frames,
            target: target.to_owned(),
            decoder: Decoder::new(TABLE),
            greeted: false,
            block: None,
            answers: BTreeMap::new(),
            resets: BTreeMap::new(),
            goaway: None,
            closed: false,
            pongs: Vec::new(),
            settings: BTreeMap::new(),
            confirmed: 0,
            told: Vec::new(),
            receive: Credit::default(),
            send: Credit::default(),
            returns_credit: true,
            blocked: false,
            failure: None,
        })
    }

    /// The target of requests.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Sends preface and settings, and waits for those of the server and until it confirms ours.
    pub fn handshake(&mut self) -> &mut Self {
        self.handshake_with(&[])
    }

    /// The same with settings.
    pub fn handshake_with(&mut self, settings: &[(u16, u32)]) -> &mut Self {
        self.raw(PREFACE).settings(settings).until("the settings of the server", |client| client.confirmed > 0)
    }

    /// Sends octets. Failures show in what comes back.
    pub fn raw(&mut self, octets: &[u8]) -> &mut Self {
        if let Err(error) = self.stream.write_all(octets) {
            self.blocked |= is_waiting(&error);
        }
        self
    }

    /// Sends octets one by one.
    pub fn slowly(&mut self, octets: &[u8]) -> &mut Self {
        octets.chunks(1).fold(self, |client, octet| client.raw(octet))
    }

    /// Sends a frame of any kind.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> &mut Self {
        self.send(&Frame::new(kind, flags, stream, payload))
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> &mut Self {
        self.raw(&frame.octets())
    }

    /// Sends settings.
    pub fn settings(&mut self, settings: &[(u16, u32)]) -> &mut Self {
        self.told.push(settings.to_vec());
        self.send(&Frame::settings(settings))
    }

    /// Sends a block of fields in one frame.
    pub fn headers(&mut self, stream: u32, flags: u8, block: impl Into<Vec<u8>>) -> &mut Self {
        self.frame(kind::HEADERS, flags, stream, block)
    }

    /// Sends fields in one frame. In a `:path`, `@` stands for the target.
    pub fn fields(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> &mut Self {
        let block = self.block(fields);
        self.headers(stream, flags, block)
    }

    /// A block of such fields.
    pub fn block(&self, fields: &[(&str, &str)]) -> Vec<u8> {
        let value = |(name, value): &(&str, &str)| match *name {
            ":path" => value.replace('@', &self.target),
            _ => (*value).to_owned(),
        };
        hpack::block(fields.iter().map(|pair| (pair.0, value(pair))))
    }

    /// A block of a request with further fields.
    pub fn request_block(&self, method: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let path = [(":method", method), (":scheme", "http"), (":path", "@"), (":authority", "test")];
        self.block(&[&path[..], more].concat())
    }

    /// Sends the head of a request with further fields.
    pub fn request(&mut self, stream: u32, flags: u8, method: &str, more: &[(&str, &str)]) -> &mut Self {
        let block = self.request_block(method, more);
        self.headers(stream, flags, block)
    }

    /// The same with something behind the target.
    pub fn request_at(&mut self, stream: u32, flags: u8, method: &str, behind: &str) -> &mut Self {
        let path = format!("@{behind}");
        self.fields(
            stream,
            flags,
            &[(":method", method), (":scheme", "http"), (":path", &path), (":authority", "test")],
        )
    }

    /// Sends a request without a body.
    pub fn get(&mut self, stream: u32) -> &mut Self {
        self.request(stream, flag::END, "GET", &[])
    }

    /// Sends the head of a request that has a body.
    pub fn post(&mut self, stream: u32) -> &mut Self {
        self.request(stream, flag::END_HEADERS, "POST", &[])
    }

    /// Sends a part of a body, whether the server allows it or not.
    pub fn data(&mut self, stream: u32, flags: u8, payload: impl Into<Vec<u8>>) -> &mut Self {
        self.frame(kind::DATA, flags, stream, payload)
    }

    /// Sends a body as the server allows it, and its end.
    pub fn body(&mut self, stream: u32, octets: &[u8]) -> &mut Self {
        let chunks = octets.chunks(FRAME).map(|chunk| Frame::new(kind::DATA, 0, stream, chunk));
        let end = Frame::new(kind::DATA, flag::END_STREAM, stream, []);
        chunks.chain([end]).fold(self, |client, frame| client.allowed(&frame))
    }

    /// Sends DATA once the server allows it.
    pub fn allowed(&mut self, frame: &Frame) -> &mut Self {
        let (stream, octets) = (frame.stream, frame.payload.len() as i64);
        let what = format!("a window for {octets} octets on stream {stream}");
        self.until(&what, |client| client.room(stream) >= octets);
        self.send.update(0, -octets);
        self.send.update(stream, -octets);
        self.send(frame)
    }

    /// How many octets the server allows on a stream.
    pub fn room(&self, stream: u32) -> i64 {
        let window = self.send.streams.get(&stream).copied().unwrap_or(self.send.initial);
        window.min(self.send.connection)
    }

    /// Ends a stream.
    pub fn reset(&mut self, stream: u32, code: u32) -> &mut Self {
        self.send(&Frame::reset(stream, code))
    }

    /// Sends PING, and waits for the answer.
    pub fn ping(&mut self) -> &mut Self {
        let payload = [b"ping".to_vec(), u32::to_be_bytes(self.pongs.len() as u32).to_vec()].concat();
        self.frame(kind::PING, 0, 0, payload.clone())
            .until("an answer to PING", |client| client.pongs.contains(&payload))
    }

    /// Allows the server so many octets more.
    pub fn allow(&mut self, stream: u32, increment: u32) -> &mut Self {
        self.receive.update(stream, increment.into());
        self.send(&Frame::window_update(stream, increment))
    }

    /// Does no longer allow the server to send as much as has come.
    pub fn keep_credit(&mut self) -> &mut Self {
        self.returns_credit = false;
        self
    }

    /// Waits for a whole answer.
    pub fn answer(&mut self, stream: u32) -> &mut Self {
        self.until(&format!("an answer on stream {stream}"), |client| client.is_answered(stream))
    }

    /// Whether there is a whole answer.
    pub fn is_answered(&self, stream: u32) -> bool {
        self.answers.get(&stream).is_some_and(|answer| answer.ended)
    }

    /// Waits for what is to happen. A failure before is kept, and nothing is waited for behind it.
    pub fn until(&mut self, what: &str, happened: impl Fn(&Self) -> bool) -> &mut Self {
        if self.failure.is_none()
            && let Err(error) = self.wait(happened)
        {
            let seen = self.seen();
            self.failure = Some(error.context(format!("waiting for {what}, after {seen}")));
        }
        self
    }

    fn wait(&mut self, happened: impl Fn(&Self) -> bool) -> Result<()> {
        while !happened(self) {
            ensure!(!self.closed, "the connection has ended");
            match self.frames.recv_timeout(LIMIT).context("nothing comes")?? {
                Some(frame) => self.take(&frame).with_context(|| format!("{frame:?}"))?,
                None => self.closed = true,
            }
        }
        Ok(())
    }

    /// Handles what has come up to now.
    pub fn catch_up(&mut self) {
        while let Ok(Ok(Some(frame))) = self.frames.try_recv() {
            if let Err(error) = self.take(&frame) {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// The first failure.
    pub fn outcome(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// What has come up to now, in short.
    pub fn seen(&self) -> String {
        let answers = self.answers.iter().map(|(stream, answer)| {
            let end = if answer.ended { "" } else { ", not ended" };
            format!("{} on {stream}{end}", answer.status)
        });
        let resets = self.resets.iter().map(|(stream, code)| format!("RST_STREAM {code} on {stream}"));
        let goaway = self.goaway.map(|code| format!("GOAWAY {code}"));
        let end = self.closed.then(|| "the end".to_owned());
        let all: Vec<_> = answers.chain(resets).take(10).chain(goaway).chain(end).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    }

    /// Ends our direction.
    pub fn end(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    fn take(&mut self, frame: &Frame) -> Result<()> {
        if let Some((stream, ..)) = self.block {
            ensure!(frame.kind == kind::CONTINUATION && frame.stream == stream, "within a block of fields");
        }
        ensure!(self.greeted || matches!(frame.kind, kind::SETTINGS | kind::GOAWAY), "before the settings");
        self.greeted = true;
        let stream = frame.stream;
        match frame.kind {
            kind::SETTINGS if frame.has(flag::ACK) => self.confirm(),
            kind::SETTINGS => self.settle(&frame.pairs()?),
            kind::PING if frame.has(flag::ACK) => self.pongs.push(frame.payload.clone()),
            kind::PING => {
                self.frame(kind::PING, flag::ACK, 0, frame.payload.clone());
            }
            kind::GOAWAY => self.goaway = Some(frame.number(4)?),
            kind::RST_STREAM => {
                self.resets.insert(stream, frame.number(0)?);
            }
            kind::WINDOW_UPDATE => self.send.update(stream, frame.number(0)?.into()),
            kind::DATA => self.data_came(frame)?,
            kind::HEADERS => {
                let flags = frame.flags & flag::END_STREAM;
                self.block_came(stream, flags, frame.content()?.to_vec(), frame.has(flag::END_HEADERS))?;
            }
            kind::CONTINUATION => {
                let (stream, flags, before) = self.block.take().context("it continues nothing")?;
                let block = [before, frame.payload.clone()].concat();
                self.block_came(stream, flags, block, frame.has(flag::END_HEADERS))?;
            }
            kind::PUSH_PROMISE => bail!("nobody allowed it to push"),
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, settings: &[(u16, u32)]) {
        for (id, value) in settings {
            self.settings.insert(*id, *value);
            if *id == setting::INITIAL_WINDOW_SIZE {
                self.send.resize(*value);
            }
        }
        self.frame(kind::SETTINGS, flag::ACK, 0, []);
    }

    fn confirm(&mut self) {
        self.confirmed += 1;
        if self.told.is_empty() {
            return;
        }
        for (id, value) in self.told.remove(0) {
            match id {
                setting::INITIAL_WINDOW_SIZE => self.receive.resize(value),
                setting::HEADER_TABLE_SIZE => self.decoder.allow(value),
                _ => {}
            }
        }
    }

    fn data_came(&mut self, frame: &Frame) -> Result<()> {
        let (stream, octets) = (frame.stream, frame.payload.len());
        self.receive.update(0, -(octets as i64));
        self.receive.update(stream, -(octets as i64));
        ensure!(self.receive.connection >= 0 && *self.receive.stream(stream) >= 0, "more than is allowed");
        if self.returns_credit && octets > 0 {
            [0, stream].into_iter().for_each(|stream| {
                self.allow(stream, octets as u32);
            });
        }
        let answer =
            self.answers.get_mut(&stream).filter(|answer| answer.status > 0).context("a body before its head")?;
        ensure!(!answer.ended, "an answer goes on behind its end");
        answer.body.extend(frame.content()?);
        answer.ended = frame.has(flag::END_STREAM);
        Ok(())
    }

    fn block_came(&mut self, stream: u32, flags: u8, block: Vec<u8>, is_whole: bool) -> Result<()> {
        if !is_whole {
            self.block = Some((stream, flags, block));
            return Ok(());
        }
        let mut fields = self.decoder.decode(&block)?;
        let answer = self.answers.entry(stream).or_default();
        ensure!(!answer.ended, "an answer goes on behind its end");
        if answer.status > 0 {
            check_fields(&fields, &[])?;
            answer.trailers = fields;
            ensure!(flags & flag::END_STREAM != 0, "trailers without an end");
        } else {
            check_fields(&fields, &[":status"])?;
            let status = field(&fields, ":status").context("no status")?;
            let status: u16 = std::str::from_utf8(status)?.parse()?;
            fields.remove(0);
            if status < 200 {
                ensure!(status != 101 && flags & flag::END_STREAM == 0, "{status}");
                answer.interim.push(status);
            } else {
                (answer.status, answer.fields) = (status, fields);
            }
        }
        answer.ended = flags & flag::END_STREAM != 0;
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Checks the fields of a message, which has to have each of these pseudo fields once, before the others.
pub fn check_fields(fields: &[Field], pseudo: &[&str]) -> Result<()> {
    let count = fields.iter().take_while(|(name, _)| name.starts_with(':')).count();
    let (before, others) = fields.split_at(count);
    for (at, (name, _)) in before.iter().enumerate() {
        ensure!(pseudo.contains(&name.as_str()), "a field {name}");
        ensure!(before[..at].iter().all(|(known, _)| known != name), "{name} comes twice");
    }
    for (name, value) in others {
        let is_lower = !name.bytes().any(|octet| octet.is_ascii_uppercase());
        ensure!(is_token(name.as_bytes()) && is_lower, "a field {name:?}");
        let of_connection = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
        ensure!(!of_connection.contains(&name.as_str()), "a field {name}");
        ensure!(name != "te" || value == b"trailers", "te: {}", value.escape_ascii());
    }
    for (name, value) in fields {
        ensure!(is_field_value(value), "{name}: {}", value.escape_ascii());
    }
    Ok(())
}

/// The name of a code.
pub fn code_name(number: u32) -> String {
    let names = [
        (code::NO_ERROR, "NO_ERROR"),
        (code::PROTOCOL_ERROR, "PROTOCOL_ERROR"),
        (code::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (code::FLOW_CONTROL_ERROR, "FLOW_CONTROL_ERROR"),
        (code::STREAM_CLOSED, "STREAM_CLOSED"),
        (code::FRAME_SIZE_ERROR, "FRAME_SIZE_ERROR"),
        (code::REFUSED_STREAM, "REFUSED_STREAM"),
        (code::CANCEL, "CANCEL"),
        (code::COMPRESSION_ERROR, "COMPRESSION_ERROR"),
        (code::ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
    ];
    names.iter().find(|(known, _)| *known == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
