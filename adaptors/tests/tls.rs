//! The TLS transport against itself, against rustls, and against OpenSSL.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::tls::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsError, TlsProfile, TlsServer};
use adaptors::transport::{Transport, TransportError};
use bytes::Bytes;
use common::Certs;
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(t: &mut Transport<S>) -> Result<(), TransportError> {
    poll_fn(|cx| t.poll_handshake(cx)).await
}

async fn read<S: AsyncRead + AsyncWrite + Unpin>(t: &mut Transport<S>) -> Option<Bytes> {
    poll_fn(|cx| t.poll_read(cx)).await.unwrap()
}

async fn write_all<S: AsyncRead + AsyncWrite + Unpin>(t: &mut Transport<S>, mut data: &[u8]) {
    while !data.is_empty() {
        // Odd slices, so that records are gathered across them.
        let (a, b) = data.split_at(data.len().min(37));
        let n = poll_fn(|cx| t.poll_write(cx, &[IoSlice::new(a), IoSlice::new(b)])).await.unwrap();
        data = &data[n..];
    }
    poll_fn(|cx| t.poll_flush(cx)).await.unwrap();
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut t: Transport<S>) -> usize {
    handshake(&mut t).await.unwrap();
    let mut total = 0;
    while let Some(data) = read(&mut t).await {
        total += data.len();
        write_all(&mut t, &data).await;
    }
    poll_fn(|cx| t.poll_shutdown(cx)).await.unwrap();
    total
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// Exchanges `len` octets of echo between two of our transports over a pipe of the given capacity.
async fn exchange(protocols: Option<&str>, ciphers: Option<&str>, len: usize, pipe: usize) -> (String, String) {
    let certs = Certs::new();
    let profile = TlsProfile { ciphers: ciphers.map(str::to_owned), ..certs.profile() };
    let server =
        TlsServer::load(&profile, Consumer::Amqp, &ServerOptions { authenticate_peer: true, alpn: Vec::new() })
            .unwrap();
    let client = certs.client(protocols);
    let (a, b) = tokio::io::duplex(pipe);
    let server = tokio::spawn(echo(Transport::tls(a, server.session(&[]).unwrap())));
    let mut t = Transport::tls(b, client.session("localhost", None).unwrap());
    handshake(&mut t).await.unwrap();
    let info = t.info().unwrap().clone();
    let data = pattern(len);
    let (mut sent, mut received) = (0, Vec::new());
    while received.len() < len {
        poll_fn(|cx| {
            while sent < len {
                match t.poll_write(cx, &[IoSlice::new(&data[sent..])]) {
                    std::task::Poll::Ready(n) => sent += n.unwrap(),
                    std::task::Poll::Pending => break,
                }
            }
            let _ = t.poll_flush(cx);
            t.poll_read(cx).map(|r| received.extend_from_slice(&r.unwrap().unwrap()))
        })
        .await;
    }
    assert!(received == data);
    poll_fn(|cx| t.poll_shutdown(cx)).await.unwrap();
    assert_eq!(read(&mut t).await, None);
    assert_eq!(server.await.unwrap(), len);
    (info.protocol.to_owned(), info.cipher.to_owned())
}

#[tokio::test]
async fn tls13_bulk() {
    let (protocol, _) = exchange(None, None, 3_000_000, 100_000).await;
    assert_eq!(protocol, "TLSv1.3");
}

#[tokio::test]
async fn tls13_through_a_narrow_pipe() {
    exchange(None, None, 100_000, 333).await;
}

#[tokio::test]
async fn tls12_with_every_cipher() {
    for cipher in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"] {
        let (protocol, used) = exchange(Some("TLSv1.2"), Some(cipher), 200_000, 50_000).await;
        assert_eq!((protocol.as_str(), used.as_str()), ("TLSv1.2", cipher));
    }
}

