//! The TLS transport over a pipe in memory: what records cost beside the kernel.

use adaptors::tls::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsProfile, TlsServer};
use adaptors::transport::Transport;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One direction of a pipe.
#[derive(Default)]
struct Lane {
    data: Vec<u8>,
    start: usize,
}

/// An end of a pipe that never blocks a writer.
struct End {
    input: Arc<Mutex<Lane>>,
    output: Arc<Mutex<Lane>>,
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut lane = self.input.lock().expect("not poisoned");
        let n = buf.remaining().min(lane.data.len() - lane.start);
        if n == 0 {
            return Poll::Pending;
        }
        buf.put_slice(&lane.data[lane.start..lane.start + n]);
        lane.start += n;
        if lane.start == lane.data.len() {
            lane.data.clear();
            lane.start = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.output.lock().expect("not poisoned").data.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn profile(dir: &std::path::Path) -> TlsProfile {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let cert = leaf.signed_by(&key, &issuer).expect("a certificate");
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().map(str::to_owned)
    };
    TlsProfile {
        name: "bench".to_owned(),
        ca_cert_file: file("ca.crt", ca_cert.pem()),
        cert_file: file("tls.crt", cert.pem()),
        private_key_file: file("tls.key", key.serialize_pem()),
        ..TlsProfile::default()
    }
}

fn pair() -> (Transport<End>, Transport<End>) {
    let dir = std::env::temp_dir().join(format!("tls-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let profile = profile(&dir);
    let options = ServerOptions { authenticate_peer: true, alpn: Vec::new() };
    let server = TlsServer::load(&profile, Consumer::Amqp, &options).expect("a server");
    let client = TlsClient::load(&profile, Consumer::Amqp, &ClientOptions { verify_hostname: true }).expect("a client");
    let (there, back) = (Arc::<Mutex<Lane>>::default(), Arc::<Mutex<Lane>>::default());
    let near = End { input: Arc::clone(&back), output: Arc::clone(&there) };
    let far = End { input: there, output: back };
    let mut sender = Transport::tls(near, client.session("localhost", None).expect("a session"));
    let mut receiver = Transport::tls(far, server.session(&[]).expect("a session"));
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let sent = sender.poll_handshake(&mut cx).map(|r| r.expect("handshake")).is_ready();
        let received = receiver.poll_handshake(&mut cx).map(|r| r.expect("handshake")).is_ready();
        if sent && received {
            return (sender, receiver);
        }
    }
}

fn transfer(sender: &mut Transport<End>, receiver: &mut Transport<End>, slices: &[IoSlice<'_>]) {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(sent)) = sender.poll_write(&mut cx, slices) else { panic!("the pipe takes everything") };
    let mut received = 0;
    while received < sent {
        match receiver.poll_read(&mut cx) {
            Poll::Ready(Ok(Some(data))) => received += black_box(data).len(),
            _ => panic!("everything is there"),
        }
    }
}

fn tls(c: &mut Criterion) {
    let (mut sender, mut receiver) = pair();
    let payload = vec![7_u8; 64 * 1024];
    let mut group = c.benchmark_group("tls");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("64 KiB in one slice", |b| {
        b.iter(|| transfer(&mut sender, &mut receiver, &[IoSlice::new(&payload)]));
    });
    let header = [1_u8; 30];
    let frames: Vec<IoSlice<'_>> =
        payload.chunks(16354).flat_map(|frame| [IoSlice::new(&header), IoSlice::new(frame)]).collect();
    group.bench_function("64 KiB in frames with headers", |b| {
        b.iter(|| transfer(&mut sender, &mut receiver, &frames));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("200 octets", |b| {
        b.iter(|| transfer(&mut sender, &mut receiver, &[IoSlice::new(&payload[..200])]));
    });
    group.finish();
}

criterion_group!(benches, tls);
criterion_main!(benches);
