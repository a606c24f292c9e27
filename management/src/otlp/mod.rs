//! Export to a collector of OpenTelemetry (OTLP over HTTP, in protobuf), where the environment names one: the router's
//! figures now and then, and what is over as spans.
//!
//! ```text
//!  figures (the table) ----------------asked each interval----> Points --.
//!  records (thread) --Ended--> Spans --queue; full: dropped--> batches --+--POST--> collector
//!                                                   (thread "otlp")
//! ```
//!
//! A thread of its own does it, so nothing that moves traffic waits for a collector.

mod points;
mod post;
mod settings;
mod spans;

pub use spans::Spans;

use crate::figures::tell_all;
use crate::runtime::now;
use adaptors::runtime::Io;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use points::Points;
use post::{Failure, Target};
use router_engine::log::{Level, LogModule};
use settings::Settings;
use spans::DROPPED;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout, timeout_at};

/// How often spans are sent that a collector does not take yet, and how long the first pause between is; each is twice as
/// long as the one before.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of the router waits for the last messages.
const LAST_MESSAGES: Duration = Duration::from_millis(150);

/// What exports.
struct Exporter {
    io: Io,
    settings: Settings,
    resource: Resource,
    started: u64,
}

/// Whether a target takes messages, so that the log tells of each change once.
#[derive(Debug, Default)]
struct Health {
    failed: bool,
}

/// Starts to export, where the environment says so. Returns what takes flows that are over, where these are exported.
///
/// # Errors
/// Of the operating system.
pub fn start(io: &Io) -> std::io::Result<Option<Spans>> {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(Some(settings)) => settings,
        Ok(None) => return Ok(None),
        Err(complaint) => {
            router_engine::log!(LogModule::Router, Level::Error, "Nothing is exported to OpenTelemetry: {complaint}");
            return Ok(None);
        }
    };
    for target in settings.metrics.iter().chain(&settings.traces) {
        router_engine::log!(LogModule::Router, Level::Info, "Exporting to OpenTelemetry at {target}");
    }
    let (queue, ended) = mpsc::channel(settings.queue);
    let exporter = Exporter::new(io.clone(), settings);
    let traces = exporter.settings.traces.is_some() && exporter.settings.sampler.takes_some();
    let spans = traces.then(|| Spans { sampler: exporter.settings.sampler, queue, dropped: &DROPPED });
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let (done, is_done) = oneshot::channel::<()>();
    Builder::new().name("otlp".to_owned()).spawn(move || {
        executor.block_on(exporter.run(ended, stopped));
        let _ = done.send(());
        // A name that is being looked up is not waited for.
        executor.shutdown_background();
    })?;
    io.spawn_reporter("otlp", async move |stopping| {
        stopping.await;
        stop.send_replace(true);
        let _ = timeout(LAST_MESSAGES, is_done).await;
    });
    Ok(spans)
}

/// Spans that were dropped, as they were more than a collector takes.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

fn wall_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(key: &str, text: &str) -> KeyValue {
    any_attribute(key, any_value::Value::StringValue(text.to_owned()))
}

fn number_attribute(key: &str, number: i64) -> KeyValue {
    any_attribute(key, any_value::Value::IntValue(number))
}

fn any_attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn scope() -> InstrumentationScope {
    let [name, version] = ["skrouterd", router_engine::VERSION].map(str::to_owned);
    InstrumentationScope { name, version, ..Default::default() }
}

// === impl Exporter ===

