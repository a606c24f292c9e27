//! RFC 9113, section 8: requests and answers.

use interop_tests::raw_http::frame::flag::*;
use interop_tests::raw_http::hpack;
use interop_tests::raw_http::http2::Client;

use super::{Behind, Case, alive, answered, connection, either, malformed, run_cases};

crate::tables! { run_cases;
    exchanges;
    trailers_and_lengths;
    names_and_values;
    fields_of_connections;
    pseudo_fields;
    targets;
    statuses;
}

/// A GET request with a field of any octets.
fn with_octets<'a>(c: &'a mut Client, name: &[u8], value: &[u8]) -> &'a mut Client {
    let block = [c.request_block("GET", &[]), hpack::literal(hpack::PLAIN, name, value)].concat();
    c.headers(1, END, block)
}

/// The four pseudo fields.
const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "@");
const AUTHORITY: (&str, &str) = (":authority", "test");

mod cases {
    use super::*;

    pub(super) fn exchanges() -> Vec<Case> {
        vec![
            answered("8.1: GET", |c| c.get(1)).with(|record| record.method == "GET" && record.authority == "test"),
            answered("8.1: HEAD", |c| c.request(1, END, "HEAD", &[])).with(|record| record.method == "HEAD"),
            answered("8.1: POST", |c| c.post(1).data(1, END_STREAM, "body")).with(|record| record.body == b"body"),
            answered("8.1: POST with its length", |c| {
                c.request(1, END_HEADERS, "POST", &[("content-length", "4")]).data(1, END_STREAM, "body")
            })
            .with(|record| record.says("content-length", "4") && record.body == b"body"),
            answered("8.1: POST without a body", |c| c.request(1, END, "POST", &[("content-length", "0")])),
            answered("8.1: an empty body", |c| c.post(1).data(1, END_STREAM, "")).with(|record| record.body.is_empty()),
            answered("9110, 9.1: methods are passed on, whatever they are", |c| {
                let methods = ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get", "X-ANY!"];
                (0..).zip(methods).for_each(|(at, method)| {
                    c.request(2 * at + 3, END, method, &[]).answer(2 * at + 3);
                });
                c.get(101)
            })
            .expecting(&[3, 5, 7, 9, 11, 13, 15, 101]),
            answered("8.1: a hundred at a time", |c| {
                (0..100).for_each(|at| {
                    c.get(2 * at + 1);
                });
                (0..100).fold(c, |c, at| c.answer(2 * at + 1))
            })
            .behind(Behind::Exactly(100)),
            answered("8.1: fields in their order, and some of them twice", |c| {
                c.request(1, END, "GET", &[("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("x-empty", "")])
            })
            .with(|record| {
                let seen = record.fields.iter().filter(|(name, _)| name == "x-a").map(|(_, value)| &value[..]);
                let all = seen.collect::<Vec<_>>().join(&b", "[..]);
                all == b"1, 3" && record.says("x-empty", "")
            }),
            answered("8.2.3: cookies in pieces", |c| c.request(1, END, "GET", &[("cookie", "a=b"), ("cookie", "c=d")]))
                .with(|record| {
                    let seen = record.fields.iter().filter(|(name, _)| name == "cookie").map(|(_, value)| &value[..]);
                    seen.collect::<Vec<_>>().join(&b"; "[..]) == b"a=b; c=d"
                }),
        ]
    }

    pub(super) fn trailers_and_lengths() -> Vec<Case> {
        let posted = |c: &mut Client, length: &str, body: &str| {
            {
                c.request(1, END_HEADERS, "POST", &[("content-length", length)]).data(1, END_STREAM, body);
            };
        };
        let cases = vec![
            answered("8.1: trailers", |c| c.post(1).data(1, 0, "body").fields(1, END, &[("sum", "1")]))
                .with(|record| record.body == b"body" && record.trailers == [("sum".to_owned(), b"1".to_vec())]),
            answered("8.1: trailers behind no body", |c| c.post(1).fields(1, END, &[("sum", "1")])),
            malformed("8.1: trailers that are not the end", |c| {
                c.post(1).data(1, 0, "body").fields(1, END_HEADERS, &[("sum", "1")]).data(1, END_STREAM, "more")
            }),
            // The h2 crate takes them, and passes nothing of them on.
            either("8.1: a pseudo field in trailers", |c| c.post(1).data(1, 0, "body").fields(1, END, &[METHOD])),
            either("8.1: a status in trailers", |c| c.post(1).data(1, 0, "body").fields(1, END, &[(":status", "200")])),
            malformed("8.2.1: an upper-case name in trailers", |c| c.post(1).fields(1, END, &[("Sum", "1")])),
            malformed("8.2.2: a field of the connection in trailers", |c| {
                c.post(1).data(1, 0, "body").fields(1, END, &[("transfer-encoding", "chunked")])
            }),
            malformed("8.1.1: a body that is shorter than its length", move |c| {
                posted(c, "5", "body");
                c
            }),
            malformed("8.1.1: a body that is longer than its length", move |c| {
                posted(c, "3", "body");
                c
            }),
            malformed("8.1.1: a body in frames that is longer than its length", |c| {
                c.request(1, END_HEADERS, "POST", &[("content-length", "5")])
                    .data(1, 0, "body")
                    .data(1, END_STREAM, "body")
            }),
            malformed("8.1.1: a length without a body", |c| c.request(1, END, "POST", &[("content-length", "4")])),
            malformed("8.1.1: a length that is none", move |c| {
                posted(c, "4x", "body");
                c
            }),
            malformed("8.1.1: a length with a sign", move |c| {
                posted(c, "+4", "body");
                c
            }),
            malformed("8.1.1: a length that is too large for a number", move |c| {
                posted(c, "18446744073709551620", "body");
                c
            }),
            malformed("8.1.1: two lengths", |c| {
                let lengths = [("content-length", "4"), ("content-length", "5")];
                c.request(1, END_HEADERS, "POST", &lengths).data(1, END_STREAM, "body")
            }),
            malformed("8.1.1: a list of lengths", move |c| {
                posted(c, "4, 5", "body");
                c
            }),
        ];
        // A server behind may have heard of them before they turned out to be wrong.
        let weaken = |case: Case| if case.is_refused() { case.behind(Behind::NothingWhole) } else { case };
        cases.into_iter().map(weaken).collect()
    }

    pub(super) fn names_and_values() -> Vec<Case> {
        const NAMES: [(&str, &[u8]); 12] = [
            ("8.2.1: an upper-case name", b"X-Upper"),
            ("8.2.1: a name of nothing", b""),
            ("8.2.1: a name with a space", b"x y"),
            ("8.2.1: a name with a space at its end", b"x-y "),
            ("8.2.1: a name with a colon", b"x:y"),
            ("8.2.1: a name with NUL", b"x\0y"),
            ("8.2.1: a name with CR and LF", b"x: y\r\nz"),
            ("8.2.1: a name with DEL", b"x\x7fy"),
            ("8.2.1: a name that is not ASCII", b"x\xc3\xa4"),
            ("8.2.1: a name with a tab", b"x\ty"),
            ("9110, 5.1: a name with a parenthesis", b"x(y)"),
            ("9110, 5.1: a name with a slash", b"x/y"),
        ];
        const VALUES: [(&str, &[u8]); 5] = [
            ("8.2.1: a value with NUL", b"a\0b"),
            ("8.2.1: a value with LF", b"a\nb"),
            ("8.2.1: a value with CR", b"a\rb"),
            ("8.2.1: a value with CR and LF", b"a\r\nx-smuggled: yes"),
            ("8.2.1: a value that would begin a request", b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        ];
        const DOUBTFUL: [(&str, &[u8]); 6] = [
            ("8.2.1: a value that begins with a space", b" a"),
            ("8.2.1: a value that ends with a tab", b"a\t"),
            ("9110, 5.5: a value with a control character", b"a\x01b"),
            ("9110, 5.5: a value with DEL", b"a\x7fb"),
            ("9110, 5.5: a value that is not ASCII", b"\xc3\xa4"),
            ("9110, 5.5: a value that is not UTF-8", b"\xff\xe4"),
        ];
        let bad_names = NAMES.into_iter().map(|(name, octets)| malformed(name, move |c| with_octets(c, octets, b"1")));
        let bad_values =
            VALUES.into_iter().map(|(name, octets)| malformed(name, move |c| with_octets(c, b"x-y", octets)));
        let doubtful = DOUBTFUL.into_iter().map(|(name, octets)| either(name, move |c| with_octets(c, b"x-y", octets)));
        let good = [
            answered("9110, 5.1: every character of names", |c| {
                c.request(1, END, "GET", &[("x!#$%&'*+-.^_`|~09", "1")])
            })
            .with(|record| record.says("x!#$%&'*+-.^_`|~09", "1")),
            answered("9110, 5.5: every character of values", |c| {
                c.request(1, END, "GET", &[("x-y", "a \t!\"#{}[]()<>@,;:\\/?=~")])
            })
            .with(|record| record.says("x-y", "a \t!\"#{}[]()<>@,;:\\/?=~")),
        ];
        bad_names.chain(bad_values).chain(doubtful).chain(good).collect()
    }

    pub(super) fn fields_of_connections() -> Vec<Case> {
        const FIELDS: [(&str, &str, &str); 7] = [
            ("8.2.2: connection", "connection", "keep-alive"),
            ("8.2.2: keep-alive", "keep-alive", "timeout=5"),
            ("8.2.2: proxy-connection", "proxy-connection", "keep-alive"),
            ("8.2.2: transfer-encoding", "transfer-encoding", "chunked"),
            ("8.2.2: upgrade", "upgrade", "websocket"),
            ("8.2.2: te that is not trailers", "te", "trailers, deflate"),
            ("8.2.2: te that is gzip", "te", "gzip"),
        ];
        let of_connections = FIELDS
            .into_iter()
            .map(|(case, name, value)| malformed(case, move |c| c.request(1, END, "GET", &[(name, value)])));
        let trailers = answered("8.2.2: te that is trailers", |c| c.request(1, END, "GET", &[("te", "trailers")]));
        of_connections.chain([trailers]).collect()
    }

    pub(super) fn pseudo_fields() -> Vec<Case> {
        type Rows = Vec<(&'static str, Vec<(&'static str, &'static str)>)>;
        let rows: Rows = vec![
            ("8.3: an unknown pseudo field", vec![METHOD, SCHEME, PATH, AUTHORITY, (":test", "1")]),
            ("8.3: the status of an answer", vec![METHOD, SCHEME, PATH, AUTHORITY, (":status", "200")]),
            ("8.3: a pseudo field behind others", vec![METHOD, SCHEME, AUTHORITY, ("x-test", "1"), PATH]),
            ("8.3: all pseudo fields behind others", vec![("x-test", "1"), METHOD, SCHEME, AUTHORITY, PATH]),
            ("8.3.1: no method", vec![SCHEME, PATH, AUTHORITY]),
            ("8.3.1: no scheme", vec![METHOD, PATH, AUTHORITY]),
            ("8.3.1: no path", vec![METHOD, SCHEME, AUTHORITY]),
            ("8.3.1: nothing", vec![]),
            ("8.3.1: an empty path", vec![METHOD, SCHEME, (":path", ""), AUTHORITY]),
            ("8.3.1: an empty method", vec![(":method", ""), SCHEME, PATH, AUTHORITY]),
            ("8.3.1: two methods", vec![METHOD, METHOD, SCHEME, PATH, AUTHORITY]),
            ("8.3.1: two different methods", vec![METHOD, (":method", "PUT"), SCHEME, PATH, AUTHORITY]),
            ("8.3.1: two schemes", vec![METHOD, SCHEME, SCHEME, PATH, AUTHORITY]),
            ("8.3.1: two paths", vec![METHOD, SCHEME, PATH, PATH, AUTHORITY]),
            ("8.3.1: two authorities", vec![METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY]),
            ("8.3.1: an upper-case pseudo field", vec![(":Method", "GET"), SCHEME, PATH, AUTHORITY]),
            ("9110, 9.1: a method with a space", vec![(":method", "GET /"), SCHEME, PATH, AUTHORITY]),
            ("9110, 9.1: a method with a line", vec![(":method", "GET / HTTP/1.1\r\nx:"), SCHEME, PATH, AUTHORITY]),
        ];
        let bad = rows.into_iter().map(|(name, fields)| malformed(name, move |c| c.fields(1, END, &fields)));
        let good = [
            answered("8.3.1: pseudo fields in another order", |c| c.fields(1, END, &[AUTHORITY, PATH, SCHEME, METHOD])),
            answered("8.3.1: a host in place of the authority", |c| {
                c.fields(1, END, &[METHOD, SCHEME, PATH, ("host", "test")])
            })
            .with(|record| record.authority == "test"),
            answered("8.3.1: a host that is the authority", |c| {
                c.fields(1, END, &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "test")])
            })
            .with(|record| record.authority == "test"),
            answered("8.3.1: the other scheme", |c| c.fields(1, END, &[METHOD, (":scheme", "https"), PATH, AUTHORITY])),
            // It should be refused, and must not name another host behind.
            either("9110, 7.2: another host than the authority", |c| {
                c.fields(1, END, &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "other")])
            })
            .with(|record| record.authority == "test" && !record.says("host", "other")),
            either("8.3.1: user and password in the authority", |c| {
                c.fields(1, END, &[METHOD, SCHEME, PATH, (":authority", "user:pass@test")])
            }),
            either("8.3.1: neither a host nor an authority", |c| c.fields(1, END, &[METHOD, SCHEME, PATH])),
            either("8441: a protocol without a setting", |c| {
                c.fields(1, END_HEADERS, &[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, PATH, AUTHORITY])
            }),
        ];
        bad.chain(good).collect()
    }

    pub(super) fn targets() -> Vec<Case> {
        let rows = [
            ("8.3.1: a path that does not begin with a slash", "x@", false),
            ("8.3.1: a whole URI as a path", "http://test@", false),
            ("8.3.1: a path with a space", "@/a b", false),
            ("8.3.1: a path with a line", "@ HTTP/1.1\r\nx-smuggled: yes\r\n", false),
            ("8.3.1: a path with a request", "@ HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled", false),
            ("8.3.1: a path with NUL", "@\0", false),
            ("8.3.1: a path with a tab", "@\tb", false),
            ("8.3.1: a star for GET", "*", false),
            ("3986: a query", "@?a=b&c=%20&d=%00", true),
            ("3986: dots and slashes are left alone", "@/../a//b/%2e%2e/%2F", true),
            ("3986: every character of paths", "@/-._~!$&'()*+,;=:%41", true),
        ];
        let rows = rows.into_iter().map(|(name, path, is_good)| {
            let case = malformed(name, move |c| c.fields(1, END, &[METHOD, SCHEME, (":path", path), AUTHORITY]));
            if is_good { case.expecting(&[1]) } else { case }
        });
        let others = [
            either("8.3.1: a path that is not ASCII", |c| c.request_at(1, END, "GET", "/\u{e4}")),
            either("8.3.1: a path with a fragment", |c| c.request_at(1, END, "GET", "#part")),
            either("8.3.1: OPTIONS of a star", |c| {
                c.fields(1, END, &[(":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY])
            }),
            malformed("8.5: CONNECT with a scheme and a path", |c| {
                c.fields(1, END_HEADERS, &[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY])
            }),
            malformed("8.5: CONNECT without an authority", |c| c.fields(1, END_HEADERS, &[(":method", "CONNECT")])),
            either("8.5: CONNECT leads nowhere", |c| {
                c.fields(1, END_HEADERS, &[(":method", "CONNECT"), (":authority", "127.0.0.1:1")])
            })
            .behind(Behind::Nothing),
        ];
        rows.chain(others).collect()
    }

    pub(super) fn statuses() -> Vec<Case> {
        fn asked(c: &mut Client, status: u16) -> &mut Client {
            let target = format!("/status/{status}");
            let is_it =
                move |c: &Client| c.answers.get(&1).is_some_and(|answer| answer.status == status && answer.ended);
            c.request_at(1, END, "GET", &target).until("that status", is_it)
        }
        let statuses = [201, 204, 206, 301, 304, 400, 404, 418, 429, 500, 503, 599];
        let passed =
            statuses.into_iter().map(|status| alive(format!("9110, 15: status {status}"), move |c| asked(c, status)));
        let others = [
            alive("8.1: trailers of an answer", |c| {
                c.request_at(1, END, "GET", "/chunked/bytes/1000").answer(1).until("trailers", |c| {
                    c.answers[&1].trailers == [("sum".to_owned(), b"1".to_vec())] && c.answers[&1].body.len() == 1000
                })
            }),
            alive("8.1: the length of an answer to HEAD", |c| {
                let is_told =
                    |c: &Client| c.answers[&1].fields.contains(&("content-length".to_owned(), b"1000".to_vec()));
                c.request_at(1, END, "HEAD", "/bytes/1000").answer(1).until("the length", move |c| is_told(c))
            }),
            either("9110, 10.1.1: a body that waits to be wanted", |c| {
                c.request(1, END_HEADERS, "POST", &[("expect", "100-continue"), ("content-length", "4")]);
                // It is not always said, so that the body follows anyway.
                c.ping().data(1, END_STREAM, "body")
            })
            .behind(Behind::Exactly(1)),
            connection("5.4.1: the end of the client's direction ends the connection", &[], |c| {
                c.get(1).answer(1).end()
            }),
        ];
        passed.chain(others).collect()
    }
}
