//! HTTP/2 (RFC 9113 and 7541).

mod abuse;
mod frames;
mod hpack;
mod messages;
mod representations;
mod server;
mod starting;
mod streams;
mod windows;

use anyhow::{Context, Result, ensure};
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::Record;
use interop_tests::raw_http::frame::code::{INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR};
use interop_tests::raw_http::http2::{Answer, Client, code_name};

/// What the client has to see.
enum Expect {
    /// GOAWAY with one of these codes and the end, or just the end.
    Connection(&'static [u32]),
    /// RST_STREAM on a stream with one of these codes; or as with a connection error.
    Stream(u32, &'static [u32]),
    /// The same with any code, or an answer that says that the request is bad.
    Malformed(u32),
    /// Answers to requests on these streams.
    Answered(&'static [u32]),
    /// The connection goes on.
    Alive,
    /// An answer on that stream, and the end of the connection without an error.
    AnsweredLast(u32),
    /// What the case itself has waited for.
    NothingMore,
    /// Anything that tells the client where it is: an answer, a reset or the end.
    Either(u32),
}

/// What the server behind may have seen.
#[derive(Clone, Copy, PartialEq)]
enum Behind {
    /// Nothing.
    Nothing,
    /// Perhaps the beginning of a request, but not its end.
    NothingWhole,
    /// At most one request.
    AtMostOne,
    /// So many whole requests.
    Exactly(usize),
    /// Any requests, as long as they are well-formed.
    Any,
}

/// What the client does.
type Act = Box<dyn for<'a> Fn(&'a mut Client) -> &'a mut Client>;

/// A row of a table.
pub(crate) struct Case {
    name: String,
    act: Act,
    expect: Expect,
    behind: Behind,
    /// What is true of the request that the server behind got.
    record: Option<fn(&Record) -> bool>,
    /// The client begins as it should, before it acts.
    greets: bool,
}

impl Case {
    fn new(
        name: impl Into<String>,
        expect: Expect,
        behind: Behind,
        act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static,
    ) -> Self {
        Self { name: name.into(), act: Box::new(act), expect, behind, record: None, greets: true }
    }

    /// The client does all by itself.
    fn bare(mut self) -> Self {
        self.greets = false;
        self
    }

    /// What the server behind may have seen.
    fn behind(mut self, behind: Behind) -> Self {
        self.behind = behind;
        self
    }

    /// Requests on these streams are answered.
    fn expecting(mut self, streams: &'static [u32]) -> Self {
        (self.expect, self.behind) = (Expect::Answered(streams), Behind::Exactly(streams.len()));
        self
    }

    /// The connection ends behind the answer.
    fn expecting_end(mut self) -> Self {
        self.expect = Expect::AnsweredLast(1);
        self
    }

    /// It is up to the case to see what has to be seen.
    fn expecting_nothing_more(mut self) -> Self {
        self.expect = Expect::NothingMore;
        self
    }

    /// The request is on that stream.
    fn of_stream(mut self, stream: u32) -> Self {
        self.expect = Expect::Malformed(stream);
        self
    }

    /// Whether it is of a malformed request.
    fn is_refused(&self) -> bool {
        matches!(self.expect, Expect::Malformed(_))
    }

    /// What is true of a whole request behind.
    fn with(mut self, record: fn(&Record) -> bool) -> Self {
        self.record = Some(record);
        self
    }
}

/// An error of the connection.
fn connection(
    name: impl Into<String>,
    codes: &'static [u32],
    act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static,
) -> Case {
    Case::new(name, Expect::Connection(codes), Behind::AtMostOne, act)
}

/// An error of stream 1.
fn stream(
    name: impl Into<String>,
    codes: &'static [u32],
    act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static,
) -> Case {
    Case::new(name, Expect::Stream(1, codes), Behind::AtMostOne, act)
}

/// A malformed request on stream 1, which nobody behind gets.
fn malformed(name: impl Into<String>, act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static) -> Case {
    Case::new(name, Expect::Malformed(1), Behind::Nothing, act)
}

/// A request on stream 1 that is answered.
fn answered(name: impl Into<String>, act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static) -> Case {
    Case::new(name, Expect::Answered(&[1]), Behind::Exactly(1), act)
}

/// What the connection survives.
fn alive(name: impl Into<String>, act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static) -> Case {
    Case::new(name, Expect::Alive, Behind::Any, act)
}

/// What may be taken or refused, on stream 1.
fn either(name: impl Into<String>, act: impl for<'a> Fn(&'a mut Client) -> &'a mut Client + 'static) -> Case {
    Case::new(name, Expect::Either(1), Behind::AtMostOne, act)
}

/// Runs the cases of a table, and tells of all that fail.
fn run_cases(cases: Vec<Case>) -> Result<()> {
    crate::run_cases(Version::Http2, &cases, |case| &case.name, run_case)
}

fn run_case(front: &Front, case: &Case, target: &str) -> Result<()> {
    // What has no target is of this case.
    front.server.forget();
    let mut client = Client::connect(front.entrance, target)?;
    if case.greets {
        client.handshake().outcome().context("handshake")?;
    }
    (case.act)(&mut client);
    let seen = check(case, &mut client);
    // It comes behind all that the case has led to, and shows that others are served.
    canary(front, target)?;
    seen?;
    check_records(case, &front.server.about(target))
}

/// A request on a connection of its own.
fn canary(front: &Front, target: &str) -> Result<()> {
    let target = format!("/canary{target}");
    let mut canary = Client::connect(front.entrance, &target)?;
    canary.handshake().get(1).answer(1).outcome().context("another client")?;
    ensure!(canary.answers[&1].body == target.as_bytes(), "another client got the wrong answer");
    Ok(())
}

/// Waits for what has to be seen.
fn check(case: &Case, client: &mut Client) -> Result<()> {
    match case.expect {
        Expect::Connection(codes) => {
            client.until(&names(codes), |client| client.goaway.is_some() || client.closed).outcome()?;
            check_end(client, codes)
        }
        Expect::Stream(stream, codes) => {
            let is_told = |client: &Client| client.resets.contains_key(&stream) || has_ended(client);
            client.until(&names(codes), is_told).outcome()?;
            check_reset(client, stream, codes)
        }
        Expect::Malformed(stream) => {
            let is_told = |client: &Client| has_ended(client) || is_told(client, stream);
            client.until("that the request is malformed", is_told).outcome()?;
            match client.answers.get(&stream) {
                Some(Answer { status, .. }) => {
                    ensure!((400..500).contains(status) || *status == 501, "answered {status}")
                }
                None => check_reset(client, stream, &[])?,
            }
            Ok(())
        }
        Expect::Answered(streams) => {
            streams.iter().try_for_each(|stream| check_answer(client, *stream))?;
            client.ping().outcome()
        }
        Expect::AnsweredLast(stream) => {
            check_answer(client, stream)?;
            check_end(client, &[NO_ERROR])
        }
        Expect::NothingMore => client.outcome(),
        Expect::Alive => client.ping().outcome(),
        Expect::Either(stream) => {
            let is_told = |client: &Client| has_ended(client) || is_told(client, stream);
            client.until("an answer or a refusal", is_told).outcome()
        }
    }
}

fn check_answer(client: &mut Client, stream: u32) -> Result<()> {
    client.answer(stream).outcome()?;
    let answer = &client.answers[&stream];
    let is_right = answer.status == 200 && is_body(client, &answer.body);
    ensure!(is_right, "{} {}", answer.status, answer.body.escape_ascii());
    Ok(())
}

/// Whether the server has said something of a stream.
fn is_told(client: &Client, stream: u32) -> bool {
    client.resets.contains_key(&stream) || client.is_answered(stream)
}

fn has_ended(client: &Client) -> bool {
    client.goaway.is_some() || client.closed
}

/// What the recording server says: the target, or octets that tell their place.
fn is_body(client: &Client, body: &[u8]) -> bool {
    body.starts_with(client.target().as_bytes())
        || body.iter().enumerate().all(|(at, octet)| *octet as usize == at % 251)
}

/// Whether it is one of these codes, or a general one, which can always be used in place of another (RFC 9113, 5.4). No
/// codes mean any.
fn is_one_of(code: u32, codes: &[u32]) -> bool {
    codes.is_empty() || codes.contains(&code) || [PROTOCOL_ERROR, INTERNAL_ERROR].contains(&code)
}

/// Checks how the connection was ended.
fn check_end(client: &mut Client, codes: &[u32]) -> Result<()> {
    if let Some(code) = client.goaway {
        ensure!(is_one_of(code, codes), "GOAWAY {} is not {}", code_name(code), names(codes));
    }
    client.until("the end of the connection", |client| client.closed).outcome()
}

fn check_reset(client: &mut Client, stream: u32, codes: &[u32]) -> Result<()> {
    match client.resets.get(&stream) {
        None => check_end(client, codes),
        Some(code) => {
            ensure!(is_one_of(*code, codes), "RST_STREAM {} is not {}", code_name(*code), names(codes));
            // Others on this connection are not concerned.
            if client.closed { Ok(()) } else { client.ping().outcome().or_else(|_| check_end(client, codes)) }
        }
    }
}

fn names(codes: &[u32]) -> String {
    codes.iter().map(|code| code_name(*code)).collect::<Vec<_>>().join(" or ")
}

/// Checks what the server behind got.
fn check_records(case: &Case, records: &[Record]) -> Result<()> {
    for record in records {
        ensure!(record.fault.is_none(), "the server behind got what is malformed: {record:?}");
    }
    let whole: Vec<_> = records.iter().filter(|record| record.is_whole).collect();
    let is_right = match case.behind {
        Behind::Nothing => records.is_empty(),
        Behind::NothingWhole => whole.is_empty(),
        Behind::AtMostOne => records.len() <= 1,
        Behind::Exactly(count) => whole.len() == count,
        Behind::Any => true,
    };
    ensure!(is_right, "the server behind got {records:?}");
    if let Some(is_right) = case.record {
        ensure!(whole.iter().all(|record| is_right(record)), "the server behind got {whole:?}");
    }
    Ok(())
}