impl Exporter {
    fn new(io: Io, settings: Settings) -> Self {
        let known = [("service.version", router_engine::VERSION), ("service.instance.id", io.router().id())];
        let given = settings.resource.iter().map(|(key, value)| attribute(key, value));
        let is_given = |key: &str| settings.resource.iter().any(|(given, _)| given == key);
        let known = known.iter().filter(|(key, _)| !is_given(key)).map(|(key, value)| attribute(key, value));
        let resource = Resource { attributes: given.chain(known).collect(), ..Default::default() };
        let uptime = io.router().router_row(now()).uptime;
        let started = wall_nanos().saturating_sub(u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX));
        Self { io, settings, resource, started }
    }

    async fn run(self, ended: mpsc::Receiver<Span>, stopped: watch::Receiver<bool>) {
        tokio::join!(self.export_figures(stopped.clone()), self.export_spans(ended, stopped));
    }

    /// Exports figures, the last time when the router stops.
    async fn export_figures(&self, mut stopped: watch::Receiver<bool>) {
        let Some(target) = &self.settings.metrics else { return };
        let mut health = Health::default();
        let interval = self.settings.interval;
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ends = tokio::select! {
                _ = ticks.tick() => false,
                _ = stopped.wait_for(|stopped| *stopped) => true,
            };
            let mut points = Points::new(self.resource.clone(), [self.started, wall_nanos()]);
            tell_all(&self.io, &mut points);
            for message in points.finish() {
                let sent = target.post(message).await;
                // What fails is told anew the next time; where one is refused, the others may still be taken.
                if !health.note(target, &sent) && matches!(sent, Err(Failure { passes: true, .. })) {
                    break;
                }
            }
            if ends {
                return;
            }
        }
    }

    /// Exports spans, until whoever makes them is gone.
    async fn export_spans(&self, mut ended: mpsc::Receiver<Span>, mut stopped: watch::Receiver<bool>) {
        let Some(target) = &self.settings.traces else { return };
        let (mut health, mut is_told) = (Health::default(), false);
        loop {
            let mut batch = Vec::new();
            let ends = self.gather(&mut ended, &mut batch, &mut stopped).await;
            if !batch.is_empty() {
                let count = batch.len();
                let message = spans::message(self.resource.clone(), batch);
                if !self.send(target, message, &mut health, &stopped).await {
                    DROPPED.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
                }
            }
            let dropped = dropped();
            if dropped > 0 && !std::mem::replace(&mut is_told, true) {
                let text = "spans were dropped, as there were more than OpenTelemetry takes, or it refused them; that is not told again";
                router_engine::log!(LogModule::Router, Level::Warning, "{dropped} {text}");
            }
            if ends {
                return;
            }
        }
    }

    /// Takes spans until there are enough, or the first has waited long enough. True: no more come.
    async fn gather(
        &self,
        ended: &mut mpsc::Receiver<Span>,
        batch: &mut Vec<Span>,
        stopped: &mut watch::Receiver<bool>,
    ) -> bool {
        let Some(first) = ended.recv().await else { return true };
        batch.push(first);
        let until = Instant::now() + self.settings.delay;
        while batch.len() < self.settings.batch {
            let room = self.settings.batch - batch.len();
            let is_stopped = *stopped.borrow();
            let more = timeout_at(until, async {
                tokio::select! {
                    count = ended.recv_many(batch, room) => Some(count),
                    _ = stopped.changed(), if !is_stopped => None,
                }
            });
            match more.await {
                Ok(Some(0)) => return true,
                // Once the router stops nothing is waited for but the end.
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Sends a message, and again a few times if it may be taken later. False: it was not taken.
    async fn send(
        &self,
        target: &Target,
        message: Vec<u8>,
        health: &mut Health,
        stopped: &watch::Receiver<bool>,
    ) -> bool {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            let sent = target.post(message.clone()).await;
            let passes = matches!(&sent, Err(Failure { passes: true, .. }));
            if health.note(target, &sent) {
                return true;
            }
            if !passes || attempt == ATTEMPTS || *stopped.borrow() {
                return false;
            }
            sleep(pause).await;
            pause *= 2;
        }
        false
    }
}

// === impl Health ===

impl Health {
    /// True: the message was taken.
    fn note(&mut self, target: &Target, sent: &Result<(), Failure>) -> bool {
        let failed = std::mem::replace(&mut self.failed, sent.is_err());
        match sent {
            Err(Failure { text, .. }) if !failed => {
                router_engine::log!(LogModule::Router, Level::Warning, "Export to {target} failed: {text}");
            }
            Ok(()) if failed => {
                router_engine::log!(LogModule::Router, Level::Info, "Export to {target} succeeds again");
            }
            _ => {}
        }
        sent.is_ok()
    }
}
