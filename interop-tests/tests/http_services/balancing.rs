//! Requests are balanced one by one, whatever connection they come on.

use anyhow::{Result, ensure};
use interop_tests::harness::run;
use interop_tests::http_services::{Net, Shape, Version};
use interop_tests::raw_http::Recorder;

use crate::load::h2load;

/// The address of the service.
const SERVICE: &str = "shared";
const REQUESTS: usize = 10_000;

/// What share of the requests a server gets.
#[derive(Clone, Copy)]
enum Share {
    /// That of the others, but for so much of it.
    Even(f64),
    /// At least so much of an even one. Routers tell each other of addresses, not of how many serve them: to the clients' router
    /// all servers of the other site are one destination, and one that is further away.
    AtLeast(f64),
}

/// Two servers behind each of two routers; clients of one connection or many get to all of them alike.
fn check(shape: Shape, version: Version, options: &[&str], share: Share) -> Result<()> {
    let mut net = Net::start(shape)?;
    let servers = ["a", "b", "c", "d"].map(Recorder::start).into_iter().collect::<Result<Vec<_>>>()?;
    let (front, back) = (net.front(), net.back());
    let entrance = net.listen(front, SERVICE, version, &[])?;
    for (number, server) in servers.iter().enumerate() {
        net.connect(if number < 2 { 0 } else { back }, SERVICE, version, server.address(), &[])?;
    }
    match shape {
        Shape::Three => net.wait_for_servers(front, SERVICE, 0, 2)?,
        _ => net.wait_for_servers(front, SERVICE, 2, 1)?,
    }
    [0, back].into_iter().try_for_each(|site| net.wait_for_servers(site, SERVICE, 2, 1))?;
    // The first requests find the connections to servers.
    h2load("http", entrance, "/warm", 100, options)?;
    servers.iter().for_each(Recorder::forget);
    h2load("http", entrance, "/counted", REQUESTS, options)?;
    let counts: Vec<_> = servers.iter().map(Recorder::count).collect();
    println!("{counts:?}");
    ensure!(counts.iter().sum::<usize>() == REQUESTS, "{counts:?}");
    let due = REQUESTS as f64 / servers.len() as f64;
    let gets_it = |count: &usize| match share {
        Share::Even(tolerance) => (*count as f64 - due).abs() <= tolerance * due,
        Share::AtLeast(part) => *count as f64 >= part * due,
    };
    ensure!(counts.iter().all(gets_it), "of {due} each: {counts:?}");
    net.expect_no_errors()
}

#[test]
fn http1_clients_at_one_of_the_sites() {
    run(|| check(Shape::Two, Version::Http1, &["--h1", "-c", "20"], Share::AtLeast(0.25)));
}

#[test]
fn http1_clients_between_the_sites() {
    run(|| check(Shape::Three, Version::Http1, &["--h1", "-c", "20"], Share::Even(0.1)));
}

#[test]
fn one_http2_connection_at_one_of_the_sites() {
    run(|| check(Shape::Two, Version::Http2, &["-c", "1", "-m", "100"], Share::AtLeast(0.25)));
}

#[test]
fn one_http2_connection_between_the_sites() {
    run(|| check(Shape::Three, Version::Http2, &["-c", "1", "-m", "100"], Share::Even(0.25)));
}