#[tokio::test]
async fn nothing_is_held_when_idle() {
    exchange(None, None, 500_000, 100_000).await;
    // Other tests of this binary use the same pools: only wait for a quiet moment.
    for _ in 0..100 {
        if adaptors::pool::CIPHER.in_use() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("cipher segments in use: {}", adaptors::pool::CIPHER.in_use());
}

#[tokio::test]
async fn client_without_certificate_is_refused() {
    let certs = Certs::new();
    let bare = TlsProfile { cert_file: None, private_key_file: None, ..certs.profile() };
    let client = TlsClient::load(&bare, Consumer::Amqp, &ClientOptions { verify_hostname: true }).unwrap();
    let (a, b) = tokio::io::duplex(10_000);
    let mut server = Transport::tls(a, certs.server(true).session(&[]).unwrap());
    let mut peer = Transport::tls(b, client.session("localhost", None).unwrap());
    let (server, peer) = tokio::join!(handshake(&mut server), async {
        handshake(&mut peer).await?;
        poll_fn(|cx| peer.poll_read(cx)).await.map(|_| ())
    });
    assert!(server.unwrap_err().to_string().contains("peer did not return a certificate"));
    assert!(peer.unwrap_err().to_string().contains("tlsv13 alert certificate required"));
}

#[tokio::test]
async fn wrong_host_and_wrong_authority_are_refused() {
    let (certs, others) = (Certs::new(), Certs::new());
    for (client, host) in [(certs.client(None), "elsewhere"), (others.client(None), "localhost")] {
        let (a, b) = tokio::io::duplex(10_000);
        let mut server = Transport::tls(a, certs.server(false).session(&[]).unwrap());
        let mut peer = Transport::tls(b, client.session(host, None).unwrap());
        let (server, peer) = tokio::join!(handshake(&mut server), handshake(&mut peer));
        assert!(peer.unwrap_err().to_string().contains("certificate verify failed"));
        assert!(server.unwrap_err().to_string().contains("alert"));
    }
}

#[tokio::test]
async fn names_by_common_name_and_without_check() {
    let certs = Certs::new();
    let lax = TlsClient::load(&certs.profile(), Consumer::Amqp, &ClientOptions { verify_hostname: false }).unwrap();
    for (client, host) in [(certs.client(None), "peer"), (lax, "elsewhere")] {
        let (a, b) = tokio::io::duplex(10_000);
        let mut server = Transport::tls(a, certs.server(true).session(&[]).unwrap());
        let mut peer = Transport::tls(b, client.session(host, None).unwrap());
        let (server_done, peer_done) = tokio::join!(handshake(&mut server), handshake(&mut peer));
        server_done.unwrap();
        peer_done.unwrap();
        let certificate = server.info().unwrap().peer_certificate.clone().unwrap();
        assert_eq!(certs.server(true).user(&certificate).unwrap(), "CN=peer");
    }
}

#[tokio::test]
async fn cleartext_peers_get_known_texts() {
    let certs = Certs::new();
    for (data, text) in [(&b"GET / HTTP/1.1\r\n"[..], "http request"), (b"hello hello", "wrong version number")] {
        let (a, mut b) = tokio::io::duplex(10_000);
        tokio::io::AsyncWriteExt::write_all(&mut b, data).await.unwrap();
        let mut server = Transport::tls(a, certs.server(false).session(&[]).unwrap());
        let error = handshake(&mut server).await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    let (a, b) = tokio::io::duplex(10_000);
    drop(b);
    let mut server = Transport::tls(a, certs.server(false).session(&[]).unwrap());
    assert!(matches!(handshake(&mut server).await, Err(TransportError::Tls(TlsError::UnexpectedEof))));
}

#[tokio::test]
async fn tampered_records_are_refused() {
    let certs = Certs::new();
    let (a, b) = tokio::io::duplex(100_000);
    let (mut c, d) = tokio::io::duplex(100_000);
    let mut server = Transport::tls(a, certs.server(false).session(&[]).unwrap());
    let mut peer = Transport::tls(d, certs.client(None).session("localhost", None).unwrap());
    let relay = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut from_server, mut to_server) = tokio::io::split(b);
        let mut buf = vec![0; 65536];
        let mut other = vec![0; 65536];
        loop {
            tokio::select! {
                n = c.read(&mut buf) => {
                    let n = n.unwrap();
                    if n == 0 { return; }
                    // Flip one bit in anything that is application data of the expected size.
                    if n == 5 + 100 + 17 { buf[50] ^= 1; }
                    to_server.write_all(&buf[..n]).await.unwrap();
                }
                n = from_server.read(&mut other) => {
                    let n = n.unwrap();
                    if n == 0 { return; }
                    c.write_all(&other[..n]).await.unwrap();
                }
            }
        }
    });
    let (s, p) = tokio::join!(handshake(&mut server), handshake(&mut peer));
    s.unwrap();
    p.unwrap();
    write_all(&mut peer, &[7; 200]).await;
    assert_eq!(read(&mut server).await.unwrap(), vec![7; 200]);
    write_all(&mut peer, &[7; 100]).await;
    let error = poll_fn(|cx| server.poll_read(cx)).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls(TlsError::BadRecord)));
    let error = poll_fn(|cx| peer.poll_read(cx)).await.unwrap_err();
    assert!(error.to_string().contains("alert bad record mac"), "{error}");
    relay.abort();
}

