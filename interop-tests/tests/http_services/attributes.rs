//! What attributes of listeners and connectors do.

use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::require;
use interop_tests::harness::{Port, eventually, finish, output_of, run};
use interop_tests::http_services::{MULTICAST, Net, Shape, Version};
use interop_tests::raw_http::{Recorder, http1};

use crate::TLS;

/// What a listener answers to a request.
fn asked(entrance: std::net::SocketAddr, method: &str) -> Result<http1::Answer> {
    let mut client = http1::Client::connect(entrance)?;
    let body = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
    client.send(format!("{method} /asked HTTP/1.1\r\nHost: test\r\n{body}")).answer(method)
}

#[test]
fn host_override() {
    run(|| {
        let (mut net, server) = (Net::start(Shape::Two)?, Recorder::start("server")?);
        let entrance =
            net.serve_with(Version::Http1, server.address(), &[], &[("hostOverride", "other.example:80")])?;
        ensure!(asked(entrance, "GET")?.status == 200);
        let record = server.wait_for("/asked", "the request", |record| record.is_whole)?;
        ensure!(record.authority == "other.example:80" && record.fault.is_none(), "{record:?}");
        Ok(())
    });
}

/// A client without a certificate is turned away.
#[test]
fn authenticated_clients() {
    run(|| {
        let curl = require("curl")?;
        for version in [Version::Http1, Version::Http2] {
            let (mut net, server) = (Net::start(Shape::One)?, Recorder::start("server")?);
            let strict = [&TLS[..], &[("authenticatePeer", "yes")]].concat();
            let entrance = net.serve_with(version, server.address(), &strict, &[])?;
            let files = net.certificates();
            let mut command = Command::new(&curl);
            command.args(["--silent", "--show-error", "--fail", "--max-time", "30", "--cacert"]).arg(&files.ca);
            command.arg(format!("https://localhost:{}/asked", entrance.port()));
            let refused = finish(&mut command, &[], std::time::Duration::from_secs(40))?;
            ensure!(!refused.status.success(), "a stranger was let in");
            command.arg("--cert").arg(&files.certificate).arg("--key").arg(&files.key);
            ensure!(output_of(&mut command, &[])? == b"/asked");
        }
        Ok(())
    });
}

/// Only clients with one of the names are let in; the others are counted. A tcpListener does the same.
#[test]
fn clients_by_name() {
    run(|| {
        let curl = require("curl")?;
        for kind in ["httpListener", "tcpListener"] {
            let (mut net, server) = (Net::start(Shape::One)?, Recorder::start("server")?);
            net.serve(Version::Http1, server.address())?;
            let mut management = net.management(0)?;
            let server_port = server.address().port().to_string();
            let at = [("host", "127.0.0.1"), ("port", &*server_port), ("address", "web-tcp")];
            management.create("tcpConnector", "web-tcp", &at)?;
            for (allowed, is_let_in) in [("nobody; somebody", false), ("nobody; localhost", true)] {
                let port = Port::reserve()?;
                let number = port.number().to_string();
                let address = if kind == "tcpListener" { "web-tcp" } else { "web" };
                let own =
                    [("host", "127.0.0.1"), ("port", &*number), ("address", address), ("allowedClients", allowed)];
                let strict = [&TLS[..], &own, &[("authenticatePeer", "yes")]].concat();
                let name = format!("{kind}-{is_let_in}");
                management.create(kind, &name, &strict)?;
                eventually("it listens", || Ok(TcpStream::connect(port.address()).map(drop)?))?;
                let files = net.certificates();
                let mut command = Command::new(&curl);
                command.args(["--silent", "--show-error", "--fail", "--max-time", "30", "--cacert"]).arg(&files.ca);
                command.arg("--cert").arg(&files.certificate).arg("--key").arg(&files.key);
                command.arg(format!("https://localhost:{number}/asked"));
                let ended = finish(&mut command, &[], std::time::Duration::from_secs(40))?;
                ensure!(ended.status.success() == is_let_in, "{kind} {allowed}: {ended:?}");
                let rows = management.query(kind)?;
                let row = rows.iter().find(|row| row["name"].as_str() == Some(&name)).context("the listener")?;
                ensure!(row["connectionsRefused"].as_u64() == Some(u64::from(!is_let_in)), "{row:?}");
            }
        }
        Ok(())
    });
}

