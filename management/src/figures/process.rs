//! The process: what it is, what it has of the system, its memory, log and certificates.

use super::Kind::{Counter, Gauge};
use super::{Figure, Sink, Value, figure, only, seconds, tell as tell_rows, whole};
use crate::entity::router::mode_name;
use crate::memory;
use crate::otlp;
use crate::runtime::now;
use adaptors::figures::{ACCEPTS_FAILED, HANDSHAKES_FAILED};
use adaptors::pool::{CIPHER, DATA};
use adaptors::runtime::Io;
use adaptors::tls::certificate_expiries;
use router_engine::exchange::wide_windows;
use router_engine::log::{Level, LogModule, counts};
use router_engine::memory::BUDGET;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is asked of the process at once.
struct Process {
    started: Duration,
    uptime: Duration,
    workers: usize,
    tasks: usize,
    threads: Option<u64>,
    resident: Option<u64>,
    files: memory::Files,
}

const INFO: &[Figure<()>] =
    &[figure(Gauge, "skrouter_build_info", "The release that runs, and which router this is; always 1.", |()| {
        whole(1)
    })];

const PROCESS: &[Figure<Process>] = &[
    figure(Gauge, "skrouter_start_time_seconds", "When the router started, in seconds since 1970.", |p| {
        seconds(p.started)
    }),
    figure(Gauge, "skrouter_uptime_seconds", "Since the router started.", |p| seconds(p.uptime)),
    figure(Gauge, "skrouter_worker_threads", "Threads that move traffic.", |p| whole(p.workers as u64)),
    figure(Gauge, "skrouter_threads", "All threads of the process.", |p| p.threads.and_then(whole)),
    figure(
        Gauge,
        "skrouter_tasks",
        "Tasks of the threads that move traffic: one for each connection, and some more.",
        |p| whole(p.tasks as u64),
    ),
    figure(Gauge, "skrouter_open_fds", "File descriptors in use.", |p| p.files.open.and_then(whole)),
    figure(Gauge, "skrouter_max_fds", "File descriptors that may be in use.", |p| p.files.limit.and_then(whole)),
    figure(
        Counter,
        "skrouter_accept_errors_total",
        "Connections that the system could not give to a listener.",
        |_| whole(ACCEPTS_FAILED.get()),
    ),
    figure(
        Counter,
        "skrouter_tls_handshake_failures_total",
        "TLS handshakes that have failed at either side, but for those that took too long.",
        |_| whole(HANDSHAKES_FAILED.get()),
    ),
    figure(
        Counter,
        "skrouter_otlp_spans_dropped_total",
        "Spans that a collector of OpenTelemetry did not take in time.",
        |_| whole(otlp::dropped()),
    ),
    figure(Gauge, "skrouter_memory_ceiling_bytes", "What the process may use; 0 is no bound.", |_| {
        whole(BUDGET.ceiling() as u64)
    }),
    figure(Gauge, "skrouter_memory_resident_bytes", "Resident memory of the process.", |p| p.resident.and_then(whole)),
    figure(
        Gauge,
        "skrouter_memory_pressure_level",
        "0: there is plenty. 1: senders are slowed down. 2: new connections are refused. 3: connections that hold the \
         most are closed.",
        |_| whole(BUDGET.level() as u64),
    ),
    figure(Counter, "skrouter_memory_refused_connections_total", "Connections refused for want of memory.", |_| {
        whole(BUDGET.refused() as u64)
    }),
    figure(Gauge, "skrouter_memory_wide_window_bytes", "What the windows of TCP flows on long paths may hold.", |_| {
        whole(wide_windows())
    }),
];

/// Kinds of memory by their names: octets in use and free.
const KINDS: [(&str, Memory); 3] = [
    ("data_segments", Memory { held: || DATA.in_use(), free: Some(|| DATA.free()) }),
    ("tls_segments", Memory { held: || CIPHER.in_use(), free: Some(|| CIPHER.free()) }),
    ("copies", Memory { held: || BUDGET.copied(), free: None }),
];

#[derive(Clone, Copy)]
struct Memory {
    held: fn() -> usize,
    free: Option<fn() -> usize>,
}

const MEMORY: &[Figure<Memory>] = &[
    figure(
        Gauge,
        "skrouter_memory_held_bytes",
        "What peers make the process hold: in segments that sockets are read to, and copied out of these.",
        |kind| whole((kind.held)() as u64),
    ),
    figure(Gauge, "skrouter_memory_free_bytes", "Segments that are kept to be used again.", |kind| {
        kind.free.and_then(|free| whole(free() as u64))
    }),
];

const LOG: &[Figure<u64>] =
    &[figure(Counter, "skrouter_log_lines_total", "Events of the log, whether they were written or not.", |n| {
        whole(*n)
    })];

const CERTIFICATES: &[Figure<i64>] = &[figure(
    Gauge,
    "skrouter_certificate_expiry_timestamp_seconds",
    "When the certificate ends that the users of an sslProfile present, in seconds since 1970.",
    // Certificates end within the range that is exact.
    |end| Some(Value::Real(*end as f64)),
)];

pub(super) fn tell(io: &Io, sink: &mut dyn Sink) {
    let router = io.router();
    let mode = mode_name(router.mode()).to_ascii_lowercase();
    let labels = [("version", router_engine::VERSION), ("router", router.id()), ("mode", &*mode)];
    tell_rows(sink, INFO, &[(labels.map(|(key, value)| (key, value.into())).to_vec(), ())]);
    tell_rows(sink, PROCESS, &only(Process::new(io)));
    tell_rows(sink, MEMORY, &KINDS.map(|(kind, memory)| (vec![("kind", kind.into())], memory)));
    let modules = LogModule::ALL.into_iter().filter(|module| *module != LogModule::Default);
    let lines = modules.flat_map(|module| {
        let counts = Level::ALL.into_iter().zip(counts(module));
        counts.map(move |(level, n)| (vec![("module", module.name().into()), ("level", level.name().into())], n))
    });
    tell_rows(sink, LOG, &lines.collect::<Vec<_>>());
    let ends = certificate_expiries().into_iter().map(|(profile, end)| (vec![("profile", profile.into())], end));
    tell_rows(sink, CERTIFICATES, &ends.collect::<Vec<_>>());
}

// === impl Process ===

impl Process {
    fn new(io: &Io) -> Self {
        let uptime = io.router().router_row(now()).uptime;
        Self {
            started: started(uptime),
            uptime,
            workers: io.workers(),
            tasks: io.live_tasks(),
            threads: memory::threads(),
            resident: memory::usage().map(|usage| usage.resident),
            files: memory::files(),
        }
    }
}

/// When the router started, since 1970: the same each time that it is asked, so that nobody takes it for another start.
fn started(uptime: Duration) -> Duration {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since_epoch.saturating_sub(uptime)
    })
}
