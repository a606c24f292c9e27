//! Routers that fail in known ways, and what they log of it.

use crate::chapter::{ROUTER, Scratch, free_ports};
use crate::common::PATIENCE;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Routers beside each other, each with something that is wrong.
pub(crate) struct Failures {
    routers: Vec<Child>,
    folder: Scratch,
    /// Takes connections and says nothing.
    mute: TcpListener,
}

/// An authority and certificates of it.
struct Authority(Issuer<'static, KeyPair>);

// === impl Authority ===

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join(format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    fn certify(&self, folder: &Path, name: &str, is_over: bool) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if is_over {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn profile(authority: &str, name: &str) -> String {
    format!(
        "sslProfile {{\n name: p\n caCertFile: {authority}.crt\n certFile: {name}.crt\n privateKeyFile: {name}.key\n}}\n"
    )
}

fn listener(port: u16) -> String {
    format!(
        "listener {{\n role: inter-router\n host: localhost\n port: {port}\n sslProfile: p\n requireSsl: yes\n \
         authenticatePeer: yes\n saslMechanisms: EXTERNAL\n}}\n"
    )
}

fn connector(host: &str, port: u16, mechanism: &str) -> String {
    format!(
        "connector {{\n role: inter-router\n host: {host}\n port: {port}\n sslProfile: p\n saslMechanisms: {mechanism}\n}}\n"
    )
}

// === impl Failures ===

impl Failures {
    pub(crate) fn start() -> Self {
        let folder = Scratch::new("failures");
        let path = &folder.0;
        let (ours, other) = (Authority::new(path, "ours"), Authority::new(path, "other"));
        ours.certify(path, "west", false);
        ours.certify(path, "east", false);
        ours.certify(path, "over", true);
        other.certify(path, "stranger", false);
        let [west, over, amqp, http, tcp, gone, own, proxied, refused] = free_ports(9).try_into().unwrap();
        let good = profile("ours", "east");
        let dial =
            |profile: &str, host: &str, port, mechanism| format!("{profile}{}", connector(host, port, mechanism));
        let clients = |host: &str, port| format!("listener {{\n host: {host}\n port: {port}\n}}\n");
        let page = format!("listener {{\n host: 127.0.0.1\n port: {http}\n http: yes\n}}\n");
        let service = |name: &str, port, more: &str| {
            format!("tcpListener {{\n name: {name}\n address: web\n host: 127.0.0.1\n port: {port}\n {more}\n}}\n")
        };
        let server = format!("tcpConnector {{\n name: server\n address: web\n host: 127.0.0.1\n port: {gone}\n}}\n");
        let base = format!(
            "{}{}{}{page}{server}{}{}",
            profile("ours", "west"),
            clients("127.0.0.1", amqp),
            listener(west),
            service("web", tcp, ""),
            service("proxied", proxied, "proxyProtocol: accept"),
        );
        let mut failures = Self { routers: Vec::new(), folder, mute: TcpListener::bind("127.0.0.1:0").unwrap() };
        failures.run("west", &base, &[]);
        failures.wait_for(" Operational");
        failures.run("over", &format!("{}{}", profile("ours", "over"), listener(over)), &[]);
        failures.run("refused", &dial(&good, "localhost", refused, "EXTERNAL"), &[]);
        failures.run("nameless", &dial(&good, "nowhere.invalid", west, "EXTERNAL"), &[]);
        failures.run("stranger", &dial(&profile("other", "east"), "localhost", west, "EXTERNAL"), &[]);
        failures.run("astray", &dial(&profile("ours", "stranger"), "localhost", west, "EXTERNAL"), &[]);
        failures.run("misnamed", &dial(&good, "127.0.0.1", west, "EXTERNAL"), &[]);
        failures.run("late", &dial(&good, "localhost", over, "EXTERNAL"), &[]);
        failures.run("unknown", &dial(&good, "localhost", west, "PLAIN"), &[]);
        failures.run("west", &dial(&good, "localhost", west, "EXTERNAL"), &[]);
        let second = [clients("127.0.0.1", own), page.clone(), server.clone(), service("web", tcp, "")].concat();
        failures.run("second", &second, &[]);
        failures.run("taken", &clients("127.0.0.1", amqp), &[]);
        failures.run("waiting", &format!("{}{}", profile("ours", "nobody"), listener(own)), &["--await-certificates"]);
        let mute = failures.mute.local_addr().unwrap().port();
        let impatient = format!("connector {{\n host: 127.0.0.1\n port: {mute}\n idleTimeoutSeconds: 1\n}}\n");
        failures.run("impatient", &impatient, &[]);
        for port in [amqp, tcp, proxied] {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
                let _ = stream.shutdown(std::net::Shutdown::Write);
            }
        }
        failures
    }

    fn run(&mut self, id: &str, config: &str, options: &[&str]) {
        let name = format!("{}-{id}", self.routers.len());
        let router = format!("router {{\n mode: interior\n id: {id}\n}}\n");
        fs::write(self.folder.0.join(format!("{name}.conf")), router + config).unwrap();
        let log = File::create(self.folder.0.join(format!("{name}.log"))).unwrap();
        let mut command = Command::new(ROUTER);
        command.args(["-c", &format!("{name}.conf")]).args(options).current_dir(&self.folder.0);
        self.routers.push(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    fn lines(&self) -> String {
        let files = fs::read_dir(&self.folder.0).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|log| fs::read_to_string(log).unwrap_or_default()).collect()
    }

    fn wait_for(&self, text: &str) {
        crate::common::eventually(text, || self.lines().contains(text));
    }

    /// Whether one of them logs, soon, what is like the line.
    pub(crate) fn log(&self, line: &str) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // The time is in front.
            let untimed = |line: &str| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned();
            if self.lines().lines().map(untimed).any(|logged| crate::shell::is_like(&logged, line)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        for router in &mut self.routers {
            let _ = router.kill();
            let _ = router.wait();
        }
    }
}