#[tokio::test]
async fn plain_rustls_client_with_key_updates() {
    let certs = Certs::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(certs.path("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = std::thread::spawn(move || {
        let mut conn = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        let mut tls = rustls::Stream::new(&mut conn, &mut socket);
        let mut answer = vec![0; 50_000];
        for _ in 0..20 {
            let data = pattern(50_000);
            tls.write_all(&data).unwrap();
            tls.read_exact(&mut answer).unwrap();
            assert_eq!(answer, data);
            tls.conn.refresh_traffic_keys().unwrap();
        }
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        assert_eq!(tls.read(&mut answer).unwrap(), 0);
    });
    let (socket, _) = listener.accept().await.unwrap();
    let total = echo(Transport::tls(socket, certs.server(false).session(&[]).unwrap())).await;
    assert_eq!(total, 1_000_000);
    client.join().unwrap();
}

fn openssl() -> bool {
    Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

#[tokio::test]
async fn openssl_client() {
    if !openssl() {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let certs = Certs::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-no_ign_eof",
                version,
                "-verify_return_error",
                "-connect",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["-CAfile", &certs.path("ca.crt"), "-cert", &certs.path("tls.crt"), "-key", &certs.path("tls.key")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let data = pattern(400_000).into_iter().map(|b| b'a' + b % 8).chain([b'\n']).collect::<Vec<_>>();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let sent = data.clone();
        let writer = std::thread::spawn(move || {
            stdin.write_all(&sent).unwrap();
            stdin
        });
        let len = data.len();
        let reader = std::thread::spawn(move || {
            let mut out = vec![0; len];
            stdout.read_exact(&mut out).unwrap();
            out
        });
        let (socket, _) = listener.accept().await.unwrap();
        let server = tokio::spawn(echo(Transport::tls(socket, certs.server(true).session(&[]).unwrap())));
        let (out, stdin) =
            tokio::task::spawn_blocking(move || (reader.join().unwrap(), writer.join().unwrap())).await.unwrap();
        assert!(out == data);
        drop(stdin);
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(server.await.unwrap(), len);
    }
}

#[tokio::test]
async fn openssl_server() {
    if !openssl() {
        return;
    }
    let certs = Certs::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new("openssl")
        .args(["s_server", "-quiet", "-rev", "-accept", &port.to_string(), "-Verify", "1", "-verify_return_error"])
        .args(["-CAfile", &certs.path("ca.crt"), "-cert", &certs.path("tls.crt"), "-key", &certs.path("tls.key")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(socket) => break socket,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    let mut t = Transport::tls(socket, certs.client(None).session("localhost", None).unwrap());
    handshake(&mut t).await.unwrap();
    write_all(&mut t, b"hello there\n").await;
    assert_eq!(read(&mut t).await.unwrap(), &b"ereht olleh\n"[..]);
    let _ = child.kill();
    let _ = child.wait();
}
