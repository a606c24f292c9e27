//! An update either holds as a whole or leaves everything as it was.

mod common;

use adaptors::tls::{ClientOptions, Consumer, TlsClient, TlsProfile};
use adaptors::transport::Transport;
use amqp_core::Value;
use amqp_core::value::Map;
use common::{Client, field, status};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::future::poll_fn;
use std::io::IoSlice;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

const MISSING: &str = "/no/such/file";

const CONFIG: &str = "router {\n id: R\n}\n";

/// A folder with an authority and a certificate for `localhost`, removed when dropped.
struct Certs(PathBuf);

impl Certs {
    fn make(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("updates-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("signed").pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("valid");
        let certificate = params.signed_by(&key, &issuer).expect("signed").pem();
        for (file, text) in [("ca.crt", authority), ("tls.crt", certificate), ("tls.key", key.serialize_pem())] {
            std::fs::write(dir.join(file), text).expect("written");
        }
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn profile(&self) -> Map {
        Map::new()
            .with("caCertFile", self.file("ca.crt"))
            .with("certFile", self.file("tls.crt"))
            .with("privateKeyFile", self.file("tls.key"))
    }

    /// Whether the server at the port has a certificate of this authority.
    async fn certified(&self, port: u16) -> bool {
        let mut transport = self.connect(port).await;
        poll_fn(|cx| transport.poll_handshake(cx)).await.is_ok()
    }

    /// A client that trusts this authority; the handshake is to come.
    async fn connect(&self, port: u16) -> Transport<TcpStream> {
        let profile = TlsProfile { ca_cert_file: Some(self.file("ca.crt")), ..TlsProfile::default() };
        let client =
            TlsClient::load(&profile, Consumer::Amqp, &ClientOptions { verify_hostname: true }).expect("loads");
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        Transport::tls(stream, client.session("localhost", None).expect("a session"))
    }
}

impl Drop for Certs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The map with another value of a key.
fn changed(map: Map, key: &str, value: Value) -> Map {
    let others = map.0.into_iter().filter(|(k, _)| k.as_str() != Some(key));
    Map(others.chain([(key.into(), value)]).collect())
}

/// Updates an entity in a way that must fail, and sees that nothing has changed.
async fn refused(client: &mut Client, ty: &str, name: &str, body: Map) {
    let before = client.request("READ", ty, name, Map::new()).await.body;
    let reply = client.request("UPDATE", ty, name, body.clone()).await;
    assert!(status(&reply) >= 400, "{body:?}: {reply:?}");
    assert_eq!(client.request("READ", ty, name, Map::new()).await.body, before, "{body:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn users_of_a_profile_are_switched_together_or_not_at_all() {
    let (old, new) = (Certs::make("old"), Certs::make("new"));
    let router = common::start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let port = common::free_port();
    let uses =
        |host: &str, port: u16| Map::new().with("sslProfile", "p").with("host", host).with("port", port.to_string());
    client.create("sslProfile", "p", old.profile()).await;
    client.create("listener", "l", uses("127.0.0.1", port)).await;
    client.create("connector", "c", uses("127.0.0.1", common::free_port())).await;
    client.create("tcpConnector", "t", uses("127.0.0.1", 1).with("address", "a")).await;
    assert!(old.certified(port).await);

    // The listener could do without an authority, the connectors cannot.
    refused(&mut client, "sslProfile", "p", changed(new.profile(), "caCertFile", Value::Null)).await;
    for file in ["caCertFile", "certFile", "privateKeyFile"] {
        refused(&mut client, "sslProfile", "p", changed(new.profile(), file, MISSING.into())).await;
    }
    assert!(old.certified(port).await && !new.certified(port).await);

    let newer = client.request("UPDATE", "sslProfile", "p", Map::new().with("ordinal", 1)).await;
    assert_eq!((status(&newer), field(&newer, "ordinal").as_i64()), (200, Some(1)));
    assert_eq!(status(&client.request("UPDATE", "sslProfile", "p", new.profile()).await), 200);
    assert!(new.certified(port).await && !old.certified(port).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn connections_of_a_deleted_listener_end_when_their_credentials_do() {
    let certs = Certs::make("deleted");
    let router = common::start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let port = common::free_port();
    client.create("sslProfile", "p", certs.profile().with("ordinal", 1)).await;
    let listener = Map::new().with("sslProfile", "p").with("host", "127.0.0.1").with("port", port.to_string());
    client.create("listener", "l", listener).await;
    let mut peer = certs.connect(port).await;
    poll_fn(|cx| peer.poll_handshake(cx)).await.expect("certified");
    poll_fn(|cx| peer.poll_write(cx, &[IoSlice::new(b"AMQP\0\x01\0\0")])).await.expect("sent");
    poll_fn(|cx| peer.poll_flush(cx)).await.expect("sent");
    let header = poll_fn(|cx| peer.poll_read(cx)).await.expect("open");
    assert_eq!(header.as_deref(), Some(&b"AMQP\0\x01\0\0"[..]));

    assert_eq!(status(&client.request("DELETE", "listener", "l", Map::new()).await), 204);
    // Nothing is loaded for it any more.
    let newer = changed(certs.profile(), "certFile", Value::Null).with("ordinal", 2).with("oldestValidOrdinal", 2);
    assert_eq!(status(&client.request("UPDATE", "sslProfile", "p", newer).await), 200);
    let last_words = timeout(Duration::from_secs(20), poll_fn(|cx| peer.poll_read(cx))).await.expect("in time");
    assert!(last_words.expect("in good order").is_some());
}

#[tokio::test]
async fn files_of_a_profile_that_nobody_uses_have_to_be_there() {
    let certs = Certs::make("unused");
    let router = common::start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    client.create("sslProfile", "p", Map::new()).await;
    refused(&mut client, "sslProfile", "p", changed(certs.profile(), "certFile", MISSING.into())).await;
    assert_eq!(status(&client.request("UPDATE", "sslProfile", "p", certs.profile()).await), 200);
    assert_eq!(status(&client.request("UPDATE", "sslProfile", "p", Map::new().with("ordinal", 3)).await), 200);
}

#[tokio::test]
async fn a_log_keeps_its_settings_when_it_gets_bad_ones() {
    let router = common::start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let log = "log/POLICY";
    refused(&mut client, "log", log, Map::new().with("enable", "bogus")).await;
    refused(&mut client, "log", log, Map::new().with("enable", "debug+").with("outputFile", "/no/such/folder/file"))
        .await;
    refused(&mut client, "log", log, Map::new().with("includeSource", "maybe")).await;
    let good = client.request("UPDATE", "log", log, Map::new().with("includeSource", true)).await;
    assert_eq!((status(&good), field(&good, "enable")), (200, &Value::Null));
}

#[tokio::test]
async fn a_name_that_leads_to_a_pipe_costs_an_error_and_no_time() {
    let certs = Certs::make("pipe");
    let pipe = certs.file("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let router = common::start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    for attribute in ["caCertFile", "certFile", "privateKeyFile", "uidNameMappingFile"] {
        let body = Map(certs.profile().0.into_iter().filter(|(key, _)| key.as_str() != Some(attribute)).collect());
        client.create("sslProfile", attribute, body.with(attribute, pipe.as_str())).await;
        let body = Map::new().with("host", "127.0.0.1").with("port", "0").with("sslProfile", attribute);
        let refused = client.request("CREATE", "listener", "l", body).await;
        assert_eq!(status(&refused), 500, "{attribute}");
        let text = refused.application_properties.get("statusDescription").and_then(Value::as_str).unwrap_or_default();
        assert!(text.contains("ot a regular file"), "{attribute}: {text}");
    }
    // The text stands for itself when its file is of no use.
    client.create("sslProfile", "password", certs.profile().with("password", format!("file:{pipe}"))).await;
    let body = Map::new().with("host", "127.0.0.1").with("port", "0").with("sslProfile", "password");
    assert_eq!(status(&client.request("CREATE", "listener", "l", body).await), 201);
}
