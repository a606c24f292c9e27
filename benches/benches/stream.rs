//! The ring between a producer and a reader.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use router_engine::stream::{Stream, StreamLimits};
use std::collections::VecDeque;

const CHUNK: usize = 64 * 1024;

fn hand_over(c: &mut Criterion) {
    let chunk = Bytes::from(vec![0; CHUNK]);
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    let reader = stream.reader(None);
    let mut out = VecDeque::new();
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("push-pull", |b| {
        b.iter(|| {
            stream.push(chunk.clone());
            reader.pull(CHUNK, &mut out);
            out.clear();
        });
    });
    group.finish();
}

criterion_group!(benches, hand_over);
criterion_main!(benches);
