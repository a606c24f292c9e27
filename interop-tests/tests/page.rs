//! The page that HTTP listeners show, in Chromium: two routers and an edge router, a service that carries traffic, one without
//! a server, a link that does not come up, and a certificate that ends soon.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};
use interop_tests::browser::{Browser, ENTER, Screen, TAB};
use interop_tests::harness::{Binary, Port, Router, RouterConfig, eventually, output_of, run};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A name that would be a script if it were not text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

const PROBLEMS: &str = "return document.getElementById('problem-list').innerText";

/// Octets that a client sends at a time, and gets back.
const BLOCK: usize = 10_000;

/// The routers, and what is between them.
struct Scene {
    west: Router,
    east: Router,
    _branch: Router,
    http: Port,
    branch_http: Port,
    service: Port,
    traffic: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    _ports: Vec<Port>,
    _folder: TempDir,
}

impl Scene {
    /// `east` is of that kind, the others are ours.
    fn with(east: &Binary) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (certificate, key) = certificate(folder.path())?;
        let [amqp, links, edges, http, branch_http, service, orphan, nowhere] = [(); 8].map(|()| Port::reserve());
        let (amqp, links, edges, http) = (amqp?, links?, edges?, http?);
        let (branch_http, service, orphan, nowhere) = (branch_http?, service?, orphan?, nowhere?);
        let number = |port: &Port| port.number().to_string();
        let local = ("host", "127.0.0.1");
        let server = TcpListener::bind("127.0.0.1:0")?;
        let server_port = server.local_addr()?.port().to_string();
        let west = RouterConfig::interior("west")
            .section("sslProfile", &[("name", "short"), ("certFile", &certificate), ("privateKeyFile", &key)])
            .section("listener", &[local, ("port", &number(&amqp))])
            .section("listener", &[local, ("port", &number(&links)), ("role", "inter-router")])
            .section("listener", &[local, ("port", &number(&edges)), ("role", "edge")])
            .section("listener", &[local, ("port", &number(&http)), ("http", "yes"), ("sslProfile", "short")])
            .section(
                "connector",
                &[("name", "to-nowhere"), local, ("port", &number(&nowhere)), ("role", "inter-router")],
            )
            .section("tcpListener", &[("name", "front"), local, ("port", &number(&service)), ("address", "backend")])
            .section("tcpListener", &[("name", "orphan"), local, ("port", &number(&orphan)), ("address", HOSTILE)]);
        let to_west = [local, ("port", &*number(&links)), ("role", "inter-router"), ("cost", "3")];
        let of_east = RouterConfig::interior("east")
            .section("connector", &to_west)
            .section("tcpConnector", &[("name", "server"), local, ("port", &server_port), ("address", "backend")]);
        let branch = RouterConfig::edge("branch")
            .section("listener", &[local, ("port", &number(&branch_http)), ("http", "yes")])
            .section("connector", &[local, ("port", &number(&edges)), ("role", "edge")]);
        let ours = Binary::ours()?;
        let west = Router::start(&ours, &west, folder.path())?;
        let east = Router::start(east, &of_east, folder.path())?;
        let branch = Router::start(&ours, &branch, folder.path())?;
        let stop = Arc::new(AtomicBool::new(false));
        let traffic = Some(traffic(server, service.address(), Arc::clone(&stop)));
        let _ports = vec![amqp, links, edges, orphan, nowhere];
        Ok(Self { west, east, _branch: branch, http, branch_http, service, traffic, stop, _ports, _folder: folder })
    }

    fn start() -> Result<Self> {
        Self::with(&Binary::ours()?)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http.number())
    }

    /// Waits for a document that is as it is to be, at a listener.
    fn told(port: &Port, what: &str, check: impl Fn(&Json) -> bool) -> Result<Json> {
        let url = format!("http://127.0.0.1:{}/network.json", port.number());
        eventually(what, || {
            let text = output_of(Command::new("curl").args(["-sS", "--fail", &url]), &[])?;
            let told: Json = serde_json::from_slice(&text)?;
            ensure!(check(&told), "{told}");
            Ok(told)
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(traffic) = self.traffic.take() {
            let _ = traffic.join();
        }
    }
}

/// Files of a certificate that ends in five days, and of its key.
fn certificate(folder: &Path) -> Result<(String, String)> {
    let [certificate, key] = ["short.crt", "short.key"].map(|name| folder.join(name).display().to_string());
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "5", "-subj", "/CN=localhost"];
    output_of(Command::new("openssl").args(new).args(["-keyout", &key, "-out", &certificate]), &[])?;
    Ok((certificate, key))
}

