//! The ring between a producer and a reader.

use benches::paths::ring::{CHUNK, hand_over};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn push_pull(c: &mut Criterion) {
    let mut hand_over = hand_over();
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("push-pull", |b| b.iter(|| hand_over(1)));
    group.finish();
}

criterion_group!(benches, push_pull);
criterion_main!(benches);
