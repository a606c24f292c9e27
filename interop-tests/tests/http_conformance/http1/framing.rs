//! RFC 9112, sections 6 and 7: where bodies end, and requests that are smuggled in where somebody errs in that.

use super::{BAD, Behind, Case, Expect, NOT_KNOWN, TOO_LARGE, answered, either, refused, run_cases, unfinished};

crate::tables! { run_cases;
    bodies;
    lengths;
    codings;
    both;
    chunks;
    bad_chunks;
    trailers;
    hidden;
}

/// What nobody behind may take for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

/// A POST request with such lines among its fields, and what follows them.
fn post(lines: &str, body: &str) -> String {
    format!("POST {{}} HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

/// A chunked body with a request behind its end.
fn hiding(lines: &str) -> String {
    post(lines, &format!("0\r\n\r\n{SMUGGLED}"))
}

mod cases {
    use super::*;

    pub(super) fn bodies() -> Vec<Case> {
        vec![
            answered("6.2: a length", post("Content-Length: 4", "body")).with(|record| record.body == b"body"),
            answered("6.2: a length of nothing", post("Content-Length: 0", "")),
            answered("6.3: no length, so no body", "POST {} HTTP/1.1\r\nHost: test\r\n\r\n")
                .with(|record| record.body.is_empty()),
            answered("6.1: chunks", chunked("4\r\nbody\r\n0\r\n\r\n")).with(|record| record.body == b"body"),
            answered("6.2: a body of GET", "GET {} HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody")
                .with(|record| record.body == b"body"),
            answered(
                "6.1: chunks of DELETE",
                "DELETE {} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            )
            .with(|record| record.body == b"body"),
            answered("6.2: a body of a hundred thousand octets", post("Content-Length: 100000", &"x".repeat(100_000)))
                .with(|record| record.body.len() == 100_000),
            answered(
                "6.1: a chunk of a hundred thousand octets",
                chunked(&format!("186a0\r\n{}\r\n0\r\n\r\n", "x".repeat(100_000))),
            )
            .with(|record| record.body.len() == 100_000),
            unfinished("8: half a body", post("Content-Length: 10", "half")),
            unfinished("8: a body that is promised", post("Content-Length: 10", "")),
        ]
    }

    pub(super) fn lengths() -> Vec<Case> {
        let with = |value: &str| post(&format!("Content-Length: {value}"), &format!("body{SMUGGLED}"));
        let wrong = [
            "+4",
            "-4",
            "0x4",
            "4x",
            "4.0",
            "four",
            "4 4",
            "4;",
            "4,",
            "\"4\"",
            "1e1",
            "\u{664}",
            "18446744073709551620",
        ];
        let wrong =
            wrong.into_iter().map(|value| refused(format!("6.2: Content-Length {value:?}"), TOO_LARGE, with(value)));
        let others = [
            refused("6.2: an empty Content-Length", BAD, with("")),
            refused("6.3: two different lengths", BAD, post("Content-Length: 4\r\nContent-Length: 5", "bodyx")),
            refused("6.3: two lengths, one of nothing", BAD, post("Content-Length: 0\r\nContent-Length: 5", "bodyx")),
            refused("6.3: a list of different lengths", BAD, post("Content-Length: 4, 5", "bodyx")),
            either("6.3: a length twice", BAD, post("Content-Length: 4\r\nContent-Length: 4", "body"))
                .with(|record| record.body == b"body"),
            either("6.3: a list of a length twice", BAD, post("Content-Length: 4, 4", "body"))
                .with(|record| record.body == b"body"),
            either("6.2: a length with zeros before it", BAD, post("Content-Length: 0000000004", "body"))
                .with(|record| record.body == b"body"),
            either("6.2: a length with a tab before it", BAD, post("Content-Length:\t4", "body"))
                .with(|record| record.body == b"body"),
            refused("6.2: a folded length", BAD, post("Content-Length:\r\n 4", "body")),
        ];
        wrong.chain(others).collect()
    }

    pub(super) fn codings() -> Vec<Case> {
        let wrong = [
            "chunked, identity",
            "identity, chunked, identity",
            "xchunked",
            "chunkedx",
            "chunked, gzip",
            "chunked;q=1",
            "\"chunked\"",
            "chunked\x0b",
            "\x0bchunked",
            "ch unked",
            "identity",
            "gzip",
            "chun\0ked",
            "x",
        ];
        let wrong = wrong.into_iter().map(|coding| {
            refused(
                format!("6.1: Transfer-Encoding {coding:?}"),
                NOT_KNOWN,
                hiding(&format!("Transfer-Encoding: {coding}")),
            )
        });
        let chunks = "4\r\nbody\r\n0\r\n\r\n";
        let is_body = |record: &interop_tests::raw_http::Record| record.body == b"body";
        let others = [
            answered("6.1: Transfer-Encoding in other letters", post("tRANSFER-eNCODING: cHUNKED", chunks))
                .with(is_body),
            either("6.1: an empty Transfer-Encoding", NOT_KNOWN, post("Transfer-Encoding:", chunks)),
            either("6.1: chunked twice", NOT_KNOWN, post("Transfer-Encoding: chunked, chunked", chunks)),
            either(
                "6.1: chunked in two fields",
                NOT_KNOWN,
                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks),
            ),
            refused(
                "6.1: chunked, and then not",
                NOT_KNOWN,
                hiding("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
            ),
            either(
                "6.1: identity, and then chunked",
                NOT_KNOWN,
                post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", chunks),
            ),
            either("6.1: an empty element", NOT_KNOWN, post("Transfer-Encoding: , chunked", chunks)),
            // Who passes it on has to say so, as the body is in two codings.
            either("6.1: gzip, and then chunked", NOT_KNOWN, post("Transfer-Encoding: gzip, chunked", chunks))
                .behind(Behind::Nothing),
            refused("5.1: a space before the colon", BAD, hiding("Transfer-Encoding : chunked")),
            refused("5.2: a folded coding", BAD, hiding("Transfer-Encoding:\r\n chunked")),
            refused(
                "5.2: a coding that is folded into another field",
                BAD,
                hiding("X-A: 1\r\n Transfer-Encoding: chunked"),
            ),
            refused(
                "6.1: chunks of HTTP/1.0",
                NOT_KNOWN,
                format!("POST {{}} HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            ),
        ];
        wrong.chain(others).collect()
    }

    /// A length and a coding. Either is refused, or the coding counts and the connection ends.
    pub(super) fn both() -> Vec<Case> {
        fn last(name: &str, lines: &str, body: &str) -> Case {
            Case::new(name, post(lines, body), Expect::EitherLast(BAD), Behind::AtMostOne)
                .with(|record| record.body == b"body")
        }
        let chunks = format!("4\r\nbody\r\n0\r\n\r\n{SMUGGLED}");
        vec![
            last("6.1: a length, and chunked", "Content-Length: 4\r\nTransfer-Encoding: chunked", &chunks),
            last("6.1: chunked, and a length", "Transfer-Encoding: chunked\r\nContent-Length: 4", &chunks),
            last("6.1: chunked, and a length of all", "Transfer-Encoding: chunked\r\nContent-Length: 62", &chunks),
            last(
                "6.1: chunked, and two lengths",
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
                &chunks,
            ),
            last("6.1: chunked, and a length that is none", "Transfer-Encoding: chunked\r\nContent-Length: x", &chunks),
            refused(
                "6.1: a length, and a coding that is none",
                NOT_KNOWN,
                post("Content-Length: 4\r\nTransfer-Encoding: x", "body"),
            ),
            refused(
                "6.1: a length, and identity",
                NOT_KNOWN,
                post("Content-Length: 4\r\nTransfer-Encoding: identity", "body"),
            ),
            answered(
                "6.1: a coding with another name",
                post("Content-Length: 4\r\nTransfer_Encoding: chunked", "body"),
            )
            .with(|record| record.body == b"body"),
            refused("6.1: a length and chunks of HTTP/1.0", NOT_KNOWN, {
                format!("POST {{}} HTTP/1.0\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
            }),
        ]
    }

    pub(super) fn chunks() -> Vec<Case> {
        let tiny = "1\r\nx\r\n".repeat(10_000);
        vec![
            answered("7.1: several chunks", chunked("2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"))
                .with(|record| record.body == b"body"),
            answered("7.1: a size in upper case", chunked("A\r\n0123456789\r\n0\r\n\r\n"))
                .with(|record| record.body.len() == 10),
            answered("7.1: a size in lower case", chunked("a\r\n0123456789\r\n0\r\n\r\n"))
                .with(|record| record.body.len() == 10),
            answered("7.1: a size with zeros", chunked("0004\r\nbody\r\n000\r\n\r\n"))
                .with(|record| record.body == b"body"),
            answered("7.1: a body of no chunks", chunked("0\r\n\r\n")).with(|record| record.body.is_empty()),
            answered("7.1.1: an extension", chunked("4;name=value\r\nbody\r\n0;last\r\n\r\n"))
                .with(|record| record.body == b"body"),
            answered("7.1.1: a quoted extension", chunked("4;name=\"a;b\"\r\nbody\r\n0\r\n\r\n"))
                .with(|record| record.body == b"body"),
            either("7.1.1: an extension behind spaces", BAD, chunked("4 ; name = value\r\nbody\r\n0\r\n\r\n"))
                .with(|record| record.body == b"body"),
            answered("7.1: what looks like the end is within a chunk", chunked("9\r\n0\r\n\r\nbody\r\n0\r\n\r\n"))
                .with(|record| record.body.len() == 9),
            answered("7.1: ten thousand chunks of one octet", chunked(&format!("{tiny}0\r\n\r\n")))
                .with(|record| record.body.len() == 10_000),
        ]
    }

    pub(super) fn bad_chunks() -> Vec<Case> {
        /// Whatever comes of it, nobody behind gets a whole request.
        fn wrong(name: &str, body: &str) -> Case {
            Case::new(name, chunked(body), Expect::Ended, Behind::NothingWhole)
        }
        let long = "x".repeat(1 << 20);
        vec![
            wrong("7.1: a size that is no number", "g\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: no size", "\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a negative size", "-4\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a size with a sign", "+4\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a size with 0x", "0x4\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a space before the size", " 4\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a size with an underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
            wrong("7.1: a size of 64 bits and one", "10000000000000004\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a size of a hundred digits", &format!("{}\r\nbody\r\n0\r\n\r\n", "f".repeat(100))),
            wrong("7.1: a size of 63 bits", "7fffffffffffffff\r\nbody\r\n0\r\n\r\n").ending(),
            wrong("7.1: a chunk that is longer than its size", "3\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a chunk that is shorter than its size", "5\r\nbody\r\n0\r\n\r\n").ending(),
            wrong("7.1: no end of line behind a chunk", "4\r\nbody0\r\n\r\n"),
            wrong("7.1: a bare LF behind a chunk", "4\r\nbody\n0\r\n\r\n"),
            wrong("7.1: a bare LF behind a size", "4\nbody\r\n0\r\n\r\n"),
            wrong("7.1: a bare CR behind a size", "4\rbody\r\n0\r\n\r\n"),
            wrong("7.1.1: a bare LF in an extension", "4;a\nb\r\nbody\r\n0\r\n\r\n"),
            wrong("7.1.1: an extension of a megabyte", &format!("4;{long}\r\nbody\r\n0\r\n\r\n")),
            wrong(
                "7.1.1: a megabyte of small extensions",
                &format!("{}0\r\n\r\n", "1;xxxxxxxx\r\nx\r\n".repeat(70_000)),
            ),
            wrong("7.1: no last chunk", "4\r\nbody\r\n").ending(),
            wrong("7.1: a last chunk without its last line", "4\r\nbody\r\n0\r\n").ending(),
            wrong("7.1: half a last chunk", "4\r\nbody\r\n0").ending(),
            wrong("7.1: half a size", "4\r\nbody\r\n1").ending(),
        ]
    }

    pub(super) fn trailers() -> Vec<Case> {
        let with = |trailers: &str| chunked(&format!("4\r\nbody\r\n0\r\n{trailers}\r\n\r\n"));
        /// They must not be taken for fields of the head.
        fn harmless(record: &interop_tests::raw_http::Record) -> bool {
            let values = |name: &'static str| {
                record.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            };
            record.body == b"body"
                && values("host").count() == 1
                // A body without trailers that may go on is one of known length.
                && values("content-length").all(|length| length == b"4")
                && record.authority == "test"
                && !record.has("sum")
        }
        let hostile =
            ["Content-Length: 0", "Transfer-Encoding: gzip", "Host: other", "Trailer: x", "Connection: close"];
        let hostile = hostile
            .into_iter()
            .map(|line| either(format!("6.5.1: {line} in trailers"), BAD, with(line)).with(harmless));
        let others = [
            answered("7.1.2: trailers", with("Sum: 1\r\nSum: 2")).with(harmless),
            Case::new(
                "7.1.2: trailers of a megabyte",
                with(&format!("Sum: {}", "x".repeat(1 << 20))),
                Expect::Ended,
                Behind::NothingWhole,
            ),
            Case::new(
                "7.1.2: ten thousand trailers",
                with("Sum: 1\r\n".repeat(10_000).trim_end()),
                Expect::Ended,
                Behind::NothingWhole,
            ),
            Case::new("7.1.2: a trailer without a colon", with("Sum"), Expect::Ended, Behind::NothingWhole),
            Case::new(
                "7.1.2: a trailer with a space before the colon",
                with("Sum : 1"),
                Expect::Ended,
                Behind::NothingWhole,
            ),
            Case::new("7.1.2: a trailer with NUL", with("Sum: a\0b"), Expect::Ended, Behind::NothingWhole),
        ];
        hostile.chain(others).collect()
    }

    /// Further ways to hide a request in the body of another.
    pub(super) fn hidden() -> Vec<Case> {
        let behind = |lines: &str| post(lines, SMUGGLED);
        let length = SMUGGLED.len() + 6;
        vec![
            answered(
                "a request in a body",
                post(
                    &format!("Content-Length: {}", "GET /smuggled HTTP/1.1\r\n\r\n".len()),
                    "GET /smuggled HTTP/1.1\r\n\r\n",
                ),
            )
            .with(|record| record.body.starts_with(b"GET /smuggled")),
            refused(
                "a length in the target's query",
                BAD,
                format!("POST {{}}?a HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
            ),
            refused("a length behind NUL", BAD, behind("X: a\0\r\nContent-Length: 10")),
            refused("a length behind a bare CR", BAD, behind(&format!("X: a\rContent-Length: {length}"))),
            refused("a length with a space in its name", BAD, behind(&format!("Content Length: {length}"))),
            refused(
                "a length with a control character before its name",
                BAD,
                behind(&format!("\x0bContent-Length: {length}")),
            ),
            refused("a length in a folded field", BAD, behind(&format!("X: a\r\n Content-Length: {length}"))),
            refused("chunked in the name of another field", BAD, behind("Transfer-Encoding\0: chunked")),
            refused("a length for HTTP/1.0 and chunks", NOT_KNOWN, {
                format!(
                    "POST {{}} HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n{SMUGGLED}"
                )
            }),
            answered(
                "a length that Connection names is still one",
                post("Connection: content-length\r\nContent-Length: 4", "body"),
            )
            .with(|record| record.body == b"body"),
            answered(
                "a host that Connection names is still one",
                post("Connection: host\r\nContent-Length: 4", "body"),
            )
            .with(|record| record.body == b"body" && record.authority == "test"),
            answered(
                "a coding that Connection names is still one",
                post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"),
            )
            .with(|record| record.body == b"body"),
        ]
    }
}