/// A client that is answered by the server until it is told to stop.
fn traffic(server: TcpListener, service: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        for accepted in server.incoming() {
            let Ok(mut socket) = accepted else { return };
            thread::spawn(move || {
                let mut octets = [0; BLOCK];
                while socket.read_exact(&mut octets).is_ok() && socket.write_all(&octets).is_ok() {}
            });
        }
    });
    thread::spawn(move || {
        let mut octets = [7; BLOCK];
        while !stop.load(Ordering::Relaxed) {
            let mut talk = || -> std::io::Result<()> {
                let mut socket = TcpStream::connect(service)?;
                socket.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
                while !stop.load(Ordering::Relaxed) {
                    socket.write_all(&octets)?;
                    socket.read_exact(&mut octets)?;
                }
                Ok(())
            };
            if talk().is_err() {
                thread::yield_now();
            }
        }
    })
}

/// What a script finds once it finds something.
fn seen(browser: &Browser, what: &str, script: &str) -> Result<Json> {
    eventually(what, || {
        let found = browser.evaluate(script)?;
        ensure!(found != Json::Null && found != false && found != "", "{what}: {found}");
        Ok(found)
    })
}

fn picture(browser: &Browser, name: &str) -> Result<()> {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}.png"));
    browser.screenshot(&file)?;
    println!("picture: {}", file.display());
    Ok(())
}

/// The words of the row of a service, or of one of its ends, as it is shown.
fn row(browser: &Browser, name: &str) -> Result<Vec<String>> {
    let script = "return JSON.stringify([...document.querySelectorAll('#service-table tbody tr')] \
                  .map(row => [...row.children].map(cell => cell.innerText)))";
    let rows: Vec<Vec<String>> = serde_json::from_str(browser.evaluate(script)?.as_str().context("rows")?)?;
    rows.into_iter().find(|row| row[0] == name).with_context(|| format!("no row {name}"))
}

fn is_absent(text: &str) -> String {
    format!(
        "return document.querySelector('[data-router=east].absent .kind')?.textContent === '{text}' \
         && document.getElementById('state').innerText.startsWith('Live')"
    )
}

