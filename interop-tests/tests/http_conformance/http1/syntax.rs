//! RFC 9112, sections 2, 3 and 5, and RFC 9110: request lines, targets, hosts and fields.

use super::{BAD, Behind, Case, TOO_LARGE, answered, either, own, refused, run_cases, unfinished};
use anyhow::{Result, ensure};
use interop_tests::raw_http::http1::Client;

crate::tables! { run_cases;
    request_lines;
    versions;
    methods;
    targets;
    hosts;
    fields;
    lines;
    sizes;
}

/// A request with such a line among its fields.
fn with(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET {} HTTP/1.1\r\nHost: test\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

/// A request with such a first line.
fn line(first: &str) -> String {
    format!("{first}\r\nHost: test\r\n\r\n")
}

mod cases {
    use super::*;

    pub(super) fn request_lines() -> Vec<Case> {
        vec![
            answered("3: a request", line("GET {} HTTP/1.1")).with(|record| record.authority == "test"),
            answered("2.2: an empty line before a request", "\r\nGET {} HTTP/1.1\r\nHost: test\r\n\r\n"),
            refused("3: nothing but a method", BAD, line("GET")),
            refused("3: no version", BAD, line("GET {}")),
            refused("3: no target", BAD, line("GET HTTP/1.1")),
            refused("3: no method", BAD, line(" {} HTTP/1.1")),
            refused("3: a fourth word", BAD, line("GET {} HTTP/1.1 x")),
            refused("3: a space in the target", BAD, line("GET {}/a b HTTP/1.1")),
            either("3: two spaces", BAD, line("GET  {} HTTP/1.1")),
            either("3: tabs for spaces", BAD, line("GET\t{}\tHTTP/1.1")),
            either("3: a space at the end", BAD, line("GET {} HTTP/1.1 ")),
            refused("2.2: a space before the method", BAD, line("  GET {} HTTP/1.1")),
            refused("3: a bare CR in the line", BAD, line("GET {}\rx HTTP/1.1")),
            refused("3: NUL in the target", BAD, line("GET {}\0 HTTP/1.1")),
            refused("3: DEL in the target", BAD, line("GET {}\x7f HTTP/1.1")),
            either("3.2: a target that is not ASCII", BAD, line("GET {}/\u{e4} HTTP/1.1")),
            refused("3.2: a target that is not UTF-8", BAD, b"GET {}/\xff HTTP/1.1\r\nHost: test\r\n\r\n"),
            refused("2: garbage", BAD, "\x01\x02\x03\x04\r\n\r\n"),
            refused("2: a TLS client", BAD, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n\r\n"),
            unfinished("2: half a request line", "GET {} HT"),
            unfinished("2: half a head", "GET {} HTTP/1.1\r\nHost: te"),
            unfinished("2: a head without its last line", "GET {} HTTP/1.1\r\nHost: test\r\n"),
        ]
    }

    pub(super) fn versions() -> Vec<Case> {
        const VERSION: &[u16] = &[400, 426, 505];
        vec![
            refused("2.3: HTTP/9.9", VERSION, line("GET {} HTTP/9.9")),
            refused("2.3: HTTP/2.0", VERSION, line("GET {} HTTP/2.0")),
            refused("2.3: HTTP/0.9", VERSION, line("GET {} HTTP/0.9")),
            refused("2.3: the preface of HTTP/2", VERSION, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
            either("2.3: HTTP/1.2", VERSION, line("GET {} HTTP/1.2")),
            refused("2.3: a version in lower case", VERSION, line("GET {} http/1.1")),
            refused("2.3: a version without a number", VERSION, line("GET {} HTTP/")),
            refused("2.3: a version of two digits", VERSION, line("GET {} HTTP/1.10")),
            refused("2.3: HTTP/11", VERSION, line("GET {} HTTP/11")),
            refused("2.3: another protocol", VERSION, line("GET {} ICY/1.1")),
            refused("2.3: a simple request", VERSION, "GET {}\r\n"),
        ]
    }

    pub(super) fn methods() -> Vec<Case> {
        let passed = ["PUT", "DELETE", "PATCH", "PROPFIND", "get", "M-SEARCH", "X!#$%&'*+.^_`|~1"];
        let passed = passed.into_iter().map(|method| {
            answered(format!("9110, 9.1: {method} is passed on"), line(&format!("{method} {{}} HTTP/1.1")))
        });
        let others = [
            answered("9110, 9.3.2: HEAD", line("HEAD {} HTTP/1.1")).of("HEAD").with(|record| record.method == "HEAD"),
            refused("9110, 9.1: a method with a parenthesis", BAD, line("G(T {} HTTP/1.1")),
            refused("9110, 9.1: a method with a colon", BAD, line("GET: {} HTTP/1.1")),
            refused("9110, 9.1: a method that is not ASCII", BAD, line("G\u{c4}T {} HTTP/1.1")),
            refused(
                "9110, 9.3.6: CONNECT leads nowhere",
                &[400, 403, 404, 405, 501],
                "CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n",
            ),
            either(
                "9110, 9.1: a method of ten thousand letters",
                &[400, 405, 414, 431, 501],
                line(&format!("{} {{}} HTTP/1.1", "X".repeat(10_000))),
            ),
            either("9110, 9.3.8: TRACE", &[400, 405, 501], line("TRACE {} HTTP/1.1")),
        ];
        passed.chain(others).collect()
    }

    /// The server behind gets the authority of the target, and no other.
    fn absolute(client: &mut Client, target: &str) -> Result<()> {
        let answer = client.answer("GET")?;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200 && said.contains(target), "{} {said}", answer.status);
        Ok(())
    }

    pub(super) fn targets() -> Vec<Case> {
        vec![
            answered("3.2.1: a query", line("GET {}?a=b&c=%20&d=%00 HTTP/1.1"))
                .with(|record| record.target.ends_with("?a=b&c=%20&d=%00")),
            answered("3986: dots and slashes are left alone", line("GET {}/../a//b/%2e%2e/%2F HTTP/1.1"))
                .with(|record| record.target.ends_with("/../a//b/%2e%2e/%2F")),
            answered("3986: every character of paths", line("GET {}/-._~!$&'()*+,;=:%41@ HTTP/1.1"))
                .with(|record| record.target.ends_with("/-._~!$&'()*+,;=:%41@")),
            own("3.2.2: a whole URI", "GET http://test{} HTTP/1.1\r\nHost: test\r\n\r\n", absolute)
                .with(|record| record.authority == "test"),
            own(
                "3.2.2: a whole URI counts more than Host",
                "GET http://test{} HTTP/1.1\r\nHost: other\r\n\r\n",
                absolute,
            )
            .with(|record| record.authority == "test"),
            either("3.2: a fragment", BAD, line("GET {}#part HTTP/1.1")),
            either("3986: characters of no URI", BAD, line("GET {}/<>\"{|}\\^` HTTP/1.1")),
            refused("3.2: a target without a slash", BAD, line("GET x{} HTTP/1.1")),
            refused("3.2.3: an authority for GET", BAD, line("GET test:80 HTTP/1.1")),
            refused("3.2.4: a star for GET", BAD, line("GET * HTTP/1.1")),
            Case::new(
                "3.2.4: a star for OPTIONS",
                line("OPTIONS * HTTP/1.1"),
                super::super::Expect::Own(star),
                Behind::Nothing,
            ),
        ]
    }

    fn star(client: &mut Client, _: &str) -> Result<()> {
        let answer = client.answer("OPTIONS")?;
        ensure!(answer.status < 300 || answer.status == 405 || answer.status == 501, "answered {}", answer.status);
        Ok(())
    }

    pub(super) fn hosts() -> Vec<Case> {
        let hosts = |lines: &str| format!("GET {{}} HTTP/1.1\r\n{lines}\r\n");
        let wrong =
            ["a b", "a/b", "user@test", "test:port", "[::1", "a, b", "a\\b", "test?x", "test#x", "<test>", "te\tst"];
        let wrong = wrong
            .into_iter()
            .map(|host| refused(format!("3.2: Host {host:?}"), BAD, hosts(&format!("Host: {host}\r\n"))));
        let right = ["test:8080", "127.0.0.1", "[::1]:80", "xn--bcher-kva.example", "TEST"];
        let right =
            right.into_iter().map(|host| answered(format!("3.2: Host {host:?}"), hosts(&format!("Host: {host}\r\n"))));
        let others = [
            refused("3.2: no Host", BAD, hosts("")),
            refused("3.2: no Host, but a whole URI", BAD, "GET http://test{} HTTP/1.1\r\n\r\n"),
            refused("3.2: two different Hosts", BAD, hosts("Host: test\r\nHost: other\r\n")),
            refused("3.2: Host twice", BAD, hosts("Host: test\r\nHost: test\r\n")),
            refused("3.2: Host twice, in different cases", BAD, hosts("Host: test\r\nhOST: other\r\n")),
            either("3.2: an empty Host", BAD, hosts("Host:\r\n")),
            answered("3.2: HTTP/1.0 without Host", "GET {} HTTP/1.0\r\n\r\n"),
            refused("3.2: HTTP/1.0 with two Hosts", BAD, "GET {} HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        ];
        wrong.chain(right).chain(others).collect()
    }

    pub(super) fn fields() -> Vec<Case> {
        vec![
            answered(
                "5: fields in their order, and some of them twice",
                with("X-A: 1\r\nX-B: 2\r\nX-A: 3\r\nX-Empty:"),
            )
            .with(|record| {
                let seen = record
                    .fields
                    .iter()
                    .filter(|(name, _)| name.eq_ignore_ascii_case("x-a"))
                    .map(|(_, value)| &value[..]);
                seen.collect::<Vec<_>>().join(&b", "[..]) == b"1, 3" && record.says("x-empty", "")
            }),
            answered("5.1: spaces around a value", with("X-A: \t 1 2 \t")).with(|record| record.says("x-a", "1 2")),
            answered("5.1: no space before a value", with("X-A:1")).with(|record| record.says("x-a", "1")),
            answered("9110, 5.1: every character of names", with("x!#$%&'*+-.^_`|~09: 1"))
                .with(|record| record.has("x!#$%&'*+-.^_`|~09")),
            answered("9110, 5.5: every character of values", with("X-A: a \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`|~"))
                .with(|record| record.says("x-a", "a \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`|~")),
            refused("5.1: a space before the colon", BAD, with("X-A : 1")),
            refused("5.1: a tab before the colon", BAD, with("X-A\t: 1")),
            refused("5.1: a space before the colon of a length", BAD, with("Content-Length : 0")),
            refused("5: a field without a colon", BAD, with("X-A")),
            refused("5: a field without a name", BAD, with(": 1")),
            refused("5.1: a space in a name", BAD, with("X A: 1")),
            refused("9110, 5.1: a parenthesis in a name", BAD, with("X(A): 1")),
            refused("9110, 5.1: NUL in a name", BAD, with("X\0A: 1")),
            refused("9110, 5.1: a name that is not ASCII", BAD, with("X\u{c4}: 1")),
            refused("9110, 5.5: NUL in a value", BAD, with("X-A: a\0b")),
            either("9110, 5.5: a control character in a value", BAD, with("X-A: a\x01b")),
            either("9110, 5.5: DEL in a value", BAD, with("X-A: a\x7fb")),
            either("9110, 5.5: a value that is not ASCII", BAD, with("X-A: \u{e4}\u{6f22}")),
            either("9110, 5.5: a value that is not UTF-8", BAD, with(b"X-A: \xff\xe4")),
            refused("2.2: a space before the first field", BAD, "GET {} HTTP/1.1\r\n Host: test\r\n\r\n"),
        ]
    }

    pub(super) fn lines() -> Vec<Case> {
        vec![
            either("5.2: a folded value", BAD, with("X-A: 1\r\n 2")).with(|record| !record.has("2")),
            either("5.2: a value folded by a tab", BAD, with("X-A: 1\r\n\t2")),
            either("5.2: a folded field that looks like another", BAD, with("X-A: 1\r\n X-B: 2"))
                .with(|record| !record.has("x-b")),
            either("5.2: a folded Host", BAD, "GET {} HTTP/1.1\r\nHost: te\r\n st\r\n\r\n"),
            refused("2.2: a bare CR in a value", BAD, with("X-A: a\rb")),
            refused("2.2: a bare CR that would begin a field", BAD, with("X-A: a\rX-B: b")),
            refused("2.2: a bare CR in a name", BAD, with("X\rA: b")),
            refused("2.2: a bare CR for an end of line", BAD, "GET {} HTTP/1.1\rHost: test\r\r"),
            either("2.2: bare LF for ends of lines", BAD, "GET {} HTTP/1.1\nHost: test\n\n"),
            either("2.2: a bare LF behind the request line", BAD, "GET {} HTTP/1.1\nHost: test\r\n\r\n"),
            either("2.2: a bare LF behind a field", BAD, "GET {} HTTP/1.1\r\nHost: test\nX-A: 1\r\n\r\n"),
            either("2.2: a bare LF for the last line", BAD, "GET {} HTTP/1.1\r\nHost: test\r\n\n"),
            either("2.2: CR twice", BAD, "GET {} HTTP/1.1\r\r\nHost: test\r\n\r\n"),
            either("2.2: two empty lines before a request", BAD, "\r\n\r\nGET {} HTTP/1.1\r\nHost: test\r\n\r\n"),
            either("2.2: empty lines behind a request", BAD, "GET {} HTTP/1.1\r\nHost: test\r\n\r\n\r\n\r\n"),
        ]
    }

    pub(super) fn sizes() -> Vec<Case> {
        let many = |count: usize| (0..count).map(|at| format!("X-{at}: 1\r\n")).collect::<String>();
        let cases = [
            answered("5.4: a target of four thousand octets", line(&format!("GET {{}}/{} HTTP/1.1", "x".repeat(4000)))),
            answered("5.4: a field of four thousand octets", with(format!("X-A: {}", "x".repeat(4000)))),
            answered("5.4: fifty fields", with(many(50).trim_end())).with(|record| record.says("x-49", "1")),
            refused(
                "3: a target of a megabyte",
                TOO_LARGE,
                line(&format!("GET {{}}/{} HTTP/1.1", "x".repeat(1 << 20))),
            ),
            refused("5.4: a field of a megabyte", TOO_LARGE, with(format!("X-A: {}", "x".repeat(1 << 20)))),
            refused("5.4: a name of a megabyte", TOO_LARGE, with(format!("{}: 1", "x".repeat(1 << 20)))),
            refused("5.4: ten thousand fields", TOO_LARGE, with(many(10_000).trim_end())),
            refused("5.4: a megabyte of empty fields", TOO_LARGE, with("X:\r\n".repeat(260_000).trim_end())),
            refused("2.2: a megabyte without a line", TOO_LARGE, "x".repeat(1 << 20)),
            either("2.2: a megabyte of empty lines", TOO_LARGE, "\r\n".repeat(1 << 19))
                .behind(Behind::Nothing)
                .ending(),
        ];
        cases.into()
    }
}
