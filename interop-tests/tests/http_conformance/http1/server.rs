//! Servers of HTTP/1 that break rules: clients never take for whole what is not, nor for theirs what is not, and others
//! are served.

use anyhow::{Result, ensure};
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::Script;
use interop_tests::raw_http::http1::{Client, Fault, Framing};

use super::canary;

crate::tables! { run_cases;
    good_answers;
    bad_heads;
    bad_framing;
    cut_answers;
    answers_too_many;
}

/// What the client gets.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    /// The answer.
    Good,
    /// Something that cannot be taken for the answer.
    Bad,
    /// One or the other.
    Either,
}

/// A row of a table: what the server sends, to a request of that method.
pub(crate) struct Case {
    name: String,
    octets: Vec<u8>,
    expect: Expect,
    method: &'static str,
    ends: bool,
}

impl Case {
    fn new(name: impl Into<String>, expect: Expect, octets: impl AsRef<[u8]>) -> Self {
        Self { name: name.into(), octets: octets.as_ref().to_vec(), expect, method: "GET", ends: false }
    }

    /// The server ends the connection behind it.
    fn ending(mut self) -> Self {
        self.ends = true;
        self
    }

    fn of(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }
}

fn good(name: impl Into<String>, octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, Expect::Good, octets)
}

fn bad(name: impl Into<String>, octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, Expect::Bad, octets)
}

fn either(name: impl Into<String>, octets: impl AsRef<[u8]>) -> Case {
    Case::new(name, Expect::Either, octets)
}

fn run_cases(cases: Vec<Case>) -> Result<()> {
    crate::run_cases(Version::Http1, &cases, |case| &case.name, run_case)
}

