//! Handshakes with certificates that are out of the ordinary, and what both sides say when they fail.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::tls::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsProfile, TlsServer};
use adaptors::transport::Transport;
use common::Certs;
use common::pki::{Party, authority, host, pem, with};
use rcgen::date_time_ymd;
use std::future::poll_fn;

/// A profile whose files hold these.
fn profile(certs: &Certs, name: &str, trusted: &[&Party], own: &Party) -> TlsProfile {
    let path = |part: &str| certs.path(&format!("{name}.{part}"));
    std::fs::write(path("ca"), trusted.iter().map(|party| pem(&party.cert)).collect::<String>()).unwrap();
    std::fs::write(path("crt"), pem(&own.cert)).unwrap();
    std::fs::write(path("key"), own.key.serialize_pem()).unwrap();
    TlsProfile {
        name: name.to_owned(),
        ca_cert_file: Some(path("ca")),
        cert_file: Some(path("crt")),
        private_key_file: Some(path("key")),
        ..TlsProfile::default()
    }
}

/// What each side says of a mutually authenticated handshake: the server, and the client, who connects to `host`.
async fn meet(server: &TlsProfile, client: &TlsProfile, host: &str) -> (Result<(), String>, Result<(), String>) {
    let options = ServerOptions { authenticate_peer: true, alpn: Vec::new() };
    let server = TlsServer::load(server, Consumer::Amqp, &options).unwrap();
    let client = TlsClient::load(client, Consumer::Amqp, &ClientOptions { verify_hostname: true }).unwrap();
    let (a, b) = tokio::io::duplex(100_000);
    let server = async {
        let mut t = Transport::tls(a, server.session(&[]).unwrap());
        poll_fn(|cx| t.poll_handshake(cx)).await?;
        poll_fn(|cx| t.poll_shutdown(cx)).await
    };
    let client = async {
        let mut t = Transport::tls(b, client.session(host, None).unwrap());
        poll_fn(|cx| t.poll_handshake(cx)).await?;
        // In TLS 1.3 a refusal of the client comes after its handshake.
        poll_fn(|cx| t.poll_read(cx)).await.map(|_| ())
    };
    let (server, client) = tokio::join!(server, client);
    (server.map_err(|e| e.to_string()), client.map_err(|e| e.to_string()))
}

fn limited(profile: &TlsProfile, protocols: &str) -> TlsProfile {
    TlsProfile { protocols: Some(protocols.to_owned()), ..profile.clone() }
}

#[tokio::test]
async fn good_ones() {
    let (root, old_root) = (Party::own(authority("root")), Party::own_v1("old root"));
    let alone = Party::own(with(host(&["localhost"]), |params| params.is_ca = authority("x").is_ca));
    let alone_v1 = Party::own_v1("localhost");
    let (by_root, by_old_root) = (root.issue_v1("localhost"), old_root.issue_v1("localhost"));
    let modern = root.issue(host(&["localhost"]));
    for (trusted, server, client) in [
        (&root, &by_root, &by_root),
        (&root, &modern, &by_root),
        (&root, &by_root, &modern),
        (&old_root, &by_old_root, &by_old_root),
        (&alone, &alone, &alone),
        (&alone_v1, &alone_v1, &alone_v1),
    ] {
        let certs = Certs::new();
        let server = profile(&certs, "server", &[trusted], server);
        let client = profile(&certs, "client", &[trusted], client);
        for protocols in ["TLSv1.2", "TLSv1.3"] {
            let found = meet(&server, &limited(&client, protocols), "localhost").await;
            assert_eq!(found, (Ok(()), Ok(())), "{protocols}");
        }
    }
}

