//! HTTP/1 (RFC 9112 and 9110).

mod abuse;
mod connections;
mod framing;
mod server;
mod syntax;

use anyhow::{Result, bail, ensure};
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::http1::{Answer, Client, Fault};
use interop_tests::raw_http::{Record, field};

/// What the client has to see.
enum Expect {
    /// An answer with one of these statuses and the end, or just the end.
    Refused(&'static [u16]),
    /// So many answers in their order, with what tells that they are for these requests.
    Answered(usize),
    /// One or the other.
    Either(&'static [u16]),
    /// The same, and the connection ends behind an answer.
    EitherLast(&'static [u16]),
    /// The end without a whole answer.
    Ended,
    /// What the case looks at by itself.
    Own(fn(&mut Client, &str) -> Result<()>),
}

/// What the server behind may have seen.
#[derive(Clone, Copy)]
enum Behind {
    /// Nothing.
    Nothing,
    /// Perhaps the beginning of a request, but not its end.
    NothingWhole,
    /// At most one request, and it is whole or cut.
    AtMostOne,
    /// So many whole requests.
    Exactly(usize),
}

/// A row of a table. In the octets, `{}` stands for a target of its own.
pub(crate) struct Case {
    name: String,
    octets: Vec<u8>,
    expect: Expect,
    behind: Behind,
    method: &'static str,
    record: Option<fn(&Record) -> bool>,
    /// The client ends its direction behind the octets.
    ends: bool,
}

/// Statuses that tell of a bad request.
const BAD: &[u16] = &[400];
const TOO_LARGE: &[u16] = &[400, 413, 414, 431];
const NOT_KNOWN: &[u16] = &[400, 501];

// === impl Case ===

impl Case {
    fn new(name: impl Into<String>, octets: impl AsRef<[u8]>, expect: Expect, behind: Behind) -> Self {
        let octets = octets.as_ref().to_vec();
        Self { name: name.into(), octets, expect, behind, method: "GET", record: None, ends: false }
    }

    fn behind(mut self, behind: Behind) -> Self {
        self.behind = behind;
        self
    }

    /// The method of all its requests, if it is not GET and matters.
    fn of(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// What is true of a whole request behind.
    fn with(mut self, record: fn(&Record) -> bool) -> Self {
        self.record = Some(record);
        self
    }

    /// The client ends its direction.
    fn ending(mut self) -> Self {
        self.ends = true;
        self
    }
}

/// What has to be refused, and nobody behind gets.
fn refused(name: impl Into<String>, statuses: &'static [u16], octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, octets, Expect::Refused(statuses), Behind::Nothing)
}

/// A request that is answered.
fn answered(name: impl Into<String>, octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, octets, Expect::Answered(1), Behind::Exactly(1))
}

/// What may be taken or refused.
fn either(name: impl Into<String>, statuses: &'static [u16], octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, octets, Expect::Either(statuses), Behind::AtMostOne)
}

/// A request that does not come to its end.
fn unfinished(name: impl Into<String>, octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, octets, Expect::Ended, Behind::NothingWhole).ending()
}

/// What is to be looked at more closely.
fn own(name: impl Into<String>, octets: impl AsRef<[u8]>, look: fn(&mut Client, &str) -> Result<()>) -> Case {
    Case::new(name, octets, Expect::Own(look), Behind::Exactly(1))
}

/// Runs the cases of a table, and tells of all that fail.
fn run_cases(cases: Vec<Case>) -> Result<()> {
    crate::run_cases(Version::Http1, &cases, |case| &case.name, run_case)
}

fn run_case(front: &Front, case: &Case, target: &str) -> Result<()> {
    // What has no target is of this case.
    front.server.forget();
    let mut client = Client::connect(front.entrance)?;
    client.send(filled(&case.octets, target));
    if case.ends {
        client.end();
    }
    let seen = check(case, &mut client, target);
    // It comes behind all that the case has led to, and shows that others are served.
    canary(front, target)?;
    seen?;
    let is_concerned = |record: &Record| record.is_about(target) || record.target.contains("/smuggled");
    let records: Vec<_> = front.server.about("").into_iter().filter(is_concerned).collect();
    check_records(case, &records)
}

/// The octets with the target in its places.
fn filled(octets: &[u8], target: &str) -> Vec<u8> {
    let mut filled = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        filled.extend([&rest[..at], target.as_bytes()].concat());
        rest = &rest[at + 2..];
    }
    filled.extend(rest);
    filled
}

/// A request on a connection of its own.
fn canary(front: &Front, target: &str) -> Result<()> {
    let mut client = Client::connect(front.entrance)?;
    client.send(format!("GET /canary{target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let answer = client.answer("GET")?;
    ensure!(answer.status == 200, "another client got {}", answer.status);
    ensure!(answer.body == format!("/canary{target}").as_bytes(), "another client got the wrong answer");
    Ok(())
}

fn check(case: &Case, client: &mut Client, target: &str) -> Result<()> {
    match case.expect {
        Expect::Refused(statuses) => check_refusal(client.answer(case.method), client, target, statuses),
        Expect::Ended => match client.answer(case.method) {
            Ok(answer) if (400..500).contains(&answer.status) => client.expect_end(),
            outcome => check_refusal(outcome, client, target, &[]),
        },
        Expect::Answered(count) => {
            let mut last = false;
            for number in 0..count {
                let answer = client.answer(case.method)?;
                check_answer(&answer, case.method, target)?;
                last = answer.is_last();
                ensure!(!last || number + 1 == count, "the connection ends behind answer {number}");
            }
            check_rest(client, case, target, last)
        }
        Expect::Either(statuses) => match client.answer(case.method) {
            Ok(answer) if answer.status < 400 => {
                check_answer(&answer, case.method, target)?;
                check_rest(client, case, target, answer.is_last())
            }
            outcome => check_refusal(outcome, client, target, statuses),
        },
        Expect::EitherLast(statuses) => match client.answer(case.method) {
            Ok(answer) if answer.status < 400 => {
                check_answer(&answer, case.method, target)?;
                client.expect_end()
            }
            outcome => check_refusal(outcome, client, target, statuses),
        },
        Expect::Own(look) => look(client, target),
    }
}

/// Checks that what came is a refusal with one of these statuses, or the end. Where the refused request has ended is
/// known if the connection goes on: the next one gets its answer.
fn check_refusal(outcome: Result<Answer>, client: &mut Client, target: &str, statuses: &[u16]) -> Result<()> {
    match outcome {
        Ok(answer) => {
            ensure!(statuses.contains(&answer.status), "answered {}, not {statuses:?}", answer.status);
            if answer.is_last() { client.expect_end() } else { check_next(client, target, false) }
        }
        Err(error) => match error.downcast_ref() {
            Some(Fault::Ended) => client.expect_end(),
            _ => Err(error),
        },
    }
}

/// Checks that it is the answer to this case's request.
fn check_answer(answer: &Answer, method: &str, target: &str) -> Result<()> {
    ensure!(answer.status == 200, "answered {}", answer.status);
    let is_own = method == "HEAD" || answer.body.starts_with(target.as_bytes());
    ensure!(is_own, "the wrong answer: {}", answer.body.escape_ascii());
    Ok(())
}

/// Checks that the connection ends, or goes on with the right answer.
fn check_rest(client: &mut Client, case: &Case, target: &str, is_last: bool) -> Result<()> {
    if is_last || case.ends {
        return client.expect_end();
    }
    check_next(client, target, matches!(case.expect, Expect::Answered(_)))
}

/// Checks that a further request gets the answer to it. The connection may have ended, unless it must not.
fn check_next(client: &mut Client, target: &str, must_go_on: bool) -> Result<()> {
    client.send(format!("GET /next{target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    match client.answer("GET") {
        Ok(answer) if answer.body == format!("/next{target}").as_bytes() => client.expect_silence(),
        Ok(answer) => bail!("the next answer is not for the next request: {answer:?}"),
        // Not with half an answer.
        Err(error) => match error.downcast_ref() {
            Some(Fault::Ended) if !must_go_on => client.expect_end(),
            _ => Err(error.context("the next answer")),
        },
    }
}

/// Checks what the server behind got.
fn check_records(case: &Case, records: &[Record]) -> Result<()> {
    for record in records {
        ensure!(record.fault.is_none(), "the server behind got what is malformed: {record:?}");
        ensure!(!record.target.contains("smuggled"), "a request was smuggled: {record:?}");
    }
    let whole: Vec<_> = records.iter().filter(|record| record.is_whole).collect();
    let is_right = match case.behind {
        Behind::Nothing => records.is_empty(),
        Behind::NothingWhole => whole.is_empty(),
        Behind::AtMostOne => records.len() <= 1,
        Behind::Exactly(count) => whole.len() == count,
    };
    ensure!(is_right, "the server behind got {records:?}");
    if let Some(is_right) = case.record {
        ensure!(whole.iter().all(|record| is_right(record)), "the server behind got {whole:?}");
    }
    Ok(())
}

/// The value of a field as text, for comparisons.
fn text<'a>(answer: &'a Answer, name: &str) -> &'a str {
    field(&answer.fields, name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}
