//! The page that HTTP listeners show, in Chromium: two routers, a service that carries traffic, one without a server, and a
//! link that does not come up.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, ensure};
use interop_tests::browser::{Browser, ENTER, Screen, TAB};
use interop_tests::harness::{Binary, Port, Router, RouterConfig, eventually, output_of, run};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A name that would be a script if it were not text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// The routers, and what is between them.
struct Scene {
    browser: Browser,
    http: Port,
    traffic: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    east: Option<Router>,
    _west: Router,
    _ports: Vec<Port>,
    _folder: TempDir,
}

impl Scene {
    fn start() -> Result<Self> {
        let browser = Browser::start()?;
        let folder = tempfile::tempdir()?;
        let [amqp, links, http, service, orphan, nowhere] = [(); 6].map(|()| Port::reserve());
        let (amqp, links, http, service, orphan, nowhere) = (amqp?, links?, http?, service?, orphan?, nowhere?);
        let number = |port: &Port| port.number().to_string();
        let local = ("host", "127.0.0.1");
        let server = TcpListener::bind("127.0.0.1:0")?;
        let server_port = server.local_addr()?.port().to_string();
        let west = RouterConfig::interior("west")
            .section("listener", &[local, ("port", &number(&amqp))])
            .section("listener", &[local, ("port", &number(&links)), ("role", "inter-router")])
            .section("listener", &[local, ("port", &number(&http)), ("http", "yes"), ("name", "web")])
            .section(
                "connector",
                &[("name", "to-nowhere"), local, ("port", &number(&nowhere)), ("role", "inter-router")],
            )
            .section("tcpListener", &[("name", "backend"), local, ("port", &number(&service)), ("address", "backend")])
            .section("tcpListener", &[("name", "orphan"), local, ("port", &number(&orphan)), ("address", HOSTILE)]);
        let east = RouterConfig::interior("east")
            .section("connector", &[local, ("port", &number(&links)), ("role", "inter-router"), ("cost", "3")])
            .section("tcpConnector", &[("name", "server"), local, ("port", &server_port), ("address", "backend")]);
        let ours = Binary::ours()?;
        let west = Router::start(&ours, &west, folder.path())?;
        let east = Router::start(&ours, &east, folder.path())?;
        let stop = Arc::new(AtomicBool::new(false));
        let traffic = traffic(server, service.address(), Arc::clone(&stop));
        let _ports = vec![amqp, links, service, orphan, nowhere];
        Ok(Self { browser, http, traffic: Some(traffic), stop, east: Some(east), _west: west, _ports, _folder: folder })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http.number())
    }

    /// What a script finds once it finds something.
    fn seen(&self, what: &str, script: &str) -> Result<Json> {
        eventually(what, || {
            let found = self.browser.evaluate(script)?;
            ensure!(found != Json::Null && found != false && found != "", "{what}: {found}");
            Ok(found)
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

/// A client that is answered by the server until it is told to stop.
fn traffic(server: TcpListener, service: std::net::SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        for accepted in server.incoming() {
            let Ok(mut socket) = accepted else { return };
            thread::spawn(move || {
                let mut octets = [0; 10_000];
                while socket.read_exact(&mut octets).is_ok() && socket.write_all(&octets).is_ok() {}
            });
        }
    });
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let mut octets = [7; 10_000];
            let talk = |octets: &mut [u8]| -> std::io::Result<()> {
                let mut socket = TcpStream::connect(service)?;
                for _ in 0..100 {
                    socket.write_all(octets)?;
                    socket.read_exact(octets)?;
                }
                Ok(())
            };
            if talk(&mut octets).is_err() {
                thread::yield_now();
            }
        }
    })
}

fn pictures() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

const TEXT_OF_PROBLEMS: &str = "return document.getElementById('problem-list').innerText";

