//! TLS handshake messages that are spread over records, and records over reads.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::transport::{Transport, TransportError};
use common::Certs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Connection, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
/// The smallest fragments that rustls makes: every handshake message of note takes several records.
const FRAGMENT: Option<usize> = Some(32);

/// Gives one octet with each read.
struct Trickle(DuplexStream);

impl AsyncRead for Trickle {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut octet = [0];
        let mut one = ReadBuf::new(&mut octet);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(t: &mut Transport<S>) -> Result<(), TransportError> {
    poll_fn(|cx| t.poll_handshake(cx)).await
}

/// Does the handshake of a plain rustls connection, then sends one octet.
async fn peer(mut conn: Connection, mut io: DuplexStream) {
    let mut buf = [0; 4096];
    while conn.is_handshaking() || conn.wants_write() {
        let mut out = Vec::new();
        while conn.wants_write() {
            conn.write_tls(&mut out).unwrap();
        }
        io.write_all(&out).await.unwrap();
        if conn.is_handshaking() {
            let n = io.read(&mut buf).await.unwrap();
            assert_ne!(n, 0);
            conn.read_tls(&mut &buf[..n]).unwrap();
            conn.process_new_packets().unwrap();
        }
    }
    let mut out = Vec::new();
    std::io::Write::write_all(&mut conn.writer(), b"x").unwrap();
    while conn.wants_write() {
        conn.write_tls(&mut out).unwrap();
    }
    io.write_all(&out).await.unwrap();
    // Stays until the other end has everything.
    let _ = io.read(&mut buf).await;
}

async fn meet(mut ours: Transport<Trickle>, conn: Connection, io: DuplexStream) {
    let peer = tokio::spawn(peer(conn, io));
    handshake(&mut ours).await.unwrap();
    assert_eq!(poll_fn(|cx| ours.poll_read(cx)).await.unwrap().unwrap(), &b"x"[..]);
    drop(ours);
    peer.await.unwrap();
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn chain(certs: &Certs, file: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(certs.path(file)).unwrap()
}

#[tokio::test]
async fn a_client_in_fragments_octet_by_octet() {
    let certs = Certs::new();
    for version in VERSIONS {
        let mut roots = RootCertStore::empty();
        roots.add(chain(&certs, "ca.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certs.path("tls.key")).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![chain(&certs, "tls.crt")], key)
            .unwrap();
        config.max_fragment_size = FRAGMENT;
        let conn = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let (a, b) = tokio::io::duplex(65536);
        meet(Transport::tls(Trickle(a), certs.server(true).session(&[]).unwrap()), conn.into(), b).await;
    }
}

#[tokio::test]
async fn a_server_in_fragments_octet_by_octet() {
    let certs = Certs::new();
    for version in VERSIONS {
        let key = PrivateKeyDer::from_pem_file(certs.path("tls.key")).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain(&certs, "tls.crt")], key)
            .unwrap();
        config.max_fragment_size = FRAGMENT;
        let conn = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let (a, b) = tokio::io::duplex(65536);
        meet(Transport::tls(Trickle(a), certs.client(None).session("localhost", None).unwrap()), conn.into(), b).await;
    }
}

#[tokio::test]
async fn certificates_longer_than_a_record() {
    let names = (0..800).map(|n| format!("host-number-{n}.example.org")).chain(["localhost".to_owned()]);
    let certs = Certs::with_names(names.collect());
    assert!(chain(&certs, "tls.crt").len() > 16 * 1024);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let (a, b) = tokio::io::duplex(1000);
        let mut server = Transport::tls(a, certs.server(true).session(&[]).unwrap());
        let mut client = Transport::tls(b, certs.client(Some(version)).session("localhost", None).unwrap());
        let (server_done, client_done) = tokio::join!(handshake(&mut server), handshake(&mut client));
        server_done.unwrap();
        client_done.unwrap();
        assert_eq!(server.info().unwrap().protocol, version);
    }
}

#[tokio::test]
async fn a_message_that_never_ends_is_the_end_of_the_handshake_only() {
    let certs = Certs::new();
    let (a, mut b) = tokio::io::duplex(1000);
    let mut server = Transport::tls(a, certs.server(false).session(&[]).unwrap());
    // A record with the header of a ClientHello of 200 octets, then one octet of the next record.
    b.write_all(b"\x16\x03\x01\x00\x04\x01\x00\x00\xc8").await.unwrap();
    poll_fn(|cx| {
        assert!(server.poll_handshake(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    b.write_all(b"\x16").await.unwrap();
    drop(b);
    assert!(handshake(&mut server).await.unwrap_err().to_string().contains("unexpected eof"));
}
