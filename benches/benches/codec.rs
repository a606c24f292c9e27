//! Frames that every message costs: transfer, disposition, flow; and the sections of a message.

use benches::paths::codec::{DEPTHS, FRAMES, decode, encode, scan_message};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    for name in FRAMES {
        let (mut encode, mut decode) = (encode(name), decode(name));
        group.bench_function(format!("encode-{name}"), |b| b.iter(|| encode(1)));
        group.bench_function(format!("decode-{name}"), |b| b.iter(|| decode(1)));
    }
    group.finish();
}

fn sections(c: &mut Criterion) {
    let mut group = c.benchmark_group("message");
    for name in DEPTHS {
        let mut scan = scan_message(name);
        group.bench_function(format!("scan-{name}"), |b| b.iter(|| scan(1)));
    }
    group.finish();
}

criterion_group!(benches, frames, sections);
criterion_main!(benches);
