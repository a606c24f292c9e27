//! Our record layer against rustls's own connection: every version and suite, both roles, any fragments,
//! key updates from both sides under load, and the closing alerts.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::tls::{ClientOptions, Consumer, PeerEnd, ServerOptions, Session, TlsClient, TlsProfile, TlsServer};
use common::Certs;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Connection, ProtocolVersion, RootCertStore, ServerConfig, SupportedCipherSuite};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The socket under our session; its other end is moved by hand.
#[derive(Default)]
struct Wire {
    input: VecDeque<u8>,
    output: VecDeque<u8>,
    /// Octets that one read or write takes at most.
    step: usize,
    shut: bool,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = self.input.len().min(self.step).min(buf.remaining());
        if n == 0 {
            return Poll::Pending;
        }
        let octets: Vec<u8> = self.input.drain(..n).collect();
        buf.put_slice(&octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let n = data.len().min(self.step);
        self.output.extend(&data[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

/// How octets are cut, and how often keys change.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Octets of a socket's reads and writes at most.
    step: usize,
    /// Octets of rustls's records.
    fragment: Option<usize>,
    /// Records under one of our keys.
    limit: u64,
    /// Octets to exchange each way.
    total: usize,
}

const CUTS: [Cut; 5] = [
    Cut { step: usize::MAX, fragment: None, limit: u64::MAX, total: 300_000 },
    Cut { step: usize::MAX, fragment: None, limit: 2, total: 300_000 },
    Cut { step: 1, fragment: None, limit: 5, total: 20_000 },
    Cut { step: 1, fragment: Some(32), limit: u64::MAX, total: 5_000 },
    Cut { step: 4099, fragment: Some(777), limit: 3, total: 100_000 },
];

/// Our session and a connection of rustls.
struct Pair {
    ours: Session,
    wire: Wire,
    theirs: Connection,
    random: u64,
    /// What came, at ours and at theirs.
    received: [Vec<u8>; 2],
}

// === impl Pair ===

impl Pair {
    fn new(certs: &Certs, suite: SupportedCipherSuite, we_are_client: bool, cut: Cut) -> Self {
        let (mut ours, theirs) = if we_are_client {
            (our_client(certs, suite), their_server(certs, suite, cut.fragment))
        } else {
            (our_server(certs, suite), their_client(certs, suite, cut.fragment))
        };
        ours.limit_keys(if is_tls13(suite) { cut.limit } else { u64::MAX });
        let wire = Wire { step: cut.step, ..Wire::default() };
        let mut pair = Self { ours, wire, theirs, random: 1, received: [Vec::new(), Vec::new()] };
        pair.theirs.set_buffer_limit(None);
        loop {
            let done = pair.ours.poll_handshake(&mut cx(), &mut pair.wire).map(Result::unwrap).is_ready();
            pair.carry();
            if done && !pair.theirs.is_handshaking() {
                return pair;
            }
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % below
    }

    /// Carries records both ways, and gives them to rustls.
    fn carry(&mut self) {
        while !self.wire.output.is_empty() {
            let n = self.wire.output.len().min(self.wire.step);
            let octets: Vec<u8> = self.wire.output.drain(..n).collect();
            let mut octets = octets.as_slice();
            while !octets.is_empty() {
                self.theirs.read_tls(&mut octets).unwrap();
                self.theirs.process_new_packets().unwrap();
                read_some(&mut self.theirs, &mut self.received[1]);
            }
        }
        while self.theirs.wants_write() {
            self.theirs.write_tls(&mut self.wire.input).unwrap();
        }
    }

    /// Reads what came to our end. True at the end.
    fn read(&mut self) -> bool {
        loop {
            match self.ours.poll_read(&mut cx(), &mut self.wire) {
                Poll::Pending => return false,
                Poll::Ready(data) => match data.unwrap() {
                    Some(data) => self.received[0].extend_from_slice(&data),
                    None => return true,
                },
            }
        }
    }

    /// Exchanges data both ways in random pieces, while rustls updates its keys.
    fn exchange(&mut self, total: usize, updates: bool) {
        let data = pattern(total);
        let (mut ours_sent, mut theirs_sent) = (0, 0);
        while ours_sent < total || theirs_sent < total || self.received.iter().any(|r| r.len() < total) {
            let n = self.random(40_000).min(total - ours_sent);
            let (a, b) = data[ours_sent..ours_sent + n].split_at(self.random(n + 1));
            let slices = [IoSlice::new(a), IoSlice::new(b)];
            if let Poll::Ready(n) = self.ours.poll_write(&mut cx(), &mut self.wire, &slices) {
                ours_sent += n.unwrap();
            }
            let _ = self.ours.poll_flush(&mut cx(), &mut self.wire);
            let n = self.random(40_000).min(total - theirs_sent);
            self.theirs.writer().write_all(&data[theirs_sent..theirs_sent + n]).unwrap();
            theirs_sent += n;
            if updates && self.random(3) == 0 {
                self.theirs.refresh_traffic_keys().unwrap();
            }
            self.carry();
            assert!(!self.read());
        }
        for received in &mut self.received {
            assert!(*received == data);
            received.clear();
        }
    }

    /// Both ends close, theirs first if so wished.
    fn close(mut self, theirs_first: bool) {
        let close_ours = |pair: &mut Self| {
            let shut = pair.ours.poll_shutdown(&mut cx(), &mut pair.wire).map(Result::unwrap);
            assert!(shut.is_ready() && pair.wire.shut);
            pair.carry();
            // rustls takes the end for complete.
            assert_eq!(pair.theirs.reader().read(&mut [0; 8]).unwrap(), 0);
        };
        if !theirs_first {
            close_ours(&mut self);
            // The other direction is open.
            self.theirs.writer().write_all(b"last words").unwrap();
        }
        self.theirs.send_close_notify();
        self.carry();
        assert!(self.read());
        assert_eq!(self.ours.peer_end(), Some(PeerEnd::CloseNotify));
        if theirs_first {
            let last = [IoSlice::new(b"last words")];
            assert!(self.ours.poll_write(&mut cx(), &mut self.wire, &last).map(Result::unwrap).is_ready());
            self.carry();
            assert_eq!(self.received[1], b"last words");
            close_ours(&mut self);
        } else {
            assert_eq!(self.received[0], b"last words");
        }
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn read_some(conn: &mut Connection, to: &mut Vec<u8>) {
    let mut buf = [0; 4096];
    while let Ok(n @ 1..) = conn.reader().read(&mut buf) {
        to.extend_from_slice(&buf[..n]);
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

fn is_tls13(suite: SupportedCipherSuite) -> bool {
    suite.version().version == ProtocolVersion::TLSv1_3
}

/// The same certificates with an RSA key, for the suites that want one.
fn rsa_certs() -> Certs {
    let certs = Certs::new();
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(certs.path("ca.crt"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(ca, ca_key)).unwrap();
    std::fs::write(certs.path("tls.crt"), leaf.pem()).unwrap();
    std::fs::write(certs.path("tls.key"), key.serialize_pem()).unwrap();
    certs
}

/// The suites that go with these certificates' keys.
fn suites(rsa: bool) -> Vec<SupportedCipherSuite> {
    let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
    let fits = |name: &str| name.starts_with("TLS13") || name.contains("_RSA_") == rsa;
    all.iter().copied().filter(|suite| fits(suite.suite().as_str().unwrap())).collect()
}

fn provider(suite: SupportedCipherSuite) -> Arc<rustls::crypto::CryptoProvider> {
    let all = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(rustls::crypto::CryptoProvider { cipher_suites: vec![suite], ..all })
}

fn profile(certs: &Certs, suite: SupportedCipherSuite) -> TlsProfile {
    let protocols = if is_tls13(suite) { "TLSv1.3" } else { "TLSv1.2" };
    TlsProfile { protocols: Some(protocols.to_owned()), ..certs.profile() }
}

fn our_client(certs: &Certs, suite: SupportedCipherSuite) -> Session {
    let options = ClientOptions { verify_hostname: true };
    let client = TlsClient::load(&profile(certs, suite), Consumer::Amqp, &options).unwrap();
    client.session("localhost", None).unwrap()
}

fn our_server(certs: &Certs, suite: SupportedCipherSuite) -> Session {
    let options = ServerOptions { authenticate_peer: false, alpn: Vec::new() };
    TlsServer::load(&profile(certs, suite), Consumer::Amqp, &options).unwrap().session(&[]).unwrap()
}

fn their_server(certs: &Certs, suite: SupportedCipherSuite, fragment: Option<usize>) -> Connection {
    let chain = vec![CertificateDer::from_pem_file(certs.path("tls.crt")).unwrap()];
    let mut config = ServerConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(certs.path("tls.key")).unwrap())
        .unwrap();
    config.max_fragment_size = fragment;
    // Tickets that we do not use come in front of the data.
    config.send_tls13_tickets = 5;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    rustls::ServerConnection::new(Arc::new(config)).unwrap().into()
}

fn their_client(certs: &Certs, suite: SupportedCipherSuite, fragment: Option<usize>) -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certs.path("ca.crt")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.max_fragment_size = fragment;
    rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap().into()
}

fn every_suite(certs: &Certs, rsa: bool, we_are_client: bool) {
    for suite in suites(rsa) {
        for cut in CUTS {
            let mut pair = Pair::new(certs, suite, we_are_client, cut);
            pair.exchange(cut.total, is_tls13(suite));
            pair.exchange(1, is_tls13(suite));
            pair.close(cut.step % 2 == 0);
        }
    }
}

#[test]
fn a_client_with_every_suite() {
    every_suite(&Certs::new(), false, true);
}

#[test]
fn a_server_with_every_suite() {
    every_suite(&Certs::new(), false, false);
}

#[test]
fn a_client_with_every_suite_and_an_rsa_key() {
    every_suite(&rsa_certs(), true, true);
}

#[test]
fn a_server_with_every_suite_and_an_rsa_key() {
    every_suite(&rsa_certs(), true, false);
}

/// Each record of ours under a key of its own, and each of theirs followed by a request for a new one.
#[test]
fn thousands_of_key_updates_of_ours() {
    let certs = Certs::new();
    for suite in suites(false).into_iter().filter(|suite| is_tls13(*suite)) {
        for we_are_client in [true, false] {
            let cut = Cut { step: usize::MAX, fragment: None, limit: 1, total: 0 };
            let mut pair = Pair::new(&certs, suite, we_are_client, cut);
            for n in 0..2000_u32 {
                let octets = n.to_be_bytes();
                let written = pair.ours.poll_write(&mut cx(), &mut pair.wire, &[IoSlice::new(&octets)]);
                assert!(matches!(written, Poll::Ready(Ok(4))));
                pair.theirs.writer().write_all(&octets).unwrap();
                pair.carry();
                assert!(!pair.read());
            }
            let expected: Vec<u8> = (0..2000_u32).flat_map(u32::to_be_bytes).collect();
            assert!(pair.received.iter().all(|received| *received == expected));
            pair.received = Default::default();
            pair.close(true);
        }
    }
}
