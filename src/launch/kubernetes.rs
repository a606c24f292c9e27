//! The pods of a deployment, as the API server of a cluster tells them.

use super::environment::Environment;
use super::mesh::{ACCOUNT, needed};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Between requests while a pod has no address yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Octets of an answer: more than 1,000 pods have.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// A request for pods, and which of them count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pods {
    /// The address of the list.
    pub(super) url: String,
    /// The folder with the token, and the certificate of the server's authority.
    pub(super) account: PathBuf,
    /// The label `application` of the pods that count.
    application: String,
    /// The address of this pod.
    own: String,
}

/// A pod that counts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pod {
    /// RFC 3339 in UTC, so that the order of texts is that of times.
    started: String,
    address: String,
}

// === impl Pods ===

impl Pods {
    /// What the environment says.
    ///
    /// # Errors
    /// When a variable is missing.
    pub(super) fn of(environment: &Environment) -> Result<Self, String> {
        let needed = |name| needed(environment, name);
        let (host, port) = (needed("KUBERNETES_SERVICE_HOST")?, needed("KUBERNETES_PORT_443_TCP_PORT")?);
        let own = needed("POD_IP")?.to_owned();
        let namespace = needed("POD_NAMESPACE")?;
        let application = needed("APPLICATION_NAME")?.to_owned();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let url = format!("https://{host}:{port}/api/v1/namespaces/{namespace}/pods");
        Ok(Self { url, account: ACCOUNT.into(), application, own })
    }

    /// The addresses of pods that were started before this one. Waits until all have an address.
    ///
    /// # Errors
    /// When the server cannot be asked, or does not know this pod.
    pub(super) fn older(
        &self,
        ask: fn(&Self) -> Result<Json, String>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Vec<String>, String> {
        loop {
            match self.older_of(&ask(self)?)? {
                Some(older) => return Ok(older),
                None => tell("Waiting for IP address..."),
            }
            sleep(PAUSE);
        }
    }

    /// `None` while one of them has no address.
    fn older_of(&self, list: &Json) -> Result<Option<Vec<String>>, String> {
        let items = list["items"].as_array().ok_or("the API server's answer has no list of pods")?;
        let counts = |pod: &&Json| pod["metadata"]["labels"]["application"] == self.application.as_str();
        let is_wanted = |pod: &&Json| pod["metadata"]["deletionTimestamp"].is_null();
        let mut pods = Vec::new();
        for pod in items.iter().filter(counts).filter(is_wanted) {
            let Some(address) = pod["status"]["podIP"].as_str() else { return Ok(None) };
            let started = pod["status"]["startTime"].as_str().unwrap_or_default().to_owned();
            pods.push(Pod { started, address: address.to_owned() });
        }
        pods.sort();
        let own = pods.iter().position(|pod| pod.address == self.own);
        let own = own.ok_or_else(|| format!("the API server does not know this pod, {}", self.own))?;
        pods.truncate(own);
        Ok(Some(pods.into_iter().map(|pod| pod.address).collect()))
    }
}

/// Asks the server, whose certificate has to be of the cluster's authority: it is sent a token.
pub(super) fn ask(pods: &Pods) -> Result<Json, String> {
    let token = read(&pods.account.join("token"))?;
    let authority = read(&pods.account.join("ca.crt"))?;
    let roots = CertificateDer::pem_slice_iter(authority.as_bytes()).collect::<Result<Vec<_>, _>>();
    let roots = roots.map_err(|error| format!("{}: {error}", pods.account.join("ca.crt").display()))?;
    let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build();
    let agent = ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(LIMIT)).proxy(None).build();
    let request = agent_of(agent).get(&pods.url).header("Authorization", &format!("Bearer {}", token.trim()));
    let mut answer = request.call().map_err(|error| format!("asking {}: {error}", pods.url))?;
    let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let body = body.map_err(|error| format!("reading from {}: {error}", pods.url))?;
    serde_json::from_slice(&body).map_err(|error| format!("the answer of {}: {error}", pods.url))
}

