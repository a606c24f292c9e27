//! The router daemon.

use management::config::{creation_order, load};
use management::error::RouterError;
use management::runtime::Runtime;
use router_engine::log::{Level, LogModule};

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    management::log::logger();
    let mut arguments = std::env::args().skip(1);
    let mut config = "/etc/skupper-router/skrouterd.conf".to_owned();
    while let Some(argument) = arguments.next() {
        if argument == "-c" {
            config = arguments.next().unwrap_or(config);
        }
    }
    if let Err(error) = run(&config) {
        router_engine::log!(LogModule::Router, Level::Critical, "Router start-up failed: {error}");
        eprintln!("skrouterd: {error}");
        std::process::exit(1);
    }
}

fn run(config: &str) -> Result<(), RouterError> {
    let entities = creation_order(load(config)?);
    let workers = Runtime::router_params(&entities)?.worker_threads;
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|e| RouterError::configuration(e.to_string()))?;
    let runtime = Runtime::new(&entities, "router", executor.handle().clone())?;
    for entity in &entities {
        runtime.create(entity)?;
    }
    runtime.io().start();
    for entity in &entities {
        runtime.activate(entity)?;
    }
    router_engine::log!(
        LogModule::Server,
        Level::Info,
        "Operational, {workers} Threads Running (process ID {})",
        std::process::id()
    );
    executor.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
        match &mut term {
            Some(term) => tokio::select! { _ = term.recv() => {}, _ = tokio::signal::ctrl_c() => {} },
            None => { let _ = tokio::signal::ctrl_c().await; }
        }
    });
    runtime.io().shutdown();
    executor.shutdown_timeout(std::time::Duration::from_millis(200));
    Ok(())
}