#[test]
fn the_network_is_shown_and_stays_live() {
    run(|| {
        let mut scene = Scene::start()?;
        let browser = &scene.browser;
        browser.look(Screen { width: 1280, height: 1000, dark: false })?;
        browser.open(&scene.url("/"))?;
        let nodes = "const n = [...document.querySelectorAll('[data-router]')].map(g => g.dataset.router).sort().join(); \
                     return n === 'east,west' && document.querySelectorAll('#topology line').length === 1";
        scene.seen("both routers are drawn, and their link", nodes)?;
        scene
            .seen("its cost", "return [...document.querySelectorAll('text.cost')].some(t => t.textContent === '3')")?;
        scene.seen("rates", "return /[1-9].* [kM]?B\\/s/.test(document.querySelector('#services tbody').innerText)")?;
        scene.seen("who talks most", "return document.querySelector('#talkers li span')?.textContent === 'backend'")?;
        scene
            .seen("the link that does not come up", &format!("{TEXT_OF_PROBLEMS}.includes('connector to-nowhere')"))?;
        let problems = browser.evaluate(TEXT_OF_PROBLEMS)?;
        let orphan = format!("service {HOSTILE} has no connector, but 1 listener");
        ensure!(problems.as_str().is_some_and(|text| text.contains(&orphan)), "{problems}");
        ensure!(browser.evaluate("return document.images.length")? == 0, "names are text");
        let of_backend = "return [...document.querySelectorAll('#services tbody tr')].map(row => row.innerText) \
                          .find(text => text.startsWith('backend')) ?? ''";
        let row = browser.evaluate(of_backend)?;
        let has_both = row.as_str().is_some_and(|row| row.contains("west backend") && row.contains("east server"));
        ensure!(has_both, "{row}");
        let picture = pictures()?.join("wide-light.png");
        browser.screenshot(&picture)?;
        println!("pictures: {}", picture.parent().unwrap_or(&picture).display());

        scene.east.take();
        scene.seen(
            "the other router has gone",
            "const east = document.querySelector('[data-router=east]'); \
             return (!east || east.classList.contains('silent')) && document.getElementById('state').innerText.startsWith('Live')",
        )?;
        let complaints = scene.browser.complaints()?;
        ensure!(complaints.is_empty(), "{complaints:?}");
        Ok(())
    });
}

#[test]
fn it_can_be_used_by_keyboard_on_a_phone_in_the_dark() {
    run(|| {
        let scene = Scene::start()?;
        let browser = &scene.browser;
        browser.look(Screen { width: 360, height: 800, dark: true })?;
        browser.open(&scene.url("/"))?;
        scene.seen("the routers", "return document.querySelectorAll('[data-router]').length === 2")?;
        scene.seen("rates", "return /B\\/s/.test(document.querySelector('#services tbody').innerText)")?;
        let fits =
            "return document.documentElement.scrollWidth <= 360 && matchMedia('(prefers-color-scheme: dark)').matches";
        ensure!(browser.evaluate(fits)? == true, "nothing is wider than the screen");
        let ground = browser.evaluate("return getComputedStyle(document.body).backgroundColor")?;
        ensure!(ground == "rgb(18, 22, 28)", "{ground}");
        let focused = "return document.activeElement?.dataset?.router ?? ''";
        for _ in 0..10 {
            browser.press(TAB)?;
            if browser.evaluate(focused)? != "" {
                break;
            }
        }
        let router = browser.evaluate(focused)?;
        ensure!(router == "east", "the first router has the focus: {router}");
        browser.press(ENTER)?;
        let details = scene.seen("details", "return document.querySelector('#details h3')?.innerText ?? ''")?;
        ensure!(details == "east (interior)", "{details}");
        let version = output_of(Command::new(Binary::ours()?.program()).arg("--version"), &[])?;
        let version = String::from_utf8(version)?;
        let shown = browser.evaluate("return document.getElementById('details').innerText")?;
        ensure!(shown.as_str().is_some_and(|text| text.contains(version.trim())), "{shown}");
        scene.seen(
            "the focus stays where it was over an update",
            "window.marked ??= document.querySelector('#topology g'); \
             return document.querySelector('#topology g') !== window.marked && document.activeElement.dataset.router === 'east'",
        )?;
        for (name, script) in
            [("top", "scrollTo(0, 0)"), ("services", "document.getElementById('services').scrollIntoView()")]
        {
            browser.evaluate(script)?;
            browser.screenshot(&pictures()?.join(format!("phone-dark-{name}.png")))?;
        }
        let sort = "document.querySelector('[data-key=total] button').click(); \
                    return document.querySelector('[data-key=total]').getAttribute('aria-sort') === 'descending' \
                    && document.querySelector('#services tbody td').innerText === 'backend'";
        ensure!(browser.evaluate(sort)? == true, "what has carried most comes first");
        ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
        Ok(())
    });
}

#[test]
fn browsers_are_told_to_do_nothing_else() {
    run(|| {
        let scene = Scene::start()?;
        let head = |path: &str| -> Result<String> {
            let mut curl = Command::new("curl");
            Ok(String::from_utf8(output_of(curl.args(["-sS", "--fail", "--head", &scene.url(path)]), &[])?)?)
        };
        let page = head("/")?.to_ascii_lowercase();
        for header in
            ["content-type: text/html; charset=utf-8", "default-src 'none'", "frame-ancestors 'none'", "nosniff"]
        {
            ensure!(page.contains(header), "{header}: {page}");
        }
        for (path, kind) in
            [("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/network.json", "application/json")]
        {
            let answer = head(path)?;
            ensure!(answer.contains(&format!("content-type: {kind}")), "{answer}");
        }
        ensure!(head("/network").is_err() && head("/index.html").is_err());
        Ok(())
    });
}
