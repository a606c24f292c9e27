//! Sites that are set up from folders of resources alone.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use common::{PATIENCE, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

const ROUTER: &str = env!("CARGO_BIN_EXE_skrouterd");

/// A namespace's folder, and the site that runs there.
struct Site {
    home: PathBuf,
    process: Option<Child>,
}

impl Site {
    fn new(test: &str, name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("site-{}-{test}-{name}", std::process::id()));
        fs::create_dir_all(home.join("input/resources")).unwrap();
        let site = Self { home, process: None };
        site.write("site.yaml", &resource("Site", name, ""));
        site
    }

    fn resources(&self) -> PathBuf {
        self.home.join("input/resources")
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.resources().join(file), text).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.resources().join(file)).unwrap();
    }

    fn start(&mut self) {
        self.spawn();
        eventually("the site runs", || self.condition("Site", "Running").as_deref() == Some("OK"));
    }

    fn spawn(&mut self) {
        let log = fs::File::create(self.home.join("log")).unwrap();
        let mut command = Command::new(ROUTER);
        command.args(["site", "--resources"]).arg(self.resources()).stderr(log).stdout(Stdio::null());
        self.process = Some(command.spawn().unwrap());
    }

    fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
        process.wait().unwrap().code()
    }

    fn read(&self, below: &str) -> String {
        fs::read_to_string(self.home.join(below)).unwrap_or_default()
    }

    /// The first resource of a kind in the status file.
    fn told(&self, kind: &str, name: &str) -> Value {
        let status: Value = serde_json::from_str(&self.read("runtime/status.json")).unwrap_or_default();
        let items = status["items"].as_array().cloned().unwrap_or_default();
        let is_it = |item: &Value| item["kind"] == kind && (name.is_empty() || item["metadata"]["name"] == name);
        items.into_iter().find(is_it).map(|item| item["status"].clone()).unwrap_or_default()
    }

    /// What a condition says.
    fn condition(&self, kind: &str, condition: &str) -> Option<String> {
        let status = self.told(kind, "");
        let found = status["conditions"].as_array()?.iter().find(|c| c["type"] == condition)?;
        found["message"].as_str().map(str::to_owned)
    }

    fn eventually_says(&self, kind: &str, name: &str, expected: &str) {
        let says = || self.told(kind, name)["message"].as_str().is_some_and(|text| text.contains(expected));
        let begun = std::time::Instant::now();
        while !says() {
            let (status, log) = (self.read("runtime/status.json"), self.read("log"));
            assert!(begun.elapsed() < PATIENCE, "{kind} {name} does not say '{expected}': {status}\n{log}");
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn check(&self) -> (Option<i32>, String) {
        let done = Command::new(ROUTER).args(["site", "check"]).arg(self.resources()).output().unwrap();
        assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

fn resource(kind: &str, name: &str, spec: &str) -> String {
    let spec = if spec.is_empty() { String::new() } else { format!("spec:\n{spec}") };
    format!("apiVersion: skupper.io/v2alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n{spec}")
}

fn access(port: u16) -> String {
    let spec = format!("  bindHost: 127.0.0.1\n  roles:\n  - name: inter-router\n    port: {port}\n");
    resource("RouterAccess", "west", &spec)
}

fn service(kind: &str, key: &str, port: u16) -> String {
    resource(kind, "echo", &format!("  routingKey: {key}\n  host: 127.0.0.1\n  port: {port}\n"))
}

/// The port where links come in.
fn linked_port(site: &Site) -> u16 {
    let link = site.read("runtime/links/link-west-127.0.0.1.yaml");
    link.split_once("port: \"").unwrap().1.split_once('"').unwrap().0.parse().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that sends back what it gets; its port.
fn echo() -> u16 {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in server.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || std::io::copy(&mut client.try_clone().unwrap(), &mut client));
        }
    });
    port
}