#[test]
fn the_network_is_shown_and_stays_live() {
    run(|| {
        let browser = Browser::start()?;
        let mut scene = Scene::start()?;
        browser.look(Screen { width: 1280, height: 1150, dark: false })?;
        browser.open(&scene.url("/"))?;
        let drawing = "const n = [...document.querySelectorAll('[data-router]')].map(g => g.dataset.router).sort().join(); \
                       return n === 'branch,east,west' && document.querySelectorAll('#topology .link').length === 2";
        seen(&browser, "the routers are drawn, and their links", drawing)?;
        seen(&browser, "a cost", "return [...document.querySelectorAll('.cost')].some(t => t.textContent === '3')")?;
        seen(&browser, "who talks most", "return document.querySelector('#talkers .name')?.textContent === 'backend'")?;
        for text in [
            "connector to-nowhere to 127.0.0.1:",
            &format!("no tcpConnector serves {HOSTILE}"),
            "the certificate of sslProfile short expires in 4 days",
        ] {
            seen(&browser, text, &format!("{PROBLEMS}.includes({})", Json::from(text)))?;
        }
        ensure!(browser.evaluate("return document.images.length")? == 0, "names are text");

        let place = format!("127.0.0.1:{}", scene.service.number());
        eventually("both ends of the service carry something", || {
            let (listener, connector) = (row(&browser, "listener front")?, row(&browser, "connector server")?);
            ensure!(listener[1..5] == ["west", &place, "up", "1"], "{listener:?}");
            ensure!(connector[1] == "east" && connector[4] == "1", "{connector:?}");
            let is_rate = |text: &str| text.ends_with("B/s") && text != "0 B/s";
            for row in [row(&browser, "backend")?, listener, connector] {
                ensure!(row[row.len() - 2..].iter().all(|rate| is_rate(rate)), "{row:?}");
            }
            Ok(())
        })?;
        picture(&browser, "wide-light")?;

        scene.east.freeze()?;
        seen(&browser, "the router is silent", &is_absent("does not answer"))?;
        seen(
            &browser,
            "and named",
            &format!("{PROBLEMS}.match(/east (this router does not answer|there is no way)/) !== null"),
        )?;
        browser.look(Screen { width: 1280, height: 1150, dark: true })?;
        picture(&browser, "wide-dark-silent")?;
        scene.east.thaw()?;
        seen(&browser, "it is back", "return !document.querySelector('[data-router=east].absent')")?;
        scene.east.kill()?;
        seen(&browser, "it is missed", "return !!document.querySelector('[data-router=east].absent')")?;
        ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);

        scene.west.kill()?;
        let is_old = "return /^No answer since/.test(document.getElementById('state').innerText) \
                      && document.body.classList.contains('stale') && document.querySelectorAll('[data-router]').length === 3";
        seen(&browser, "what is shown is old", is_old)?;
        Ok(())
    });
}

#[test]
fn it_can_be_used_by_keyboard_on_a_phone_in_the_dark() {
    run(|| {
        let browser = Browser::start()?;
        let scene = Scene::start()?;
        browser.look(Screen { width: 360, height: 800, dark: true })?;
        browser.open(&scene.url("/"))?;
        seen(&browser, "the routers", "return document.querySelectorAll('[data-router]').length === 3")?;
        seen(&browser, "rates", "return /[1-9].*B\\/s/.test(document.querySelector('#talkers').innerText)")?;
        let fits =
            "return document.documentElement.scrollWidth <= 360 && matchMedia('(prefers-color-scheme: dark)').matches";
        ensure!(browser.evaluate(fits)? == true, "nothing is wider than the screen");
        let ground = browser.evaluate("return getComputedStyle(document.body).backgroundColor")?;
        ensure!(ground == "rgb(18, 22, 28)", "{ground}");

        browser.press(TAB)?;
        let first = browser.evaluate("return document.activeElement.getAttribute('href')")?;
        ensure!(first == "#network", "the first stop leads to what is on the page: {first}");
        let focused = "return document.activeElement?.dataset?.router ?? ''";
        for _ in 0..10 {
            browser.press(TAB)?;
            if browser.evaluate(focused)? == "east" {
                break;
            }
        }
        let described = browser.evaluate("return document.activeElement.getAttribute('aria-label')")?;
        ensure!(described == "east, interior router, answers, 1 link, 0 problems", "{described}");
        browser.press(ENTER)?;
        let details = seen(&browser, "details", "return document.querySelector('#details h3')?.innerText ?? ''")?;
        ensure!(details == "east (interior)", "{details}");
        let version = String::from_utf8(output_of(Command::new(Binary::ours()?.program()).arg("--version"), &[])?)?;
        let shown = browser.evaluate("return document.getElementById('details').innerText")?;
        let shown = shown.as_str().context("text")?;
        ensure!(shown.contains(version.trim()) && shown.contains("west: inter-router, cost 3"), "{shown}");
        ensure!(browser.evaluate("return document.getElementById('said').textContent.length > 20")? == true);

        let before = "window.told = page.told.number; window.node = document.activeElement; \
                      window.at = node.getBoundingClientRect().top; return true";
        browser.evaluate(before)?;
        let after = "return page.told.number > window.told + 1 && document.activeElement === window.node \
                     && window.node.getBoundingClientRect().top === window.at";
        seen(&browser, "the focus stays, and nothing jumps", after)?;
        let key = "const b = document.querySelector('[data-key=sentRate] button'); b.focus(); return document.activeElement === b";
        ensure!(browser.evaluate(key)? == true);
        browser.press(ENTER)?;
        let sorted = "return document.querySelector('[data-key=sentRate]').getAttribute('aria-sort') === 'descending' \
                      && document.querySelector('#service-table tbody th').innerText === 'backend'";
        seen(&browser, "what sends most comes first", sorted)?;
        for (name, script) in
            [("top", "scrollTo(0, 0)"), ("services", "document.getElementById('services').scrollIntoView()")]
        {
            browser.evaluate(script)?;
            picture(&browser, &format!("phone-dark-{name}"))?;
        }
        ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
        Ok(())
    });
}

