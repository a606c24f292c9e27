//! Forward proxies: connectors get through them by HTTP CONNECT (RFC 9110, 9.3.6; spec `security-and-policy.md` 9).

mod head;

use super::failover::Target;
use crate::net::{self, Family, url_host};
use crate::tls::secret::os_text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use head::Head;
use parking_lot::Mutex;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::port::Secret;
use std::collections::HashMap;
use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Octets looked at together.
const CHUNK: usize = 1024;

/// A proxy, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProfile {
    /// Its host.
    pub host: String,
    /// Its port: a number or a service name.
    pub port: String,
    /// The user there.
    pub username: Option<String>,
    /// The user's password, resolved.
    pub password: Option<Secret>,
}

/// The proxies that are configured, by name. Connectors look theirs up with each attempt.
#[derive(Debug, Clone, Default)]
pub struct ProxyProfiles(Arc<Mutex<HashMap<String, Arc<ProxyProfile>>>>);

/// The proxy of a connector.
#[derive(Debug, Clone)]
pub struct ViaProxy {
    /// The name of its profile.
    pub name: String,
    /// Where the profile is.
    pub profiles: ProxyProfiles,
}

/// What is wrong with a proxy's answer, or with what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("proxy response EOF")]
    End,
    #[error("proxy response read error {0}")]
    Read(String),
    #[error("proxy handshake send error {0}")]
    Send(String),
    #[error("proxy malformed response CR")]
    CarriageReturn,
    #[error("proxy malformed response NL without CR")]
    LineFeed,
    #[error("proxy response invalid character")]
    Character,
    #[error("proxy response header > {0} chars")]
    TooLong(usize),
    #[error("proxy malformed header version")]
    Version,
    #[error("proxy malformed header status code")]
    StatusCode,
    #[error("proxy request denied {0}")]
    Denied(String),
    #[error("proxy invalid header content")]
    Header,
    #[error("proxy response not terminated")]
    NotTerminated,
    #[error("proxy response not within {} s", .0.as_secs())]
    Late(Duration),
    #[error("host or port cannot be named to a proxy")]
    Target,
}

// === impl ProxyProfiles ===

impl ProxyProfiles {
    /// Puts a profile in place of the one with that name. What is connected stays.
    pub fn set(&self, name: &str, profile: ProxyProfile) {
        self.0.lock().insert(name.to_owned(), Arc::new(profile));
    }

    /// Takes a profile out: connectors that name it connect no more.
    pub fn remove(&self, name: &str) {
        self.0.lock().remove(name);
    }

    fn get(&self, name: &str) -> Option<Arc<ProxyProfile>> {
        self.0.lock().get(name).cloned()
    }
}

// === impl ViaProxy ===

impl ViaProxy {
    /// A socket to the proxy, behind which the target is. The proxy has so long to answer.
    ///
    /// # Errors
    /// What to tell people.
    pub(super) async fn connect(
        &self,
        target: &Target,
        family: Option<Family>,
        limit: Duration,
    ) -> Result<TcpStream, String> {
        let address = format!("{}:{}", target.host, target.port);
        let Some(profile) = self.profiles.get(&self.name) else {
            return Err(format!(
                "Proxy connection negotiation failed trying to reach {address}, no proxy profile named {}",
                self.name
            ));
        };
        let proxy = format!("{}:{}", profile.host, profile.port);
        let connect = async {
            let found = net::connect_addresses(&profile.host, &profile.port, family).await.map_err(|e| os_text(&e))?;
            net::connect(&found).await.map_err(|e| format!("connect error {}", errno_text(&e)))
        };
        let late = |_| Err(format!("connect error not within {} s", limit.as_secs()));
        let mut stream = timeout(limit, connect)
            .await
            .unwrap_or_else(late)
            .map_err(|text| format!("Proxy connection not established to {proxy}, {text}"))?;
        let answer = timeout(limit, negotiate(&mut stream, &profile, target)).await;
        match answer.unwrap_or(Err(Fault::Late(limit))) {
            Ok(status) => {
                log!(
                    LogModule::Server,
                    Level::Debug,
                    "Proxy connection negotiated through {proxy} for {address}, {status}"
                );
                Ok(stream)
            }
            Err(fault) => Err(format!("Proxy connection negotiation failed through {proxy} for {address}, {fault}")),
        }
    }
}

/// Asks for the tunnel; the first line of the answer, from the code on.
async fn negotiate(stream: &mut TcpStream, profile: &ProxyProfile, target: &Target) -> Result<String, Fault> {
    let port = net::look_up_port(&target.port).await.ok_or(Fault::Target)?;
    let request = request(&target.host, port, profile).ok_or(Fault::Target)?;
    stream.write_all(request.as_bytes()).await.map_err(|e| Fault::Send(errno_text(&e)))?;
    let mut head = Head::default();
    let mut chunk = [0; CHUNK];
    let read = |error: io::Error| Fault::Read(errno_text(&error));
    loop {
        // What is behind the answer stays in the socket: it is the tunnel's.
        let seen = stream.peek(&mut chunk).await.map_err(read)?;
        if seen == 0 {
            return Err(Fault::End);
        }
        let mut granted = None;
        let mut taken = 0;
        for octet in &chunk[..seen] {
            taken += 1;
            granted = head.push(*octet)?;
            if granted.is_some() {
                break;
            }
        }
        stream.read_exact(&mut chunk[..taken]).await.map_err(read)?;
        if let Some(status) = granted {
            return Ok(status);
        }
    }
}

/// The request. `None` for a host that would make another request of it: some are told by peers.
fn request(host: &str, port: u16, profile: &ProxyProfile) -> Option<Zeroizing<String>> {
    let is_name =
        !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet));
    if !is_name && host.parse::<Ipv6Addr>().is_err() {
        return None;
    }
    let authority = format!("{}:{port}", url_host(host));
    let mut request = Zeroizing::new(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"));
    if let Some(username) = &profile.username {
        let password = profile.password.as_ref().map_or("", Secret::expose);
        let credentials = Zeroizing::new(format!("{username}:{password}"));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&Zeroizing::new(STANDARD.encode(credentials.as_bytes())));
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    Some(request)
}

/// An error of the operating system with its number.
fn errno_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{number} ({})", os_text(error)),
        None => os_text(error),
    }
}

/// What the fuzz target runs: an answer of any octets.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz_answer(octets: &[u8]) {
    let mut head = Head::default();
    for (at, octet) in octets.iter().enumerate() {
        match head.push(*octet) {
            Ok(None) => {}
            Ok(Some(status)) => {
                assert!(status.starts_with('2') && octets[..=at].ends_with(b"\r\n\r\n"), "{octets:?}");
                return;
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