/// Listeners of each protocol speak that one, whatever else a client with TLS offers.
#[test]
fn protocols_by_alpn() {
    run(|| {
        let curl = require("curl")?;
        let asked = |version: Version, options: &[&str]| -> Result<String> {
            let (mut net, server) = (Net::start(Shape::One)?, Recorder::start("server")?);
            let entrance = net.serve_with(version, server.address(), &TLS, &[])?;
            let mut command = Command::new(&curl);
            command.args(["--silent", "--max-time", "30", "--output", "/dev/null", "--write-out", "%{http_version}"]);
            command.args(options).arg("--cacert").arg(&net.certificates().ca);
            command.arg(format!("https://localhost:{}/asked", entrance.port()));
            let ended = finish(&mut command, &[], std::time::Duration::from_secs(40))?;
            Ok(String::from_utf8(ended.stdout)?)
        };
        for (version, options, expected) in [
            (Version::Http1, &["--http1.1"][..], "1.1"),
            (Version::Http1, &["--http2"], "1.1"),
            (Version::Http1, &["--http1.0"], "1"),
            (Version::Http1, &["--http1.1", "--no-alpn"], "1.1"),
            (Version::Http2, &["--http2"], "2"),
            (Version::Http2, &["--http1.1"], "0"),
        ] {
            let spoken = asked(version, options)?;
            // An answer to HTTP/1.0 may be marked as one of 1.1.
            let is_right = spoken == expected || (expected == "1" && spoken == "1.1");
            ensure!(is_right, "{version:?} with {options:?}: {spoken}, not {expected}");
        }
        Ok(())
    });
}

/// The answer tells nothing but that the event was taken.
#[test]
fn event_channels() {
    run(|| {
        let mut net = Net::start(Shape::Two)?;
        let servers = [Recorder::start("a")?, Recorder::start("b")?];
        let address = format!("{MULTICAST}/events");
        let entrance = net.listen(0, &address, Version::Http1, &[("eventChannel", "true")])?;
        for (at, server) in servers.iter().enumerate() {
            net.connect(at, &address, Version::Http1, server.address(), &[("eventChannel", "true")])?;
        }
        net.wait_for_servers(0, &address, 1, 1)?;
        for _ in 0..3 {
            let answer = asked(entrance, "POST")?;
            ensure!(answer.status == 204 && answer.body.is_empty(), "{answer:?}");
        }
        for server in &servers {
            let record = server.wait_for("/asked", "the event", |record| record.is_whole)?;
            ensure!(record.method == "POST" && record.body == b"body", "{record:?}");
        }
        let refused = asked(entrance, "GET")?;
        ensure!(refused.status == 405, "{refused:?}");
        Ok(())
    });
}

/// One answer tells what all servers have said.
fn aggregated(how: &str) -> Result<http1::Answer> {
    let mut net = Net::start(Shape::Two)?;
    let servers = [Recorder::start("a")?, Recorder::start("b")?];
    let address = format!("{MULTICAST}/all");
    let entrance = net.listen(0, &address, Version::Http1, &[("aggregation", how)])?;
    for (at, server) in servers.iter().enumerate() {
        net.connect(at, &address, Version::Http1, server.address(), &[("aggregation", how)])?;
    }
    net.wait_for_servers(0, &address, 1, 1)?;
    let answer = asked(entrance, "GET")?;
    ensure!(answer.status == 200, "{answer:?}");
    for server in &servers {
        server.wait_for("/asked", "the request", |record| record.is_whole && record.method == "GET")?;
    }
    Ok(answer)
}

#[test]
fn aggregation_as_json() {
    run(|| {
        let answer = aggregated("json")?;
        let parts: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(parts.len() == 2 && parts.iter().all(|part| part["body"] == "/asked"), "{parts:?}");
        Ok(())
    });
}

#[test]
fn aggregation_in_parts() {
    run(|| {
        let answer = aggregated("multipart")?;
        let kind = interop_tests::raw_http::field(&answer.fields, "content-type").unwrap_or_default().to_vec();
        let kind = String::from_utf8(kind)?;
        let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap_or_default().to_owned();
        let body = String::from_utf8(answer.body)?;
        let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
        ensure!(!boundary.is_empty() && parts.len() == 4 && parts[3].starts_with("--"), "{kind}: {body}");
        ensure!(parts[1..3].iter().all(|part| part.trim_end().ends_with("\r\n\r\n/asked")), "{body}");
        Ok(())
    });
}
