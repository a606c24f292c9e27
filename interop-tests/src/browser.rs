//! Chromium, driven through chromedriver by the WebDriver protocol, with curl for HTTP.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::harness::{Port, eventually, output_of, patience, skip_unless};

/// What browsers do by themselves has no place in a test.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Keys as WebDriver sends them.
pub const TAB: &str = "\u{e004}";
/// The key of that name.
pub const ENTER: &str = "\u{e007}";

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// What the person prefers.
    pub dark: bool,
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: Port,
    session: String,
    _profile: TempDir,
}

// === impl Browser ===

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// A skip where there is no chromedriver.
    pub fn start() -> Result<Self> {
        let found = Command::new("chromedriver").arg("--version").output().ok();
        skip_unless(found, "chromedriver is not installed")?;
        let (port, profile) = (Port::reserve()?, tempfile::tempdir()?);
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", port.number())).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = command.spawn().context("chromedriver")?;
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        eventually("chromedriver is ready", || {
            let status = browser.request("GET", "/status", &Json::Null)?;
            ensure!(status["ready"] == true, "{status}");
            Ok(())
        })?;
        let own = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments: Vec<_> = ARGUMENTS.into_iter().chain([own.as_str()]).collect();
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let begun = browser.request("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }))?;
        let id = begun["sessionId"].as_str().with_context(|| format!("no session: {begun}"))?;
        browser.session = format!("/session/{id}");
        Ok(browser)
    }

    /// Opens an address.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    /// Looks at pages in such a way from now on.
    pub fn look(&self, Screen { width, height, dark }: Screen) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }))
    }

    fn devtools(&self, command: &str, params: &Json) -> Result<()> {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params })).map(drop)
    }

    /// The value of a script's body.
    pub fn evaluate(&self, script: &str) -> Result<Json> {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Presses keys, where the focus is.
    pub fn press(&self, keys: &str) -> Result<()> {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] })).map(drop)
    }

    /// What the page's scripts and the browser itself complained of.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| format!("{} {}", entry["level"], entry["message"])).collect())
    }

    /// Writes what is seen to a PNG file.
    pub fn screenshot(&self, file: &Path) -> Result<()> {
        let picture = self.request("GET", &format!("{}/screenshot", self.session), &Json::Null)?;
        let text = picture.as_str().context("no picture")?;
        std::fs::write(file, output_of(Command::new("base64").arg("-d"), text.as_bytes())?)?;
        Ok(())
    }

    fn post(&self, path: &str, body: &Json) -> Result<Json> {
        self.request("POST", &format!("{}{path}", self.session), body)
    }

    fn request(&self, method: &str, path: &str, body: &Json) -> Result<Json> {
        let url = format!("http://127.0.0.1:{}{path}", self.port.number());
        let mut command = Command::new("curl");
        command.args(["-sS", "-X", method, "-m", &patience().as_secs().to_string(), &url]);
        if !body.is_null() {
            command.args(["-H", "content-type: application/json", "--data-binary", "@-"]);
        }
        let answer = output_of(&mut command, body.to_string().as_bytes())?;
        let mut answer: Json = serde_json::from_slice(&answer).with_context(|| format!("{method} {path}"))?;
        let value = answer["value"].take();
        ensure!(value.get("error").is_none(), "{method} {path}: {value}");
        Ok(value)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with its session.
        let _ = self.request("DELETE", &self.session, &Json::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