/// Whether a word that is sent to the port comes back.
fn echoes(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut word = [0; 4];
    socket.write_all(b"word").is_ok() && socket.read_exact(&mut word).is_ok() && &word == b"word"
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Two sites with a service from the one to the other; the port of its clients.
fn linked(test: &str) -> (Site, Site, u16) {
    let (mut west, mut east) = (Site::new(test, "west"), Site::new(test, "east"));
    west.write("access.yaml", &access(free_port()));
    west.write("connector.yaml", &service("Connector", "echo", echo()));
    west.start();
    let link = west.read("runtime/links/link-west-127.0.0.1.yaml");
    assert!(link.contains("kind: Secret") && link.contains("kind: Link"), "{link}");
    let port = free_port();
    east.write("link.yaml", &link);
    east.write("listener.yaml", &service("Listener", "echo", port));
    east.start();
    (west, east, port)
}

#[test]
fn two_sites_from_folders_alone_share_a_service() {
    let (west, east, port) = linked("two");
    east.eventually_says("Link", "link-west", "OK");
    east.eventually_says("Listener", "echo", "OK");
    eventually("an echo passes", || echoes(port));
    // What they tell of each other takes some seconds: sources announce themselves every ten.
    west.eventually_says("Connector", "echo", "OK");
    eventually("west is known at east", || east.told("Link", "link-west")["remoteSiteName"] == "west");
    eventually("two sites are there", || west.told("Site", "")["sitesInNetwork"] == 2);
    let site: Value = serde_json::from_str(&west.read("runtime/resources/Site-west.yaml")).unwrap();
    assert_eq!(site["metadata"]["uid"], west.told("Site", "")["network"][0]["id"]);
    let key = west.home.join("runtime/certs/west/tls.key");
    assert_eq!((mode(&key), mode(key.parent().unwrap())), (0o600, 0o700));
    for site in [&west, &east] {
        let text = site.read("runtime/status.json") + &site.read("log");
        assert!(!text.contains("PRIVATE KEY") && !text.contains("LS0tLS1CRUdJTi"), "nothing secret is told");
    }
}

#[test]
fn what_changes_in_the_folder_is_applied() {
    let (west, east, port) = linked("changes");
    eventually("an echo passes", || echoes(port));
    // Another routing key: nobody is there, and then somebody is.
    east.write("listener.yaml", &service("Listener", "other", port));
    east.eventually_says("Listener", "echo", "No matching connectors");
    eventually("the socket closes", || !listens(port));
    let server = west.read("input/resources/connector.yaml").replace("routingKey: echo", "routingKey: other");
    west.write("connector.yaml", &server);
    eventually("an echo passes again", || echoes(port));
    // A listener that goes takes its socket with it.
    east.remove("listener.yaml");
    eventually("the socket closes", || !listens(port));
    eventually("it is told of no more", || east.told("Listener", "echo") == Value::Null);
    // What is told cannot be written, and then it can.
    let obstacle = east.home.join("runtime/.status.json.new");
    fs::create_dir(&obstacle).unwrap();
    east.write("listener.yaml", &service("Listener", "other", port));
    eventually("it listens", || listens(port));
    eventually("it is said", || east.read("log").contains("Site: runtime/status.json: "));
    fs::remove_dir(&obstacle).unwrap();
    east.eventually_says("Listener", "echo", "OK");
    assert_eq!(east.read("log").matches("Site: runtime/status.json: ").count(), 1, "it is said once");
    east.remove("listener.yaml");
    // Another one with TLS, for which a certificate is made.
    let tls = service("Listener", "other", port) + "  tlsCredentials: echo-tls\n";
    east.write("listener.json.yaml", &tls);
    eventually("a certificate is made", || east.home.join("runtime/certs/echo-tls/tls.crt").is_file());
    east.eventually_says("Listener", "echo", "OK");
}

#[test]
fn what_is_wrong_is_told_and_the_rest_goes_on() {
    let (_west, east, port) = linked("wrong");
    eventually("an echo passes", || echoes(port));
    assert_eq!(east.check().0, Some(0), "{}", east.check().1);
    // Half of an edit: what was there stays.
    east.write("listener.yaml", &service("Listener", "echo", port).replace("  port", "  port: x\n  prt"));
    east.write("broken.yaml", "kind: [\n");
    east.write("selector.yaml", &resource("Connector", "pods", "  routingKey: a\n  selector: app=a\n  port: 80\n"));
    east.write("grant.yaml", &resource("AccessGrant", "grant", ""));
    let other = resource("Listener", "far", "  routingKey: a\n  host: 203.0.113.1\n  port: 9\n");
    east.write("far.yaml", &other);
    east.eventually_says("Listener", "echo", "listener.yaml:8: spec.port is to be a number from 1 to 65535");
    east.eventually_says("Listener", "echo", "stays in force");
    east.eventually_says("Connector", "pods", "spec.selector needs Kubernetes");
    east.eventually_says("AccessGrant", "grant", "tokens are issued by the Skupper controller");
    east.eventually_says("Listener", "far", "cannot listen at 203.0.113.1:9");
    assert!(echoes(port), "the rest goes on");
    let (status, text) = east.check();
    assert_eq!(status, Some(1), "{text}");
    for told in ["broken.yaml:2: ", "listener.yaml:8: spec.port is to", "selector.yaml:7: spec.selector", "problems"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    east.write("listener.yaml", &service("Listener", "echo", port));
    for file in ["broken.yaml", "selector.yaml", "grant.yaml", "far.yaml"] {
        east.remove(file);
    }
    east.eventually_says("Listener", "echo", "OK");
    assert_eq!(east.check().0, Some(0));
    // Without a site everything stays as it was.
    east.remove("site.yaml");
    east.eventually_says("Listener", "echo", "there is no Site: what was in force before stays so");
    assert!(east.read("log").contains("Site: nothing is applied: there is no Site"), "{}", east.read("log"));
    assert!(echoes(port));
}

#[test]
fn a_site_that_starts_again_is_the_same() {
    let (mut west, east, port) = linked("again");
    eventually("an echo passes", || echoes(port));
    let files =
        ["issuers/skupper-site-ca/tls.crt", "certs/west/tls.crt", "certs/client-west/tls.key", "router/skrouterd.json"];
    let read = |west: &Site| files.map(|file| west.read(&format!("runtime/{file}")));
    let before = read(&west);
    assert!(before.iter().all(|text| !text.is_empty()));
    assert_eq!(west.stop(), Some(0));
    assert_eq!(west.condition("Site", "Running").as_deref(), Some("The router does not run"));
    west.start();
    assert_eq!(read(&west), before);
    east.eventually_says("Link", "link-west", "OK");
    eventually("an echo passes again", || echoes(port));
    // A certificate that the user brings is used, and not touched.
    let brought = west.home.join("input/certs/west");
    fs::create_dir_all(&brought).unwrap();
    for file in ["ca.crt", "tls.crt", "tls.key"] {
        fs::copy(west.home.join("runtime/certs/client-west").join(file), brought.join(file)).unwrap();
    }
    let client = west.read("runtime/certs/client-west/tls.crt");
    eventually("it is taken", || west.read("runtime/certs/west/tls.crt") == client);
}

#[test]
fn an_access_that_cannot_listen_says_so_and_listens_once_it_can() {
    let mut west = Site::new("deaf", "west");
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = [0, 1].map(|at: usize| taken[at].local_addr().unwrap().port());
    // The first one would keep a router from starting.
    west.write("access.yaml", &access(ports[0]).replace("name: west", "name: a"));
    west.start();
    west.eventually_says("RouterAccess", "a", "Address already in use");
    west.write("more.yaml", &access(ports[1]).replace("name: west", "name: b"));
    west.eventually_says("RouterAccess", "b", &format!("Address already in use - listen on 127.0.0.1:{}", ports[1]));
    assert_eq!(west.told("RouterAccess", "skupper-local")["message"], "OK");
    drop(taken);
    west.eventually_says("RouterAccess", "a", "OK");
    west.eventually_says("RouterAccess", "b", "OK");
}

#[test]
fn credentials_that_are_replaced_are_for_new_connections() {
    let (west, _east, port) = linked("rotation");
    // Another site, whose credentials are brought to west.
    let (mut other, mut north) = (Site::new("rotation", "other"), Site::new("rotation", "north"));
    let access_port = linked_port(&west);
    let other_port = free_port();
    other.write("access.yaml", &access(other_port));
    other.start();
    eventually("an echo passes", || echoes(port));
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut passes = || {
        let mut word = [0; 4];
        socket.write_all(b"word").is_ok() && socket.read_exact(&mut word).is_ok() && &word == b"word"
    };
    assert!(passes());
    let brought = west.home.join("input/certs/west");
    fs::create_dir_all(&brought).unwrap();
    let own = west.read("runtime/certs/west/tls.key");
    for file in ["ca.crt", "tls.crt"] {
        fs::copy(other.home.join("runtime/certs/west").join(file), brought.join(file)).unwrap();
    }
    // Half of it is not taken, and is in the way of nothing.
    west.eventually_says("RouterAccess", "west", "has no tls.key (what was there before stays in force)");
    assert!(listens(access_port));
    fs::write(brought.join("tls.key"), own).unwrap();
    west.eventually_says("RouterAccess", "west", "does not belong to the certificate (what was there before stays");
    let more = free_port();
    west.write("more.yaml", &service("Listener", "echo", more));
    eventually("what else is new is done", || echoes(more));
    fs::copy(other.home.join("runtime/certs/west/tls.key"), brought.join("tls.key")).unwrap();
    west.eventually_says("RouterAccess", "west", "OK");
    let link = other.read("runtime/links/link-west-127.0.0.1.yaml");
    north.write("link.yaml", &link.replace(&other_port.to_string(), &access_port.to_string()));
    north.start();
    north.eventually_says("Link", "link-west", "OK");
    assert!(passes(), "what there was goes on");
}

#[test]
fn an_edge_site_uses_services_of_the_network() {
    let (mut west, mut edge) = (Site::new("edge", "west"), Site::new("edge", "far"));
    let access = access(free_port()) + &format!("  - name: edge\n    port: {}\n", free_port());
    west.write("access.yaml", &access);
    west.write("connector.yaml", &service("Connector", "second", echo()));
    west.start();
    edge.write("site.yaml", &resource("Site", "far", "  edge: true\n"));
    edge.write("link.yaml", &west.read("runtime/links/link-west-127.0.0.1.yaml"));
    let port = free_port();
    let strategy = "  strategy: {priority: {routingKeys: [first, second]}}\n";
    let spec = format!("  host: 127.0.0.1\n  port: {port}\n{strategy}");
    edge.write("listener.yaml", &resource("MultiKeyListener", "any", &spec));
    edge.start();
    edge.eventually_says("Link", "link-west", "OK");
    eventually("an echo passes", || echoes(port));
    edge.eventually_says("MultiKeyListener", "any", "OK");
    edge.eventually_says("Site", "", "OK");
    edge.write("site.yaml", &resource("Site", "far", ""));
    edge.eventually_says("Site", "", "takes effect when the site starts again");
    assert!(echoes(port));
    edge.remove("listener.yaml");
    eventually("the socket closes", || !listens(port));
    edge.remove("link.yaml");
    eventually("its credentials go", || !edge.home.join("runtime/certs/link-west-profile").exists());
    let again = Command::new(ROUTER).args(["site", "-r"]).arg(edge.resources()).output().unwrap();
    let text = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(1) && text.contains("another process is the site in"), "{text}");
}

/// The C router, if `UPSTREAM_SKROUTERD` says where it is.
fn c_router(site: &Site) -> Option<Child> {
    let Some(program) = std::env::var_os("UPSTREAM_SKROUTERD").filter(|program| !program.is_empty()) else {
        eprintln!("left out: UPSTREAM_SKROUTERD is not set");
        return None;
    };
    let mut command = Command::new(program);
    command.args(std::env::var("UPSTREAM_ARGS").unwrap_or_default().split_whitespace());
    command.envs(std::env::var("UPSTREAM_PYTHONPATH").map(|path| ("PYTHONPATH", path)));
    command.arg("-c").arg(site.home.join("runtime/router/skrouterd.json"));
    let id = site.told("Site", "")["network"][0]["id"].as_str().unwrap().to_owned();
    Some(command.env("SKUPPER_SITE_ID", id).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[test]
fn the_c_router_takes_what_is_made_for_a_site() {
    let (west, mut east, port) = linked("upstream");
    eventually("an echo passes", || echoes(port));
    assert_eq!(east.stop(), Some(0));
    east.process = c_router(&east);
    if east.process.is_none() {
        return;
    }
    eventually("an echo passes through the C router", || echoes(port));
    west.eventually_says("Connector", "echo", "OK");
    eventually("it tells of its site", || west.told("Site", "")["network"][1]["name"] == "east");
}

#[test]
fn a_site_that_comes_later_is_waited_for() {
    let mut site = Site::new("later", "later");
    site.write("site.yaml", "apiVersion: skupper.io/v2alpha1\nkind: Site\nmetadata:\n  name: Bad_Name\n");
    for is_asked_to_end in [true, false] {
        site.spawn();
        eventually("it waits", || site.read("log").contains("Site: waits for a Site in"));
        let log = site.read("log");
        assert!(log.contains("site.yaml:4: metadata.name 'Bad_Name' is to be"), "{log}");
        if is_asked_to_end {
            assert_eq!(site.stop(), Some(0));
        }
    }
    site.write("site.yaml", &resource("Site", "later", ""));
    eventually("the site runs", || site.condition("Site", "Running").as_deref() == Some("OK"));
    let reloads = || site.read("log").matches("Configuration reloaded").count();
    let before = reloads();
    kill(Pid::from_raw(site.process.as_ref().unwrap().id().cast_signed()), Signal::SIGHUP).unwrap();
    eventually("it has read its files again", || reloads() > before);
    site.write("more.yaml", &service("Listener", "more", 1));
    eventually("it goes on", || site.told("Listener", "echo")["status"] == "Pending");
    assert_eq!(reloads(), before + 2, "once each: {}", site.read("log"));
    assert_eq!(site.stop(), Some(0));
    let done = Command::new(ROUTER).args(["site", "--help"]).output().unwrap();
    assert!(String::from_utf8(done.stdout).unwrap().starts_with("Usage: "));
    assert_eq!(done.status.code(), Some(0));
}
