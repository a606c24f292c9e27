//! The router's own HTTP listeners, with curl: health, figures, files and TLS, and hostile peers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::apps;
use interop_tests::harness::{
    Binary, Certificates, Management, Mark, Port, Router, RouterConfig, eventually, output_of, patience, run,
    skip_unless,
};
use interop_tests::tcp::{Digest, ScriptedServer};
use tempfile::TempDir;

/// Silent connections, and as many with half a request.
const INTRUDERS: usize = 200;

/// Octets of the client and the server of a flow: one side is told at its end only, the other while it goes on.
const ASKED: usize = 1_000;
const ANSWER: usize = 1_000_000;

/// How long a probe may take, whatever else happens.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// A router with an HTTP listener.
struct Site {
    router: Router,
    management: Management,
    http: Port,
    files: Certificates,
    folder: TempDir,
}

/// A Prometheus figure.
#[derive(Debug)]
struct Figure {
    name: String,
    kind: String,
    value: u64,
}

impl Site {
    /// A router whose HTTP listener has these attributes.
    fn start(attributes: &[(&str, &str)]) -> Result<Self> {
        skip_unless(Command::new("curl").arg("--version").output().ok(), "curl is not installed")?;
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("root"))?;
        fs::write(folder.path().join("root/page.html"), "<p>page</p>\n")?;
        fs::write(folder.path().join("secret"), "secret\n")?;
        let root = folder.path().join("root").display().to_string();
        let files = Certificates::make(folder.path())?;
        let (amqp, http) = (Port::reserve()?, Port::reserve()?);
        let [amqp_port, http_port] = [&amqp, &http].map(|port| port.number().to_string());
        let listener = [("name", "web"), ("host", "127.0.0.1"), ("port", &http_port), ("httpRootDir", &root)];
        let config = RouterConfig::interior("site")
            .section("listener", &[("host", "127.0.0.1"), ("port", &amqp_port)])
            .tls_profile(&files)
            .section("listener", &[&listener, attributes].concat());
        let router = Router::start(&Binary::ours()?, &config, folder.path())?;
        router.log().wait_for(Mark::default(), &format!("Listening for HTTP on 127.0.0.1:{http_port}"))?;
        let management = Management::connect(amqp.address())?;
        Ok(Self { router, management, http, files, folder })
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.http.number())
    }

    /// What curl prints, or how it fails.
    fn curl(&self, arguments: &[&str], urls: &[String]) -> Result<String> {
        let seconds = patience().as_secs().to_string();
        let common = ["--silent", "--show-error", "--ipv4", "--path-as-is", "--max-time", &seconds];
        let output = Command::new("curl").args(common).args(arguments).args(urls).output().context("running curl")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn get(&self, path: &str) -> Result<String> {
        self.curl(&["--fail"], &[self.url("http", path)])
    }

    fn status(&self, path: &str) -> Result<String> {
        self.curl(&["--output", "/dev/null", "--write-out", "%{http_code}"], &[self.url("http", path)])
    }

    fn figures(&self) -> Result<Vec<Figure>> {
        let text = self.get("/metrics")?;
        // Those of the router's own making are behind the known ones, and have more to say of themselves.
        let lines: Vec<_> = text.lines().take_while(|line| !line.starts_with("# HELP ")).collect();
        lines.chunks(2).map(figure).collect()
    }
}

fn figure(lines: &[&str]) -> Result<Figure> {
    let [declared, sample] = lines else { anyhow::bail!("half a figure: {lines:?}") };
    let (name, kind) = declared.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')).context("no type")?;
    let (sampled, value) = sample.split_once(' ').context("no value")?;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    ensure!(sampled == name && name.chars().all(is_letter), "{lines:?}");
    Ok(Figure { name: name.to_owned(), kind: kind.to_owned(), value: value.parse()? })
}

fn value(figures: &[Figure], name: &str) -> Result<u64> {
    figures.iter().find(|figure| figure.name == name).map(|figure| figure.value).context(name.to_owned())
}

