//! Certificates and keys as people make them with the `openssl` command: between routers, and on TCP services with
//! OpenSSL's and GnuTLS's own programs as servers and clients.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Binary, Certificates, Identity, Port, eventually, patience, run, skip_unless};
use interop_tests::topology::Dialler::{Left, Right};
use interop_tests::topology::Security::MutualTls;
use interop_tests::topology::{Dialler, LineBuilder};

const KINDS: [Identity; 5] =
    [Identity::Modern, Identity::Version1, Identity::Version1Root, Identity::OwnAuthority, Identity::EncryptedKey];

/// A process, ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn require(program: &str) -> Result<()> {
    let mut command = Command::new(program);
    let found = command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    skip_unless(found.ok().map(|_| ()), &format!("{program} is not installed"))
}

fn credentials(command: &mut Command, names: [&str; 3], files: &Certificates) {
    command.arg(names[0]).arg(&files.ca).arg(names[1]).arg(&files.certificate).arg(names[2]);
    // Foreign programs get the key that is not locked.
    command.arg(files.key.with_file_name("tls.key"));
}

/// A server that demands a certificate and sends each line back from its end to its beginning.
fn server(port: &Port, files: &Certificates) -> Result<Process> {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-rev", "-Verify", "3", "-verify_return_error", "-accept"]);
    command.arg(port.number().to_string());
    credentials(&mut command, ["-CAfile", "-cert", "-key"], files);
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Process(silent.spawn().context("starting openssl s_server")?);
    eventually("openssl s_server listens", || Ok(TcpStream::connect(port.address())?))?;
    Ok(server)
}

/// Sends a line through a client, which has to come back reversed.
fn exchange(mut command: Command) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Process(command.spawn().with_context(|| format!("starting {command:?}"))?);
    let mut input = client.0.stdin.take().context("stdin")?;
    input.write_all(b"hello\n")?;
    let (line, lines) = mpsc::channel();
    let pipes: [Box<dyn std::io::Read + Send>; 2] =
        [Box::new(client.0.stdout.take().context("stdout")?), Box::new(client.0.stderr.take().context("stderr")?)];
    for pipe in pipes {
        let line = line.clone();
        std::thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|l| line.send(l)));
    }
    drop(line);
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(patience()) {
        if line == "olleh" {
            return Ok(());
        }
        seen.push(line);
    }
    anyhow::bail!("{command:?} said: {}", seen.join(" | "))
}

fn openssl_client(to: SocketAddr, files: &Certificates) -> Command {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost", "-connect"]);
    command.arg(format!("localhost:{}", to.port()));
    credentials(&mut command, ["-CAfile", "-cert", "-key"], files);
    command
}

fn gnutls_client(to: SocketAddr, files: &Certificates) -> Command {
    let mut command = Command::new("gnutls-cli");
    command.args(["--port", &to.port().to_string()]);
    credentials(&mut command, ["--x509cafile", "--x509certfile", "--x509keyfile"], files);
    command.arg("localhost");
    command
}

/// Two routers joined with such certificates, and a service with TLS on both sides across them.
fn line(binaries: [Binary; 2], dialler: Dialler, kind: Identity) -> Result<()> {
    let server_port = Port::reserve()?;
    let builder = LineBuilder::new(binaries).joined(MutualTls, dialler).identity(kind).authenticated_clients();
    let line = builder.service("reverse", 0, 1, server_port.address()).with_tls().start()?;
    let files = line.certificates();
    let _server = server(&server_port, files)?;
    let service = line.listen_address("reverse")?;
    exchange(openssl_client(service, files))?;
    // GnuTLS takes no authority of version 1.
    if kind != Identity::Version1Root {
        exchange(gnutls_client(service, files))?;
    }
    line.expect_no_errors(&[])
}

fn all_kinds(make: impl Fn() -> Result<[Binary; 2]>) -> Result<()> {
    require("openssl")?;
    require("gnutls-cli")?;
    for kind in KINDS {
        for dialler in [Left, Right] {
            line(make()?, dialler, kind).with_context(|| format!("{kind:?}, {dialler:?} dials"))?;
        }
    }
    Ok(())
}

#[test]
fn ours() {
    run(|| all_kinds(|| Ok([Binary::ours()?, Binary::ours()?])));
}

#[test]
fn beside_upstream() {
    run(|| all_kinds(|| Ok([Binary::ours()?, Binary::upstream()?])));
}

/// A router whose authority is not the other's says so in its log, and at the connector.
#[test]
fn strangers_are_named() {
    run(|| {
        require("openssl")?;
        let line = LineBuilder::ours(1)?.start()?;
        let strangers = tempfile::tempdir()?;
        let stranger = Certificates::of(Identity::Version1, strangers.path())?;
        let mark = line.first().router.log().mark();
        let mut command = openssl_client(line.first().amqps(), &stranger);
        command.args(["-CAfile"]).arg(&line.certificates().ca);
        ensure!(exchange(command).is_err(), "a stranger was let in");
        let cause = "caCertFile has no certificate of the issuer 'CN=home' (certificate of 'CN=localhost')";
        line.first().router.log().wait_for(mark, cause)?;
        Ok(())
    });
}