fn agent_of(config: ureq::config::Config) -> ureq::Agent {
    config.into()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use rustls_pki_types::PrivateKeyDer;
    use serde_json::json;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    fn pods() -> Pods {
        let variables = [
            ("KUBERNETES_SERVICE_HOST", "::1"),
            ("KUBERNETES_PORT_443_TCP_PORT", "443"),
            ("POD_IP", "10.0.0.3"),
            ("POD_NAMESPACE", "ns"),
            ("APPLICATION_NAME", "router"),
        ];
        Pods::of(&Environment::of(variables)).expect("complete")
    }

    fn pod(address: Option<&str>, started: &str, application: &str, deleted: bool) -> Json {
        let mut pod = json!({"metadata": {"labels": {"application": application}}, "status": {"startTime": started}});
        if let Some(address) = address {
            pod["status"]["podIP"] = address.into();
        }
        if deleted {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        pod
    }

    #[test]
    fn older_pods_of_the_application_count() {
        let own = pod(Some("10.0.0.3"), "2026-01-01T00:00:03Z", "router", false);
        let list = |others: &[Json]| {
            let items: Vec<_> = std::iter::once(&own).chain(others).cloned().collect();
            json!({ "items": items })
        };
        let others = [
            pod(Some("10.0.0.2"), "2026-01-01T00:00:02Z", "router", false),
            pod(Some("10.0.0.4"), "2026-01-01T00:00:04Z", "router", false),
            pod(Some("10.0.0.1"), "2026-01-01T00:00:01Z", "router", false),
            pod(Some("10.0.0.9"), "2026-01-01T00:00:00Z", "other", false),
            pod(None, "2026-01-01T00:00:00Z", "router", true),
        ];
        let older = pods().older_of(&list(&others)).expect("well-formed");
        assert_eq!(older, Some(vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]));
        let waiting = [pod(None, "2026-01-01T00:00:04Z", "router", false)];
        assert_eq!(pods().older_of(&list(&waiting)), Ok(None));
        assert_eq!(pods().url, "https://[::1]:443/api/v1/namespaces/ns/pods");
    }

    /// A server that answers one request, and the folder of an account that trusts it.
    fn serve(folder: &Path, trusted: bool, body: &'static str) -> (Pods, JoinHandle<String>) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("token"), "the token\n").expect("written");
        fs::write(folder.join("ca.crt"), if trusted { certified.cert.pem() } else { other.cert.pem() })
            .expect("written");
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = thread::spawn(move || {
            let (socket, _) = listener.accept().expect("a client");
            let session = ServerConnection::new(Arc::new(config)).expect("a session");
            let mut stream = StreamOwned::new(session, socket);
            let mut request = Vec::new();
            let mut octet = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut octet).is_ok() {
                request.extend(octet);
            }
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            String::from_utf8(request).expect("text")
        });
        let url = format!("https://localhost:{port}/api/v1/namespaces/ns/pods");
        (Pods { url, account: folder.to_owned(), ..pods() }, server)
    }

    #[test]
    fn the_server_is_asked_with_the_token_if_it_is_the_clusters() {
        let folder = std::env::temp_dir().join(format!("launch-pods-{}", std::process::id()));
        let body = r#"{"items": [{"metadata": {"labels": {"application": "router"}},
            "status": {"podIP": "10.0.0.3", "startTime": "2026-01-01T00:00:00Z"}}]}"#;
        let (pods, server) = serve(&folder, true, body);
        assert_eq!(pods.older(ask, &mut |_| ()), Ok(vec![]));
        let request = server.join().expect("no panic").to_ascii_lowercase();
        assert!(request.starts_with("get /api/v1/namespaces/ns/pods http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nauthorization: bearer the token\r\n"), "{request}");
        let (pods, server) = serve(&folder, false, body);
        let refused = pods.older(ask, &mut |_| ()).expect_err("another authority");
        assert!(refused.starts_with("asking https://localhost:"), "{refused}");
        assert_eq!(server.join().expect("no panic"), "", "it has not seen the token");
        fs::remove_dir_all(folder).expect("there");
    }

    #[test]
    fn answers_that_make_no_sense() {
        for answer in [json!(null), json!({}), json!({"items": 1}), json!({"items": []}), json!({"items": [1, null]})] {
            pods().older_of(&answer).expect_err("refused");
        }
    }
}