#[test]
fn health_and_figures() {
    run(|| {
        let mut site = Site::start(&[])?;
        ensure!(site.get("/healthz")? == "OK\n");
        let head = site.curl(&["--head"], &[site.url("http", "/healthz")])?;
        let expected = ["HTTP/1.1 200 OK\r\n", "server: skupper-router\r\n", "content-type: text/plain\r\n"];
        ensure!(expected.iter().all(|line| head.contains(line)) && head.contains("content-length: 3\r\n"), "{head}");
        ensure!(!head.to_ascii_lowercase().contains("date:"), "{head}");
        ensure!(site.curl(&["--data", "x=1"], &[site.url("http", "/healthz/x?y")])? == "OK\n");

        // So that the links of this client are there.
        site.management.query("router")?;
        let figures = site.figures()?;
        ensure!(figures.iter().all(|figure| matches!(figure.kind.as_str(), "counter" | "gauge")), "{figures:?}");
        let metrics = site.management.query("routerMetrics")?.remove(0);
        for (name, attribute) in [
            ("qdr_connections_total", "connectionCount"),
            ("qdr_links_total", "linkCount"),
            ("qdr_routers_total", "nodeCount"),
        ] {
            let shown = metrics[attribute].as_u64().context(attribute)?;
            ensure!(value(&figures, name)? == shown, "{name} is not {attribute}, {shown}");
        }
        ensure!(value(&figures, "qdr_amqp_service_connections")? == 1, "{figures:?}");
        ensure!(value(&figures, "qdr_router_rss_bytes")? > 1_000_000, "{figures:?}");
        for pool in site.management.query("allocator")? {
            let name = pool["typeName"].as_str().context("typeName")?.to_owned();
            for part in ["allocated", "in_use", "cached", "bytes"] {
                value(&figures, &format!("{name}:{part}"))?;
            }
        }
        site.router.expect_no_errors(&[])
    });
}

/// As Prometheus's own library reads them.
#[test]
fn what_services_carry_is_counted() {
    run(|| {
        let mut site = Site::start(&[])?;
        let server = ScriptedServer::start()?;
        server.script(|mut stream| {
            stream.write_all(&[b'x'; ANSWER])?;
            let mut asked = [0; ASKED];
            stream.read_exact(&mut asked)?;
            Ok(Digest::default())
        });
        let (listen, serve) = (Port::reserve()?, server.address().port().to_string());
        let port = listen.number().to_string();
        let address = "quo\"ted \\\\ address";
        let client = [("host", "127.0.0.1"), ("port", &*port), ("address", address)];
        site.management.create("tcpListener", "front", &client)?;
        site.management.create(
            "tcpConnector",
            "back",
            &[("host", "127.0.0.1"), ("port", &serve), ("address", address)],
        )?;
        let mut client = eventually("the service is there", || Ok(TcpStream::connect(listen.address())?))?;
        client.read_exact(&mut [0; ANSWER])?;
        client.write_all(&[b'y'; ASKED])?;
        client.shutdown(Shutdown::Write)?;
        ensure!(client.read(&mut [0])? == 0);
        let labels = |role: &str| {
            let name = if role == "listener" { "front" } else { "back" };
            format!("address={address},name={name},role={role}")
        };
        let is_told = |site: &Site| -> Result<()> {
            let told = scraped(&site.get("/metrics")?)?;
            for (role, received, sent) in [("listener", ASKED, ANSWER), ("connector", ANSWER, ASKED)] {
                for (name, value) in [("received", received), ("sent", sent)] {
                    let series = format!("skrouter_service_{name}_bytes_total {}", labels(role));
                    ensure!(told[&series].as_f64() == Some(value as f64), "{series}: {told}");
                }
            }
            let series = format!("skrouter_service_connections_opened_total {}", labels("listener"));
            ensure!(told[&series] == 1.0 && told["skrouter_service_connections address=x"].is_null(), "{told}");
            Ok(())
        };
        eventually("the flow is counted", || is_told(&site))?;
        let listener = site.management.query("tcpListener")?.remove(0);
        ensure!(listener["bytesIn"] == ASKED && listener["bytesOut"] == ANSWER, "{listener:?}");
        site.management.delete("tcpListener", "front")?;
        let told = scraped(&site.get("/metrics")?)?.to_string();
        ensure!(!told.contains("role=listener") && told.contains("role=connector"), "{told}");
        Ok(())
    });
}

/// What a scraper makes of figures: values by the names of their families and labels. It refuses families that come
/// twice and names that are none.
fn scraped(text: &str) -> Result<serde_json::Value> {
    let mut reader = apps::script("prometheus_client", "metrics.py")?;
    Ok(serde_json::from_slice(&output_of(&mut reader, text.as_bytes())?)?)
}

#[test]
fn files_below_the_root() {
    run(|| {
        let site = Site::start(&[])?;
        std::os::unix::fs::symlink("../secret", site.folder.path().join("root/link"))?;
        ensure!(site.get("/page.html")? == "<p>page</p>\n");
        for path in ["/", "/missing", "/link", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/healthzz"] {
            let status = site.status(path)?;
            ensure!(status == "404", "{path} gives {status}");
        }
        site.router.expect_no_errors(&[])
    });
}

