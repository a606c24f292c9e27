//! RFC 9112, section 9, and RFC 9110: connections that persist, and what concerns one connection only.

use anyhow::{Context, Result, ensure};
use interop_tests::harness::run;
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::http1::{Client, Fault, says};

use super::{Behind, Case, Expect, answered, canary, either, own, run_cases, text};

crate::tables! { run_cases;
    persistence;
    pipelines;
    fields_of_connections;
    upgrades;
    expectations;
    answers_without_bodies;
    statuses;
}

fn line(first: &str, more: &str) -> String {
    format!("{first}\r\nHost: test\r\n{more}\r\n")
}

/// The answer, and the end of the connection.
fn last(client: &mut Client, target: &str) -> Result<()> {
    let answer = client.answer("GET")?;
    ensure!(answer.status == 200 && answer.body.starts_with(target.as_bytes()), "{answer:?}");
    ensure!(answer.is_last(), "it does not say that it is the last: {answer:?}");
    client.expect_end()
}

mod cases {
    use super::*;

    pub(super) fn persistence() -> Vec<Case> {
        vec![
            answered("9.3: HTTP/1.1 persists", line("GET {} HTTP/1.1", "")),
            answered("9.3: HTTP/1.1 with keep-alive", line("GET {} HTTP/1.1", "Connection: keep-alive\r\n")),
            own("9.6: close", line("GET {} HTTP/1.1", "Connection: close\r\n"), last),
            own("9.6: Close, among others", line("GET {} HTTP/1.1", "Connection: x-a, Close\r\n"), last),
            own(
                "9.6: close in a second field",
                line("GET {} HTTP/1.1", "Connection: x-a\r\nConnection: close\r\n"),
                last,
            ),
            own("9.3: HTTP/1.0 does not persist", line("GET {} HTTP/1.0", ""), last),
            own("9.3: HTTP/1.0 with close", line("GET {} HTTP/1.0", "Connection: close\r\n"), last),
            own(
                "9.3: HTTP/1.0 with keep-alive",
                line("GET {} HTTP/1.0", "Connection: keep-alive\r\n"),
                |client, target| {
                    let answer = client.answer("GET")?;
                    ensure!(answer.status == 200 && answer.body == target.as_bytes(), "{answer:?}");
                    if answer.is_last() {
                        return client.expect_end();
                    }
                    client.send(format!("GET /next{target} HTTP/1.0\r\n\r\n"));
                    ensure!(client.answer("GET")?.body == format!("/next{target}").as_bytes());
                    client.expect_end()
                },
            ),
            own("9.3: HTTP/1.0 gets no chunks", line("GET {}/chunked HTTP/1.0", ""), last),
            own(
                "9.3: an answer that ends with the server's connection",
                line("GET {}/until-end HTTP/1.1", ""),
                |client, target| {
                    let answer = client.answer("GET")?;
                    ensure!(
                        answer.status == 200 && answer.body == format!("{target}/until-end").as_bytes(),
                        "{answer:?}"
                    );
                    Ok(())
                },
            ),
            own("9.3: the same for HTTP/1.0", line("GET {}/until-end HTTP/1.0", ""), last),
            answered("9.3: requests of HTTP/1.1 are such behind, too", line("GET {} HTTP/1.1", ""))
                .with(|record| record.version == "HTTP/1.1"),
            // Many proxies take it for the end of the client.
            either("9.6: a client that ends its direction", &[], line("GET {} HTTP/1.1", "")).ending(),
            either("9.6: a client of HTTP/1.0 that ends its direction", &[], line("GET {}/slow HTTP/1.0", "")).ending(),
        ]
    }

