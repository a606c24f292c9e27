//! HTTP/2, of which the client knows before (without TLS) or by ALPN.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, nghttpd, nginx, require};
use interop_tests::collector::Record;
use interop_tests::collector::code::*;
use interop_tests::harness::{output_of, run};

use crate::http1::{PIPED, check_everything, everything, write_page};
use crate::{Request, Scene};

/// Octets of the page, which take several frames.
const PAGE: usize = 40_000;

/// Runs h2load on the page of a server with such options, and checks what all requests have in common.
fn load(routers: Routers, encryption: Encryption, connections: usize, requests: usize) -> Result<()> {
    let mut scene = Scene::open(routers, encryption)?;
    let _server = scene.stage.serve(|port, site| nghttpd::serve(port, site, &[]))?;
    fs::write(scene.stage.server_folder().join("page"), vec![b'p'; PAGE])?;
    let scheme = if encryption.is_at_client() { "https" } else { "http" };
    let mut load = Command::new(require("h2load")?);
    // It would take HTTP/1.1 of a listener, which prefers that.
    load.args(["--npn-list=h2", "-m", "50", "-c", &connections.to_string(), "-n", &requests.to_string()]);
    load.arg(format!("{scheme}://127.0.0.1:{}/page", scene.stage.port()));
    let said = String::from_utf8(output_of(&mut load, &[])?)?;
    ensure!(said.contains(&format!("status codes: {requests} 2xx")), "{said}");
    let truth = vec![Request::new("HTTP/2", "GET", 200, [0, PAGE as u64]); requests];
    let records = scene.expect(connections, truth)?;
    check_streams(&records, connections)
}

/// Streams of a connection have odd ids, all different.
fn check_streams(records: &[Record], connections: usize) -> Result<()> {
    let mut streams = BTreeMap::<_, Vec<u64>>::new();
    for record in records {
        streams.entry(record.text(PARENT)).or_default().extend(record.number(STREAM_ID));
    }
    ensure!(streams.len() == connections, "{} flows", streams.len());
    for streams in streams.values_mut() {
        streams.sort_unstable();
        ensure!(streams.iter().all(|stream| stream % 2 == 1), "{streams:?}");
        ensure!(streams.windows(2).all(|pair| pair[0] < pair[1]), "{streams:?}");
    }
    Ok(())
}

#[test]
fn thousands_of_requests() {
    run(|| load(Routers::Two, Encryption::Plain, 2, 2000));
}

#[test]
fn requests_with_tls_to_the_listener() {
    run(|| load(Routers::One, Encryption::ToListener, 2, 500));
}

#[test]
fn requests_with_tls_at_both_ends() {
    run(|| load(Routers::One, Encryption::AtBothEnds, 2, 500));
}

#[test]
fn all_that_curl_and_nginx_do() {
    run(|| {
        let mut scene = Scene::open(Routers::One, Encryption::Plain)?;
        let _server = scene.stage.serve(nginx::serve_http2)?;
        write_page(&scene.stage)?;
        // curl before 8.0 uses no connection again of which it knows before that it is one of HTTP/2.
        let mut truth = everything(&scene, &["--http2-prior-knowledge"])?.apart("HTTP/2", PIPED)?;
        check_everything(&mut truth)?;
        let flows = truth.len();
        let records = scene.expect(flows, truth)?;
        ensure!(records.iter().all(|record| record.text(REASON).is_empty()), "HTTP/2 has no reasons");
        check_streams(&records, flows)
    });
}

/// Bodies and trailers both ways, header blocks in several frames, pushed answers, and header tables of every size.
#[test]
fn what_nghttp_can_do() {
    run(|| {
        let nghttp = require("nghttp")?;
        let mut scene = Scene::open(Routers::One, Encryption::Plain)?;
        let options = ["--echo-upload", "--trailer=sum: 1", "--push=/page=/pushed"];
        let _server = scene.stage.serve(|port, site| nghttpd::serve(port, site, &options))?;
        for page in ["page", "pushed"] {
            fs::write(scene.stage.server_folder().join(page), vec![b'p'; PAGE])?;
        }
        let body = scene.stage.file("body");
        fs::write(&body, vec![b'b'; PAGE])?;
        let data = format!("--data={}", body.display());
        let uri = format!("http://127.0.0.1:{}", scene.stage.port());
        let [page, other] = ["page", "other"].map(|name| format!("{uri}/{name}"));
        let sent = |octets| Request::new("HTTP/2", "POST", 200, [octets, octets]);
        let got = || Request::new("HTTP/2", "GET", 200, [0, PAGE as u64]);
        let mut truth = Vec::new();
        let mut request = |options: &[&str], uri: &str, requests: Vec<Request>| {
            truth.extend(requests);
            output_of(Command::new(&nghttp).args(options).arg("--null-out").arg(uri), &[])
        };
        request(&[], &page, vec![got()])?;
        request(&["--multiply=100"], &page, vec![got(); 100])?;
        request(&[&data, "--trailer=sum: 2"], &other, vec![sent(PAGE as u64)])?;
        request(&[&data, "--multiply=20", "--continuation"], &other, vec![sent(PAGE as u64); 20])?;
        for size in ["0", "100", "65536"] {
            let tables = [format!("--header-table-size={size}"), format!("--encoder-header-table-size={size}")];
            request(&["--multiply=20", &tables[0], &tables[1]], &page, vec![got(); 20])?;
        }
        scene.expect(7, truth).map(drop)
    });
}