#[test]
fn many_requests_on_one_connection() {
    run(|| {
        let site = Site::start(&[])?;
        let urls = vec![site.url("http", "/healthz"); 20];
        let answers = site.curl(&["--write-out", "%{num_connects}\n"], &urls)?;
        ensure!(answers == format!("OK\n1\n{}", "OK\n0\n".repeat(19)), "{answers}");
        // And without waiting for answers.
        let mut client = TcpStream::connect(site.http.address())?;
        client.set_read_timeout(Some(patience()))?;
        client.write_all("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20).as_bytes())?;
        client.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")?;
        let mut answers = String::new();
        client.read_to_string(&mut answers)?;
        let (healthy, figures) = (answers.matches("\r\n\r\nOK\n").count(), answers.contains("connection: close"));
        ensure!(healthy == 20 && figures && answers.ends_with('\n'), "{answers}");
        Ok(())
    });
}

#[test]
fn deleted_and_created_again() {
    run(|| {
        let mut site = Site::start(&[])?;
        ensure!(site.get("/healthz")? == "OK\n");
        site.management.delete("listener", "web")?;
        ensure!(TcpStream::connect(site.http.address()).is_err(), "the port is still open");
        let port = site.http.number().to_string();
        let attributes = [("host", "127.0.0.1"), ("port", port.as_str()), ("http", "true"), ("metrics", "false")];
        site.management.create("listener", "web", &attributes)?;
        ensure!(site.get("/healthz")? == "OK\n");
        ensure!(site.status("/metrics")? == "404" && site.status("/page.html")? == "404");
        let mark = site.router.log().mark();
        let chosen = [("host", "127.0.0.1"), ("port", "0"), ("http", "true")];
        site.management.create("listener", "chosen", &chosen)?;
        let line = site.router.log().wait_for(mark, "Listening for HTTP on 127.0.0.1:")?;
        let number =
            line.split("127.0.0.1:").nth(1).and_then(|rest| rest.strip_suffix(" (chosen)")).context("a port")?;
        let address: SocketAddr = format!("127.0.0.1:{number}").parse()?;
        ensure!(site.curl(&[], &[format!("http://{address}/healthz")])? == "OK\n");
        Ok(())
    });
}

#[test]
fn with_tls() {
    run(|| {
        let shared = Site::start(&[("sslProfile", "mesh")])?;
        let ca = shared.files.ca.display().to_string();
        let secured = [shared.url("https", "/healthz")];
        ensure!(shared.curl(&["--cacert", &ca], &secured)? == "OK\n");
        ensure!(shared.curl(&["--cacert", &ca, "--http2"], &secured)? == "OK\n", "curl may offer HTTP/2");
        ensure!(shared.curl(&["--cacert", &ca, "--tls-max", "1.2"], &secured)? == "OK\n");
        ensure!(shared.get("/healthz")? == "OK\n", "cleartext is not excluded");
        drop(shared);

        let strict = Site::start(&[("sslProfile", "mesh"), ("requireSsl", "true"), ("authenticatePeer", "true")])?;
        let path = |path: &Path| path.display().to_string();
        let Certificates { ca, certificate, key, .. } = &strict.files;
        let (ca, certificate, key) = (path(ca), path(certificate), path(key));
        let secured = [strict.url("https", "/page.html")];
        let known = ["--cacert", &ca, "--cert", &certificate, "--key", &key];
        ensure!(strict.curl(&known, &secured)? == "<p>page</p>\n");
        ensure!(strict.curl(&known[..2], &secured).is_err(), "a stranger was let in");
        let plain = strict.get("/healthz").err().context("cleartext was let in")?;
        ensure!(plain.to_string().contains("(52)") || plain.to_string().contains("(56)"), "{plain}");
        Ok(())
    });
}

#[test]
fn probes_are_answered_whatever_others_do() {
    run(|| {
        let mut site = Site::start(&[])?;
        let before = site.router.resident_kib()?;
        let connect = || eventually("it accepts", || Ok(TcpStream::connect(site.http.address())?));
        let silent = (0..INTRUDERS).map(|_| connect()).collect::<Result<Vec<_>>>()?;
        let mut slow = (0..INTRUDERS).map(|_| connect()).collect::<Result<Vec<_>>>()?;
        for client in &mut slow {
            client.write_all(b"GET /healthz HTTP/1.1\r\nhost: ")?;
        }
        let mut huge = connect()?;
        // The rest of it finds nobody.
        let _ = huge.write_all(&vec![b'x'; 1 << 20]);
        let begun = Instant::now();
        ensure!(site.get("/healthz")? == "OK\n");
        ensure!(begun.elapsed() < PROBE_LIMIT, "the probe took {:?}", begun.elapsed());
        let growth = site.router.resident_kib()?.saturating_sub(before);
        ensure!(growth < 64 * 1024, "{growth} KiB for {} connections", silent.len() + slow.len());
        let mut octets = Vec::new();
        let last = slow.last_mut().context("there are some")?;
        last.set_read_timeout(Some(patience()))?;
        last.read_to_end(&mut octets)?;
        ensure!(begun.elapsed() >= Duration::from_secs(5), "it was cut off after {:?}", begun.elapsed());
        site.management.query("router")?;
        site.router.expect_alive()?;
        site.router.expect_no_errors(&[])
    });
}
