//! HTTP/1.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, Server, Site, Stage, ncat, nginx, require, websocket};
use interop_tests::collector::code::*;
use interop_tests::harness::{Dialogue, Port, output_of, run};
use interop_tests::tcp::connect;

use crate::curl::Curl;
use crate::{Request, Scene};

/// Octets of the page.
const PAGE: usize = 12_345;
/// Octets of a file that curl sends only when it is told to go on.
const LARGE: usize = 2 << 20;
/// What curl reads and sends on.
pub(crate) const PIPED: &[u8] = &[b'y'; 300_000];

/// nginx with a page.
pub(crate) fn nginx_with_page(stage: &mut Stage) -> Result<Server> {
    let server = stage.serve(nginx::serve)?;
    write_page(stage)?;
    Ok(server)
}

pub(crate) fn write_page(stage: &Stage) -> Result<()> {
    let text: Vec<_> = b"0123456789".iter().copied().cycle().take(PAGE).collect();
    Ok(fs::write(stage.server_folder().join(nginx::PAGES).join("page"), text)?)
}

/// All that nginx knows, for curl with such options.
pub(crate) fn everything(scene: &Scene, options: &[&str]) -> Result<Curl> {
    let large = scene.stage.file("large");
    fs::write(&large, vec![b'x'; LARGE])?;
    let large = large.display().to_string();
    let mut curl = Curl::new(&scene.stage, options)?;
    (0..5).for_each(|_| curl.request(&[], "/page"));
    curl.request(&["--head"], "/page");
    curl.request(&["--upload-file", &large], "/new");
    // Of a length that nobody knows before.
    curl.request(&["--upload-file", "-"], "/new");
    curl.request(&["--header", "Accept-Encoding: gzip"], "/squeezed/new");
    curl.request(&["--header", "If-None-Match: *"], "/page");
    curl.request(&["--range", "100-199"], "/page");
    curl.request(&[], "/nothing");
    curl.request(&[], "/missing");
    curl.request(&["--request", "DELETE"], "/new");
    curl.request(&["--data", "a=b"], "/page");
    Ok(curl)
}

/// What curl tells of that, with the input [`PIPED`].
pub(crate) fn check_everything(truth: &mut [Request]) -> Result<()> {
    let results: Vec<_> = truth.iter().skip(5).map(|request| request.result.as_str()).collect();
    ensure!(results == ["200", "201", "204", "200", "304", "206", "204", "404", "204", "405"], "{truth:?}");
    ensure!(truth[6].octets[0] == LARGE as u64, "{truth:?}");
    // curl counts the lines between chunks, too, which are no part of a body.
    ensure!((PIPED.len()..PIPED.len() + 100).contains(&usize::try_from(truth[7].octets[0])?), "{truth:?}");
    truth[7].octets[0] = PIPED.len() as u64;
    Ok(())
}

fn everything_through(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut scene = Scene::open(routers, encryption)?;
    let _server = nginx_with_page(&mut scene.stage)?;
    let mut truth = everything(&scene, &["--http1.1"])?.together("HTTP/1.1", PIPED)?;
    check_everything(&mut truth)?;
    let records = scene.expect(1, truth)?;
    let reasons: Vec<_> = records.iter().map(|record| (record.text(RESULT), record.text(REASON))).collect();
    ensure!(reasons.contains(&("404", "Not Found")) && reasons.contains(&("206", "Partial Content")), "{reasons:?}");
    Ok(())
}

#[test]
fn all_that_curl_and_nginx_do() {
    run(|| everything_through(Routers::One, Encryption::Plain));
}

#[test]
fn all_that_curl_and_nginx_do_with_tls() {
    run(|| everything_through(Routers::Two, Encryption::AtBothEnds));
}

/// The end of the connection is that of the answer.
#[test]
fn answers_without_a_length() {
    run(|| {
        let mut scene = Scene::open(Routers::One, Encryption::Plain)?;
        let _server = nginx_with_page(&mut scene.stage)?;
        let mut curl = Curl::new(&scene.stage, &["--http1.0"])?;
        curl.request(&["--header", "Accept-Encoding: gzip"], "/squeezed/page");
        curl.request(&[], "/page");
        let truth = curl.together("HTTP/1.0", &[])?;
        ensure!(truth.iter().all(|request| request.octets[1] > 0), "{truth:?}");
        scene.expect(2, truth).map(drop)
    });
}