    pub(super) fn pipelines() -> Vec<Case> {
        /// Requests of several kinds, with the octets that each of them takes for its answer.
        fn mixed(client: &mut Client, target: &str) -> Result<()> {
            let mut requests = Vec::new();
            for number in 0..20 {
                let (method, more) = match number % 4 {
                    0 => ("GET", "\r\n"),
                    1 => ("POST", "Content-Length: 4\r\n\r\nbody"),
                    2 => ("HEAD", "\r\n"),
                    _ => ("PUT", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
                };
                let way = if number % 5 == 0 { "/slow" } else { "" };
                requests.push((method, format!("{target}/{number}{way}"), more));
            }
            let line = |(method, path, more): &(&str, String, &str)| {
                format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{more}")
            };
            client.send(requests.iter().map(line).collect::<String>());
            for (method, path, _) in &requests {
                let answer = client.answer(method)?;
                let is_own = *method == "HEAD" || answer.body == path.as_bytes();
                ensure!(answer.status == 200 && is_own, "{} for {path}", answer.body.escape_ascii());
            }
            client.expect_silence()
        }
        vec![
            Case::new(
                "9.3.2: twenty requests at once",
                line("GET {} HTTP/1.1", "").repeat(20),
                Expect::Answered(20),
                Behind::Exactly(20),
            ),
            Case::new("9.3.2: requests of several kinds at once", "", Expect::Own(mixed), Behind::Exactly(20)),
            Case::new(
                "9.3.2: a thousand requests at once",
                line("GET {} HTTP/1.1", "").repeat(1000),
                Expect::Answered(1000),
                Behind::Exactly(1000),
            ),
            own(
                "9.6: nothing follows the last one",
                line("GET {} HTTP/1.1", "Connection: close\r\n") + "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n",
                last,
            ),
            own(
                "9.3.2: a bad request behind a good one",
                line("GET {} HTTP/1.1", "") + "BAD\r\n\r\n",
                |client, target| {
                    let answer = client.answer("GET")?;
                    ensure!(answer.status == 200 && answer.body == target.as_bytes(), "{answer:?}");
                    if let Ok(answer) = client.answer("GET") {
                        ensure!(answer.status == 400, "{answer:?}");
                    }
                    client.expect_end()
                },
            ),
        ]
    }

    pub(super) fn fields_of_connections() -> Vec<Case> {
        vec![
            answered(
                "9110, 7.6.1: what Connection names is not passed on",
                line("GET {} HTTP/1.1", "Connection: x-secret, x-other\r\nX-Secret: 1\r\nX-Kept: 2\r\n"),
            )
            .with(|record| !record.has("x-secret") && record.says("x-kept", "2")),
            answered(
                "9110, 7.6.1: Keep-Alive is not passed on",
                line("GET {} HTTP/1.1", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
            )
            .with(|record| !record.has("keep-alive")),
            answered(
                "9110, 7.6.1: Proxy-Connection is not passed on",
                line("GET {} HTTP/1.1", "Proxy-Connection: keep-alive\r\n"),
            )
            .with(|record| !record.has("proxy-connection")),
            answered(
                "9110, 10.1.4: TE is not passed on, but for trailers",
                line("GET {} HTTP/1.1", "Connection: TE\r\nTE: gzip;q=0.5\r\n"),
            )
            .with(|record| !record.has("te") || record.says("te", "trailers")),
            answered("9110, 7.6.1: Connection is not passed on", line("GET {} HTTP/1.1", "Connection: x-a\r\n")).with(
                |record| {
                    !record.fields.iter().any(|(name, value)| {
                        name.eq_ignore_ascii_case("connection") && value.windows(3).any(|part| part == b"x-a")
                    })
                },
            ),
            answered(
                "9110, 7.6.1: fields that are not of the connection are kept",
                line("GET {} HTTP/1.1", "Authorization: Basic eDp5\r\nCookie: a=b\r\nAccept: */*\r\nVia: 1.1 x\r\n"),
            )
            .with(|record| {
                record.says("authorization", "Basic eDp5")
                    && record.says("cookie", "a=b")
                    && record.says("accept", "*/*")
            }),
        ]
    }

    pub(super) fn upgrades() -> Vec<Case> {
        vec![
            answered("9110, 7.8: HTTP/2 by an upgrade is not passed on", {
                line(
                    "GET {} HTTP/1.1",
                    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
                )
            })
            .with(|record| !record.says("upgrade", "h2c") && !record.has("http2-settings")),
            answered(
                "9110, 7.8: an upgrade without Connection is none",
                line("GET {} HTTP/1.1", "Upgrade: websocket\r\n"),
            )
            .with(|record| !record.has("upgrade") || !record.has("connection")),
            answered("9110, 7.8: an upgrade that the server does not want", {
                let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
                line("GET {} HTTP/1.1", &format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{key}"))
            }),
            answered(
                "9110, 7.8: an upgrade to what nobody knows",
                line("GET {} HTTP/1.1", "Connection: Upgrade\r\nUpgrade: x/1\r\n"),
            ),
            answered(
                "9110, 7.8: an upgrade of HTTP/1.0 is none",
                line("GET {} HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            ),
        ]
    }

    pub(super) fn expectations() -> Vec<Case> {
        const HEAD: &str = "POST {} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        vec![
            own("9110, 10.1.1: 100 before the body is sent", HEAD, |client, target| {
                // Nothing is sent before the word has come.
                let head = client.head()?;
                ensure!(head.first.starts_with("HTTP/1.1 100"), "{}", head.first);
                client.send("body");
                let answer = client.answer("POST")?;
                ensure!(answer.status == 200 && answer.body == target.as_bytes(), "{answer:?}");
                Ok(())
            })
            .with(|record| record.body == b"body"),
            answered("9110, 10.1.1: a body that does not wait", format!("{HEAD}body"))
                .with(|record| record.body == b"body"),
            own(
                "9110, 10.1.1: HTTP/1.0 gets no 100",
                "POST {} HTTP/1.0\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
                |client, target| {
                    let answer = client.answer("POST")?;
                    ensure!(
                        answer.status == 200 && answer.interim.is_empty() && answer.body == target.as_bytes(),
                        "{answer:?}"
                    );
                    Ok(())
                },
            ),
            Case::new(
                "9110, 10.1.1: a server that does not want the body",
                HEAD.replace("{}", "{}/refuse"),
                Expect::Own(|client, _| {
                    let answer = client.answer("POST")?;
                    // A router may have said 100 by itself, as it may go on before it has heard of the server.
                    ensure!(answer.status == 417 || !answer.interim.is_empty(), "{answer:?}");
                    Ok(())
                }),
                Behind::NothingWhole,
            ),
            Case::new(
                "9110, 10.1.1: another expectation",
                line("GET {} HTTP/1.1", "Expect: wonders\r\n"),
                Expect::Own(|client, _| {
                    let answer = client.answer("GET")?;
                    ensure!([200, 417].contains(&answer.status), "{answer:?}");
                    Ok(())
                }),
                Behind::AtMostOne,
            ),
        ]
    }

    pub(super) fn answers_without_bodies() -> Vec<Case> {
        /// Asks for more behind it, which shows where the answer has ended.
        fn bare(client: &mut Client, target: &str, method: &str, status: u16) -> Result<()> {
            let answer = client.answer(method)?;
            ensure!(answer.status == status && answer.body.is_empty(), "{answer:?}");
            ensure!(status != 204 || text(&answer, "transfer-encoding").is_empty(), "{answer:?}");
            client.send(format!("GET /next{target} HTTP/1.1\r\nHost: test\r\n\r\n"));
            ensure!(client.answer("GET")?.body == format!("/next{target}").as_bytes());
            client.expect_silence()
        }
        vec![
            own("6.3: HEAD", line("HEAD {} HTTP/1.1", ""), |client, target| bare(client, target, "HEAD", 200)),
            own("6.3: HEAD of a large page", line("HEAD {}/bytes/100000 HTTP/1.1", ""), |client, target| {
                let answer = client.answer("HEAD")?;
                ensure!(text(&answer, "content-length") == "100000", "{answer:?}");
                client.send(format!("HEAD /next{target} HTTP/1.1\r\nHost: test\r\n\r\n"));
                bare(client, target, "HEAD", 200)
            }),
            own("6.3: HEAD of a page in chunks", line("HEAD {}/chunked HTTP/1.1", ""), |client, target| {
                bare(client, target, "HEAD", 200)
            }),
            own("6.3: 204", line("GET {}/status/204 HTTP/1.1", ""), |client, target| bare(client, target, "GET", 204)),
            own("6.3: 304", line("GET {}/status/304 HTTP/1.1", ""), |client, target| bare(client, target, "GET", 304)),
            own(
                "6.3: 204 for POST",
                "POST {}/status/204 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody",
                |client, target| bare(client, target, "POST", 204),
            ),
            own("6.3: 204 for HEAD", line("HEAD {}/status/204 HTTP/1.1", ""), |client, target| {
                bare(client, target, "HEAD", 204)
            }),
            own("6.3: an empty page", line("GET {}/bytes/0 HTTP/1.1", ""), |client, target| {
                bare(client, target, "GET", 200)
            }),
        ]
    }

    pub(super) fn statuses() -> Vec<Case> {
        const STATUSES: [u16; 12] = [200, 201, 206, 301, 400, 401, 404, 418, 429, 500, 503, 599];
        fn status(client: &mut Client, target: &str) -> Result<()> {
            client.answer("GET")?;
            for status in STATUSES {
                client.send(format!("GET {target}/status/{status} HTTP/1.1\r\nHost: test\r\n\r\n"));
                let answer = client.answer("GET")?;
                ensure!(
                    answer.status == status && answer.body == format!("{target}/status/{status}").as_bytes(),
                    "{answer:?}"
                );
            }
            Ok(())
        }
        vec![
            own("9110, 15: statuses are passed on", line("GET {} HTTP/1.1", ""), status)
                .behind(Behind::Exactly(1 + STATUSES.len())),
            own("7.1: chunks of an answer", line("GET {}/chunked/bytes/100000 HTTP/1.1", ""), |client, _| {
                let answer = client.answer("GET")?;
                ensure!(answer.body == interop_tests::raw_http::pattern(100_000), "{} octets", answer.body.len());
                ensure!(says(&answer.fields, "served-by", "server"), "{:?}", answer.fields);
                Ok(())
            }),
            own("6.2: a large answer", line("GET {}/bytes/3000000 HTTP/1.1", ""), |client, _| {
                let answer = client.answer("GET")?;
                ensure!(answer.body == interop_tests::raw_http::pattern(3_000_000), "{} octets", answer.body.len());
                Ok(())
            }),
        ]
    }
}

/// A client that goes away takes its request with it, and nobody else's.
#[test]
fn clients_that_go_away() {
    run(|| {
        let front = Front::open(Version::Http1)?;
        let mut client = Client::connect(front.entrance)?;
        client.send("GET /gone/hold HTTP/1.1\r\nHost: test\r\n\r\n");
        front.server.wait_for("/gone/hold", "the request", |record| record.is_whole)?;
        canary(&front, "/meanwhile")?;
        drop(client);
        front.server.wait_for("/gone/hold", "that the client has gone", |record| record.is_cut)?;
        let mut client = Client::connect(front.entrance)?;
        client.send("POST /half HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf");
        front.server.wait_for("/half", "the request", |_| true)?;
        drop(client);
        let half = front.server.wait_for("/half", "that the client has gone", |record| record.is_cut)?;
        ensure!(!half.is_whole, "{half:?}");
        canary(&front, "/afterwards")
    });
}

/// The server has begun to read a body that does not come to its end. Both sides are told.
#[test]
fn bodies_that_break_off_later() {
    run(|| {
        let front = Front::open(Version::Http1)?;
        let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n";
        let large = "Content-Length: 1000000\r\n\r\nbody";
        for (name, begin, rest, ends) in [
            ("the end within chunks", chunked, "", true),
            ("the end within a chunk", chunked, "5\r\nbo", true),
            ("a size that is none", chunked, "x\r\n", false),
            ("a chunk that is too long", chunked, "2\r\nbody\r\n", false),
            ("trailers that are none", chunked, "0\r\nbad\r\n\r\n", false),
            ("the end within a body", large, "more", true),
        ] {
            let target = format!("/{}", name.replace(' ', "-"));
            let mut client = Client::connect(front.entrance)?;
            client.send(format!("POST {target} HTTP/1.1\r\nHost: test\r\n{begin}"));
            front.server.wait_for(&target, "the request", |_| true).context(name)?;
            client.send(rest);
            if ends {
                client.end();
            }
            match client.answer("POST") {
                Ok(answer) => ensure!((400..500).contains(&answer.status), "{name}: {answer:?}"),
                Err(error) => ensure!(matches!(error.downcast_ref(), Some(Fault::Ended)), "{name}: {error:#}"),
            }
            client.expect_end().context(name)?;
            let record = front.server.wait_for(&target, "that it breaks off", |record| record.is_cut).context(name)?;
            ensure!(!record.is_whole && record.fault.is_none(), "{name}: {record:?}");
            canary(&front, &target).context(name)?;
        }
        Ok(())
    });
}