#[test]
fn browsers_are_told_to_do_nothing_else() {
    run(|| {
        let scene = Scene::start()?;
        let curl = |options: &[&str], path: &str| -> Result<String> {
            let mut curl = Command::new("curl");
            let answer = output_of(curl.args(["-sS", "--include"]).args(options).arg(scene.url(path)), &[])?;
            Ok(String::from_utf8(answer)?.to_ascii_lowercase())
        };
        let page = curl(&["--head"], "/")?;
        for header in [
            "content-type: text/html; charset=utf-8",
            "default-src 'none'",
            "script-src 'sha256-",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            ensure!(page.contains(header), "{header}: {page}");
        }
        let version = curl(&["--head"], "/")?.lines().find_map(|line| line.strip_prefix("etag: ").map(str::to_owned));
        // Digests are not the same in lower case.
        let page = output_of(Command::new("curl").args(["-sSI", &scene.url("/")]), &[])?;
        let page = String::from_utf8(page)?;
        let known = page.lines().find_map(|line| line.strip_prefix("etag: ")).context("no version")?;
        ensure!(version.is_some_and(|version| version == known.to_ascii_lowercase()));
        ensure!(curl(&["-H", &format!("If-None-Match: {known}")], "/")?.starts_with("http/1.1 304"));
        ensure!(curl(&["--data", "x"], "/")?.starts_with("http/1.1 405"));
        let network = curl(&[], "/network.json")?;
        ensure!(network.contains("content-type: application/json") && network.contains("no-store"), "{network}");
        for path in ["/network", "/index.html", "/network.json/x"] {
            ensure!(curl(&[], path)?.starts_with("http/1.1 404"), "{path}");
        }
        Ok(())
    });
}

/// Routers that answer, and where ends of the service are.
fn is_complete(told: &Json) -> bool {
    let all = |list: &Json| list.as_array().cloned().unwrap_or_default();
    let is_up = |id: &str| all(&told["routers"]).iter().any(|router| router["id"] == id && router["state"] == "up");
    let services = all(&told["services"]);
    let backend = services.iter().find(|service| service["address"] == "backend").map(|service| all(&service["ends"]));
    let has = |router: &str| backend.iter().flatten().any(|end| end["router"] == router);
    ["west", "east", "branch"].iter().all(|id| is_up(id))
        && has("west")
        && has("east")
        && told["talkers"][0]["address"] == "backend"
}

#[test]
fn an_edge_router_shows_the_same_network() {
    run(|| {
        let scene = Scene::start()?;
        Scene::told(&scene.branch_http, "all is told", is_complete).map(drop)
    });
}

#[test]
fn routers_of_the_c_implementation_are_shown_too() {
    run(|| {
        let scene = Scene::with(&Binary::upstream()?)?;
        let told = Scene::told(&scene.http, "all is told", is_complete)?;
        ensure!(told["leftOut"].as_array().is_some_and(Vec::is_empty), "{}", told["leftOut"]);
        Ok(())
    });
}