/// All requests are sent before an answer has come, and at an odd pace.
#[test]
fn pipelined_requests() {
    run(|| {
        let mut scene = Scene::open(Routers::One, Encryption::Plain)?;
        let _server = nginx_with_page(&mut scene.stage)?;
        let mut requests = String::new();
        let mut truth = Vec::new();
        for n in 0..20 {
            let from = format!("Host: x\r\nX-Forwarded-For: 192.0.2.{n}, 198.51.100.1\r\n");
            requests += &format!("GET /page HTTP/1.1\r\n{from}\r\nHEAD /page HTTP/1.1\r\n{from}\r\n");
            requests += &format!("PUT /new{n} HTTP/1.1\r\n{from}Content-Length: {n}\r\n\r\n{}", "z".repeat(n));
            truth.push(Request::new("HTTP/1.1", "GET", 200, [0, PAGE as u64]));
            truth.push(Request::new("HTTP/1.1", "HEAD", 200, [0, 0]));
            truth.push(Request::new("HTTP/1.1", "PUT", 201, [n as u64, 0]));
        }
        requests += "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        truth.push(Request::new("HTTP/1.1", "GET", 204, [0, 0]));
        let mut client = connect(scene.stage.entrance())?;
        for piece in requests.as_bytes().chunks(97) {
            client.write_all(piece)?;
        }
        client.read_to_end(&mut Vec::new())?;
        drop(client);
        let records = scene.expect(1, truth)?;
        let from_7 = records.iter().filter(|record| record.text(SOURCE_HOST) == "192.0.2.7").count();
        ensure!(from_7 == 3, "{from_7} requests of that client");
        Ok(())
    });
}

/// The request has ended when its connection changes over, and what passes then is of no request.
#[test]
fn websocket_ends_the_request() {
    run(|| {
        let mut scene = Scene::open(Routers::One, Encryption::Plain)?;
        let _server = scene.stage.serve(websocket::serve)?;
        let mut client = Dialogue::start(&mut websocket::client(&scene.stage)?)?;
        client.hear("open")?;
        let switched = vec![Request::new("HTTP/1.1", "GET", 101, [0, 0])];
        scene.expect_meanwhile(1, switched.clone())?;
        for octets in [10, 100_000, 1_000_000] {
            client.say(&octets.to_string())?;
            client.hear(&format!("echoed {octets}"))?;
        }
        client.end_input();
        client.hear("closed 1000")?;
        scene.expect(1, switched)?;
        let flows = scene.collector.records(BIFLOW_TPORT)?;
        let octets = flows.values().next().and_then(|flow| flow.number(OCTETS));
        ensure!(octets > Some(1_100_000), "{octets:?}");
        Ok(())
    });
}

/// A request to a proxy ends with its connection to elsewhere; requests to elsewhere are none of the observer's.
#[test]
fn connect_ends_the_request() {
    run(|| {
        let mut scene = Scene::open(Routers::One, Encryption::Plain)?;
        let _proxy = scene.stage.serve(ncat::serve_proxy)?;
        let elsewhere = scene.stage.file("elsewhere");
        fs::create_dir_all(elsewhere.join(nginx::PAGES))?;
        fs::write(elsewhere.join(nginx::PAGES).join("page"), "hello")?;
        let port = Port::reserve()?;
        let target = format!("127.0.0.1:{}", port.number());
        let _server = nginx::serve(port, Site { folder: &elsewhere, tls: None })?;
        let mut curl = Command::new(require("curl")?);
        curl.args(["--silent", "--show-error", "--fail", "--proxytunnel", "--proxy"]);
        curl.arg(scene.stage.entrance().to_string()).args(vec![format!("http://{target}/page"); 3]);
        let said = output_of(&mut curl, &[])?;
        ensure!(said == b"hellohellohello", "{}", said.escape_ascii());
        scene.expect(1, vec![Request::new("HTTP/1.1", "CONNECT", 200, [0, 0])]).map(drop)
    });
}