#[tokio::test]
async fn causes_are_named() {
    let root = Party::own(authority("root"));
    let good = root.issue(host(&["localhost"]));
    let expired = root.issue(with(host(&["localhost"]), |params| params.not_after = date_time_ymd(2001, 1, 1)));
    let early = root.issue(with(host(&["localhost"]), |params| params.not_before = date_time_ymd(2300, 1, 1)));
    let usage = |usage| root.issue(with(host(&["localhost"]), |params| params.extended_key_usages = vec![usage]));
    let for_client = usage(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    let for_server = usage(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let stranger = Party::own(authority("stranger")).issue(host(&["localhost"]));
    let elsewhere = root.issue_v1("elsewhere");
    for (bad, cause, alert) in [
        (&expired, "certificate verify failed: certificate has expired", "alert certificate expired"),
        (&early, "certificate verify failed: certificate is not yet valid", "alert certificate expired"),
        (&stranger, "caCertFile has no certificate of the issuer 'CN=stranger'", "alert unknown ca"),
        (&for_client, "TLS server (serverAuth) is not among its usages (clientAuth)", "unsupported certificate"),
        (&elsewhere, "'localhost' is not among the names of the certificate (CN=elsewhere)", "bad certificate"),
    ] {
        let certs = Certs::new();
        let (bad, good) = (profile(&certs, "bad", &[&root], bad), profile(&certs, "good", &[&root], &good));
        for protocols in ["TLSv1.2", "TLSv1.3"] {
            let (server, client) = meet(&bad, &limited(&good, protocols), "localhost").await;
            let (server, client) = (server.unwrap_err(), client.unwrap_err());
            assert!(client.contains(cause), "{protocols}: {client}");
            assert!(server.contains(alert), "{protocols}: {server}");
        }
    }
    for (bad, cause, alert) in [
        (&expired, "certificate verify failed: certificate has expired", "alert certificate expired"),
        (&stranger, "caCertFile has no certificate of the issuer 'CN=stranger'", "alert unknown ca"),
        (&for_server, "TLS client (clientAuth) is not among its usages (serverAuth)", "unsupported certificate"),
    ] {
        let certs = Certs::new();
        let (bad, good) = (profile(&certs, "bad", &[&root], bad), profile(&certs, "good", &[&root], &good));
        for protocols in ["TLSv1.2", "TLSv1.3"] {
            let (server, client) = meet(&good, &limited(&bad, protocols), "localhost").await;
            let (server, client) = (server.unwrap_err(), client.unwrap_err());
            assert!(server.contains(cause), "{protocols}: {server}");
            assert!(client.contains(alert), "{protocols}: {client}");
        }
    }
}

#[tokio::test]
async fn versions_and_ciphers_are_named() {
    let root = Party::own(authority("root"));
    let good = root.issue(host(&["localhost"]));
    let certs = Certs::new();
    let good = profile(&certs, "good", &[&root], &good);
    let ciphers = |list: &str| TlsProfile { ciphers: Some(list.to_owned()), ..limited(&good, "TLSv1.2") };
    for (server, client, cause) in [
        (
            limited(&good, "TLSv1.3"),
            limited(&good, "TLSv1.2"),
            "no shared version, no protocol of the sslProfile is offered by the peer",
        ),
        (
            limited(&good, "TLSv1.2"),
            limited(&good, "TLSv1.3"),
            "no shared version, no protocol of the sslProfile is offered by the peer",
        ),
        (
            ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"),
            ciphers("ECDHE-ECDSA-AES256-GCM-SHA384"),
            "no shared cipher: nothing that the peer offers is accepted",
        ),
    ] {
        let (server, client) = meet(&server, &client, "localhost").await;
        let (server, client) = (server.unwrap_err(), client.unwrap_err());
        assert!(server.contains(cause), "{server}");
        assert!(client.contains("alert protocol version") || client.contains("alert handshake failure"), "{client}");
    }
}

#[tokio::test]
async fn servers_without_tls_are_named() {
    let root = Party::own(authority("root"));
    let certs = Certs::new();
    let client = profile(&certs, "client", &[&root], &root.issue(host(&["localhost"])));
    let client = TlsClient::load(&client, Consumer::Amqp, &ClientOptions { verify_hostname: true }).unwrap();
    let (a, mut b) = tokio::io::duplex(100_000);
    tokio::io::AsyncWriteExt::write_all(&mut b, b"AMQP\x03\x01\x00\x00").await.unwrap();
    let mut t = Transport::tls(a, client.session("localhost", None).unwrap());
    let error = poll_fn(|cx| t.poll_handshake(cx)).await.unwrap_err().to_string();
    assert!(error.contains("wrong version number: the peer does not speak TLS"), "{error}");
}

/// A host that no DNS name can be is compared as it is, and shown as it is.
#[tokio::test]
async fn odd_hosts() {
    let root = Party::own(authority("root"));
    let certs = Certs::new();
    let own = profile(&certs, "own", &[&root], &root.issue_v1("böse host"));
    assert_eq!(meet(&own, &own, "böse host").await, (Ok(()), Ok(())));
    let (_, client) = meet(&own, &own, "gute host").await;
    assert!(client.unwrap_err().contains("'gute host' is not among the names of the certificate (CN=böse host)"));
}