fn run_case(front: &Front, case: &Case, target: &str) -> Result<()> {
    let octets = case.octets.clone();
    let script = Script::new(move |_| octets.clone());
    front.server.script(target, if case.ends { script.ending() } else { script });
    let mut client = Client::connect(front.entrance)?;
    client.send(format!("{} {target} HTTP/1.1\r\nHost: test\r\n\r\n", case.method));
    let goes_on = match client.answer(case.method) {
        Ok(answer) => {
            let body = if case.method == "HEAD" { &b""[..] } else { b"body" };
            let is_good = answer.status < 500 && answer.body == body;
            let is_bad = answer.status >= 500;
            ensure!(!is_good || case.expect != Expect::Bad, "it was passed on: {answer:?}");
            ensure!(!is_bad || case.expect != Expect::Good, "it was not passed on: {answer:?}");
            // What ends with the connection may be cut.
            let is_doubtful = answer.framing == Framing::Connection && case.expect != Expect::Good;
            ensure!(is_good || is_bad || is_doubtful, "{answer:?}");
            !answer.is_last()
        }
        Err(error) => {
            let is_cut = matches!(error.downcast_ref(), Some(Fault::Ended));
            ensure!(is_cut && case.expect != Expect::Good, "{error:#}");
            client.expect_end()?;
            false
        }
    };
    // Octets that belong to nothing must not be taken for the next answer, here or elsewhere.
    if goes_on {
        client.send(format!("GET /next{target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let next = client.answer("GET")?;
        ensure!(next.body == format!("/next{target}").as_bytes(), "the next answer is {next:?}");
        client.expect_silence()?;
    }
    canary(front, target)
}

mod cases {
    use super::*;

    pub(super) fn good_answers() -> Vec<Case> {
        vec![
            good("6.2: a length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"),
            good(
                "6.1: chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n",
            ),
            good(
                "7.1.2: trailers",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nSum: 1\r\n\r\n",
            ),
            good("6.3: the end of the connection", "HTTP/1.1 200 OK\r\n\r\nbody").ending(),
            good("6.3: the end of the connection of HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nbody").ending(),
            good("9.3: HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody").ending(),
            good(
                "9.3: HTTP/1.0 that persists",
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody",
            ),
            good("9.6: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody").ending(),
            good(
                "9.6: close, which it does not do",
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
            ),
            good("4: no reason", "HTTP/1.1 200 \r\nContent-Length: 4\r\n\r\nbody"),
            good("4: a reason that is not ASCII", "HTTP/1.1 200 gr\u{fc}n\r\nContent-Length: 4\r\n\r\nbody"),
            good(
                "15.2: early hints",
                "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            ),
            good(
                "15.2: to go on, which nobody has asked",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            ),
            good("5.1: spaces around values", "HTTP/1.1 200 OK\r\nContent-Length:  4\r\nX: a \t\r\nY:\r\n\r\nbody"),
            good(
                "9110, 5.5: a value that is not UTF-8",
                b"HTTP/1.1 200 OK\r\nX: \xff\xe4\r\nContent-Length: 4\r\n\r\nbody",
            ),
            good("6.3: HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").of("HEAD"),
            good("6.3: HEAD with chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").of("HEAD"),
            good(
                "5: a field twice",
                "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 4\r\n\r\nbody",
            ),
        ]
    }

    pub(super) fn bad_heads() -> Vec<Case> {
        let head = |first: &str, more: &str| format!("{first}\r\n{more}Content-Length: 4\r\n\r\nbody");
        let long = "x".repeat(1 << 20);
        let many = (0..20_000).map(|at| format!("X-{at}: 1\r\n")).collect::<String>();
        vec![
            bad("4: no status", head("HTTP/1.1", "")),
            bad("4: a status of two digits", head("HTTP/1.1 20 OK", "")),
            bad("4: a status of four digits", head("HTTP/1.1 2000 OK", "")),
            bad("4: a status of letters", head("HTTP/1.1 abc OK", "")),
            bad("4: status 000", head("HTTP/1.1 000 OK", "")),
            bad("4: another version", head("HTTP/9.9 200 OK", "")),
            bad("4: another protocol", head("ICY 200 OK", "")),
            bad("4: garbage", "\x01\x02\x03\r\n\r\n"),
            bad("4: NUL in the reason", head("HTTP/1.1 200 O\0K", "")),
            either("4: no space behind the status", head("HTTP/1.1 200", "")),
            either("4: an empty line before it", format!("\r\n{}", head("HTTP/1.1 200 OK", ""))),
            either("2.2: bare LF for ends of lines", "HTTP/1.1 200 OK\nContent-Length: 4\n\nbody"),
            either("5.2: a folded value", head("HTTP/1.1 200 OK", "X: a\r\n b\r\n")),
            either("5.1: a space before the colon", head("HTTP/1.1 200 OK", "X : a\r\n")),
            bad("5: a field without a colon", head("HTTP/1.1 200 OK", "X\r\n")),
            bad("5.1: NUL in a name", head("HTTP/1.1 200 OK", "X\0: a\r\n")),
            bad("5.5: NUL in a value", head("HTTP/1.1 200 OK", "X: a\0b\r\n")),
            bad("2.2: a bare CR in a value", head("HTTP/1.1 200 OK", "X: a\rSet-Cookie: b\r\n")),
            bad("5.4: a field of a megabyte", head("HTTP/1.1 200 OK", &format!("X: {long}\r\n"))),
            bad("5.4: twenty thousand fields", head("HTTP/1.1 200 OK", &many)),
            bad("5.4: a megabyte without a line", long),
            bad(
                "9110, 7.8: 101, which nobody has asked for",
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbody",
            )
            .ending(),
        ]
    }

    pub(super) fn bad_framing() -> Vec<Case> {
        let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
        let chunked = |body: &str| ok("Transfer-Encoding: chunked", body);
        vec![
            either(
                "6.3: a length and chunks",
                ok("Content-Length: 4\r\nTransfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"),
            ),
            bad("6.3: two different lengths", ok("Content-Length: 4\r\nContent-Length: 5", "body")).ending(),
            bad("6.3: a list of different lengths", ok("Content-Length: 4, 5", "body")).ending(),
            either("6.3: a length twice", ok("Content-Length: 4\r\nContent-Length: 4", "body")),
            bad("6.2: a length that is none", ok("Content-Length: x", "body")).ending(),
            bad("6.2: a negative length", ok("Content-Length: -4", "body")).ending(),
            bad("6.2: a length with a sign", ok("Content-Length: +4", "body")),
            bad("6.2: a length of 64 bits and more", ok("Content-Length: 18446744073709551620", "body")),
            // Without a known end it ends with the connection.
            either("6.3: an unknown coding", ok("Transfer-Encoding: x", "body")).ending(),
            either("6.3: a coding behind chunked", ok("Transfer-Encoding: chunked, x", "4\r\nbody\r\n0\r\n\r\n"))
                .ending(),
            bad("7.1: a size that is no number", chunked("g\r\nbody\r\n0\r\n\r\n")),
            bad("7.1: a size that is too large for 64 bits", chunked("10000000000000004\r\nbody\r\n0\r\n\r\n")),
            bad("7.1: a negative size", chunked("-4\r\nbody\r\n0\r\n\r\n")),
            bad("7.1: no end of line behind a chunk", chunked("4\r\nbody0\r\n\r\n")),
            bad("7.1: a chunk that is longer than its size", chunked("3\r\nbody\r\n0\r\n\r\n")),
            bad(
                "7.1.1: an extension of a megabyte",
                chunked(&format!("4;{}\r\nbody\r\n0\r\n\r\n", "x".repeat(1 << 20))),
            ),
            bad(
                "7.1.2: trailers of a megabyte",
                chunked(&format!("4\r\nbody\r\n0\r\nX: {}\r\n\r\n", "x".repeat(1 << 20))),
            ),
        ]
    }

    pub(super) fn cut_answers() -> Vec<Case> {
        vec![
            bad("8: nothing", "").ending(),
            bad("8: half a status line", "HTTP/1.1 20").ending(),
            bad("8: half a head", "HTTP/1.1 200 OK\r\nContent-Le").ending(),
            bad("8: a head without its last line", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n").ending(),
            bad("8: no body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").ending(),
            bad("8: half a body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo").ending(),
            bad("8: half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo").ending(),
            bad("8: no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n").ending(),
            bad(
                "8: a last chunk without its last line",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n",
            )
            .ending(),
            bad("15.2: early hints, and no answer", "HTTP/1.1 103 Early Hints\r\n\r\n").ending(),
        ]
    }

    /// What follows an answer, or fills a body that must not be.
    pub(super) fn answers_too_many() -> Vec<Case> {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
        const FALSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse";
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(10_000);
        vec![
            good("9.2: a second answer", format!("{ANSWER}{FALSE}")),
            good("9.2: octets behind the answer", format!("{ANSWER}more")),
            good("9.2: a hundred answers more", format!("{ANSWER}{}", FALSE.repeat(100))),
            good(
                "9.2: a second answer behind chunks",
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n{FALSE}"),
            ),
            good(
                "6.3: a body behind HEAD",
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{FALSE}", FALSE.len()),
            )
            .of("HEAD"),
            either("15.2: ten thousand early hints", format!("{hints}{ANSWER}")),
        ]
    }
}
