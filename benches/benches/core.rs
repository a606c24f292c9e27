//! What the core does for one message: deliver, forward, settle; and what the whole router does, frames included.

use benches::paths::core::{BATCH, unsettled_batch};
use benches::paths::messages::{self, Kind};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn unsettled(c: &mut Criterion) {
    let mut batch = unsettled_batch();
    let mut group = c.benchmark_group("core");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("unsettled-batch", |b| b.iter(|| batch(1)));
    group.finish();
}

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("router");
    group.throughput(Throughput::Elements(messages::BATCH));
    for (name, kind) in [
        ("unsettled", Kind::Unsettled),
        ("unsettled-policed", Kind::UnsettledPoliced),
        ("settled", Kind::Settled),
        ("64k", Kind::Large),
    ] {
        let mut path = messages::through(kind);
        group.bench_function(name, |b| b.iter(|| path(messages::BATCH)));
    }
    group.finish();
}

criterion_group!(benches, unsettled, messages);
criterion_main!(benches);
