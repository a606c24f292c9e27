//! What an event of the log costs whoever logs it.

use criterion::{Criterion, criterion_group, criterion_main};
use management::log::{LogParams, logger};
use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::hint::black_box;

/// Lines go to the end of the world: the writer's thread should not be what is measured.
fn write_to_nowhere(module: LogModule) {
    let params = LogParams {
        module,
        enable: Some("info+".to_owned()),
        include_timestamp: None,
        include_source: None,
        output_file: Some("/dev/null".to_owned()),
        format: None,
    };
    logger().configure(&params).expect("valid");
}

fn events(c: &mut Criterion) {
    let module = LogModule::Server;
    write_to_nowhere(module);
    let (conn, address, peer) = (black_box(12_u32), "0.0.0.0:5672", "10.1.2.3:40000");
    let mut group = c.benchmark_group("log");
    group.bench_function("disabled", |b| {
        b.iter(|| log!(module, Level::Debug, conn = conn, "Accepted connection to {address} from {peer}"));
    });
    group.bench_function("enabled", |b| {
        b.iter(|| log!(module, Level::Info, conn = conn, "Accepted connection to {address} from {peer}"));
    });
    group.finish();
}

criterion_group!(benches, events);
criterion_main!(benches);
