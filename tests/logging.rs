//! The daemon goes on whatever becomes of its log.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use common::{PATIENCE, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const ROUTER: &str = env!("CARGO_BIN_EXE_skrouterd");

/// More lines than a pipe holds.
const CLIENTS: usize = 600;
/// Connections of one host that fail and are logged each, with room to spare; beyond that the log leaves some out.
const CLIENTS_OF_HOST: usize = 50;

/// A router with an AMQP listener, ended and tidied up when dropped.
struct Router {
    folder: PathBuf,
    process: Child,
    port: u16,
}

impl Router {
    fn start(test: &str, output: &str, stdout: Stdio, stderr: Stdio) -> Self {
        Self::start_with_format(test, output, "", stdout, stderr)
    }

    fn start_with_format(test: &str, output: &str, format: &str, stdout: Stdio, stderr: Stdio) -> Self {
        let folder = std::env::temp_dir().join(format!("logging-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output = output.replace("FOLDER", &folder.display().to_string());
        let config = format!(
            "router {{\n mode: standalone\n id: A\n}}\n\
             listener {{\n host: 127.0.0.1\n port: {port}\n authenticatePeer: no\n saslMechanisms: ANONYMOUS\n}}\n\
             log {{\n module: DEFAULT\n enable: debug+\n outputFile: {output}\n}}\n"
        );
        std::fs::write(folder.join("router.conf"), config).unwrap();
        let mut command = Command::new(ROUTER);
        command.arg("-c").arg(folder.join("router.conf")).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        command.env("SKUPPER_ROUTER_LOG_FORMAT", format);
        let router = Self { folder, process: command.spawn().unwrap(), port };
        eventually("the router listens", || TcpStream::connect(("127.0.0.1", port)).is_ok_and(is_served));
        router
    }

    /// A client gets the answer to its header.
    fn serve(&self) {
        self.serve_from(Ipv4Addr::LOCALHOST);
    }

    /// Many clients do, from several hosts.
    fn serve_many(&self) {
        (0..CLIENTS).for_each(|n| self.serve_from(Ipv4Addr::new(127, 0, 1, (n / CLIENTS_OF_HOST) as u8)));
    }

    fn serve_from(&self, host: Ipv4Addr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into()).unwrap();
        assert!(is_served(socket.into()));
    }

    fn stop(&mut self) -> Option<i32> {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn is_served(mut client: TcpStream) -> bool {
    const HEADER: &[u8; 8] = b"AMQP\x03\x01\x00\x00";
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(HEADER).unwrap();
    let mut header = [0; 8];
    client.read_exact(&mut header).is_ok() && header == *HEADER
}

/// What the process writes to stderr until it ends.
fn stderr(router: &mut Router) -> String {
    let mut text = String::new();
    router.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_full_disk_costs_lines_only() {
    let mut router = Router::start("full", "/dev/full", Stdio::null(), Stdio::piped());
    router.serve_many();
    assert_eq!(router.stop(), Some(0));
    let text = stderr(&mut router);
    assert_eq!(text.matches("Cannot write log output to '/dev/full': No space left on device").count(), 1, "{text}");
}

#[test]
fn a_log_file_that_cannot_be_opened_is_tried_again() {
    let mut router = Router::start("missing", "FOLDER/later/router.log", Stdio::null(), Stdio::piped());
    router.serve();
    std::fs::create_dir(router.folder.join("later")).unwrap();
    let file = router.folder.join("later/router.log");
    eventually("the log begins", || {
        std::fs::read_to_string(&file).is_ok_and(|log| log.contains("Router started in Standalone mode"))
    });
    assert_eq!(router.stop(), Some(0));
    let log = std::fs::read_to_string(&file).unwrap();
    assert!(log.contains("takes lines again; 0 were lost"), "{log}");
    assert!(log.ends_with("\n") && log.contains("Shut Down"), "{log}");
    let text = stderr(&mut router);
    assert_eq!(text.matches("Failed to open log file").count(), 1, "{text}");
}

#[test]
fn a_log_file_that_is_renamed_or_removed_is_begun_anew() {
    let mut router = Router::start("moved", "FOLDER/log", Stdio::null(), Stdio::null());
    let (log, old) = (router.folder.join("log"), router.folder.join("log.1"));
    std::fs::rename(&log, &old).unwrap();
    let begins = || {
        router.serve();
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("Accepted connection"))
    };
    eventually("lines go to a new file", begins);
    let length = std::fs::metadata(&old).unwrap().len();
    std::fs::remove_file(&log).unwrap();
    eventually("lines go to a third file", begins);
    assert_eq!(std::fs::metadata(&old).unwrap().len(), length, "nothing more comes to the first");
    // Copied and cut.
    std::fs::File::create(&log).unwrap();
    eventually("lines go on in the same file", begins);
    assert_eq!(std::fs::read(&log).unwrap().first(), Some(&b'2'), "no hole at its beginning");
    assert_eq!(router.stop(), Some(0));
}

#[test]
fn a_reader_that_is_gone_costs_lines_only() {
    for output in ["stdout", "stderr"] {
        let mut router = Router::start(output, output, Stdio::piped(), Stdio::piped());
        drop((router.process.stdout.take(), router.process.stderr.take()));
        (0..20).for_each(|_| router.serve());
        assert_eq!(router.stop(), Some(0), "{output}");
    }
}

#[test]
fn a_reader_that_stalls_holds_nobody_up() {
    for output in ["stdout", "stderr"] {
        let mut router = Router::start(&format!("stall-{output}"), output, Stdio::piped(), Stdio::piped());
        router.serve_many();
        // When it reads again it gets everything, in order.
        let pipe: Box<dyn Read + Send> = match output {
            "stdout" => Box::new(router.process.stdout.take().unwrap()),
            _ => Box::new(router.process.stderr.take().unwrap()),
        };
        let mut lines = BufReader::new(pipe).lines().map(Result::unwrap);
        let mut numbers = Vec::new();
        while numbers.len() < CLIENTS {
            let line = lines.next().unwrap();
            if let Some((_, rest)) = line.split_once("[C")
                && let Some((number, _)) = rest.split_once("] Accepted connection")
            {
                numbers.push(number.parse::<u32>().unwrap());
            }
        }
        assert!(numbers.is_sorted(), "{numbers:?}");
        let rest = std::thread::spawn(move || lines.last());
        assert_eq!(router.stop(), Some(0));
        rest.join().unwrap();
    }
}

#[test]
fn a_reader_that_stalls_does_not_hold_up_the_end() {
    let mut router = Router::start("end", "stdout", Stdio::piped(), Stdio::null());
    router.serve_many();
    assert_eq!(router.stop(), Some(0));
}

#[test]
fn lines_are_objects_where_json_is_asked_for() {
    let file = "FOLDER/router.log";
    let mut router = Router::start_with_format("json", file, "json,stderr=text,x", Stdio::null(), Stdio::piped());
    router.serve();
    assert_eq!(router.stop(), Some(0));
    let log = std::fs::read_to_string(router.folder.join("router.log")).unwrap();
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let accepted = |e: &&serde_json::Value| e["message"].as_str().unwrap().starts_with("Accepted connection to ");
    let event = events.iter().find(accepted).unwrap();
    assert_eq!((&event["module"], &event["level"]), (&"SERVER".into(), &"info".into()));
    assert!(event["conn"].is_u64() && event.get("link").is_none() && event["timestamp"].is_string(), "{event}");
    let text = stderr(&mut router);
    let complaint = "ROUTER (warning) SKUPPER_ROUTER_LOG_FORMAT: 'x' is ignored; formats are text and json\n";
    assert!(text.contains(complaint), "{text}");
}

#[test]
fn a_module_may_have_a_format_of_its_own() {
    let more = "FOLDER/router.log\n format: json\n}\nlog {\n module: SERVER\n format: text";
    let mut router = Router::start_with_format("formats", more, "text", Stdio::null(), Stdio::null());
    router.serve();
    assert_eq!(router.stop(), Some(0));
    let log = std::fs::read_to_string(router.folder.join("router.log")).unwrap();
    let (objects, lines): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.starts_with('{'));
    let modules = objects.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["module"].clone());
    assert!(modules.into_iter().all(|module| module != "SERVER") && objects.len() > 3, "{log}");
    assert!(lines.iter().all(|line| line.contains(" SERVER (")) && lines.len() > 1, "{log}");
}
