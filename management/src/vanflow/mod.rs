//! Sends the router's records: a peer of the core, and a thread of its own, as composing thousands of records takes
//! milliseconds that no thread that moves traffic has.
//!
//! ```text
//!  Registry --told--> Reporter --events, flows, logs--> whoever collects
//!                        ^  ^---FLUSH------------------ whoever collects
//!                        '------what they know--------- routers that serve clients of this one
//! ```

pub(crate) mod environment;

pub use environment::identify_site;

use crate::otlp::Spans;
use adaptors::clock;
use adaptors::runtime::Io;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use router_engine::forward::Treatment;
use router_engine::log::{Level, LogModule};
use router_engine::port::local::{Attach, Delivery, Endpoint, Envelope, Event, GatherLimits, Identity};
use router_engine::stream::Payload;
use router_engine::vanflow::{Channel, Registry, Source};
use router_engine::{LinkId, Router};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::Builder;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Messages on their way to each link at a time. What other routers tell is settled, and lost beyond that.
const CREDIT: u32 = 2500;

/// What of messages that are still arriving is held, in octets.
const ARRIVING: GatherLimits = GatherLimits { message: 256 * 1024, total: 4 * 1024 * 1024 };

/// The peer that sends the records.
struct Reporter {
    endpoint: Endpoint,
    registry: Arc<Registry>,
    source: Source,
    out: LinkId,
    commands: LinkId,
    spans: Option<Spans>,
}

/// What there is to do.
enum Work {
    Event(Event),
    /// It is time, or the registry was told something.
    Due,
}

/// Starts to send the router's records, if it has any; `spans` takes flows that are over. They are sent to the end: what happens while services are stopped
/// is told too.
///
/// # Errors
/// Of the operating system.
pub fn start(io: &Io, spans: Option<Spans>) -> std::io::Result<()> {
    let Some(reporter) = Reporter::join(io.router(), spans, clock::now()) else { return Ok(()) };
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (done, is_done) = oneshot::channel::<()>();
    Builder::new().name("records".to_owned()).spawn(move || {
        executor.block_on(reporter.run(async {
            let _ = stopped.await;
        }));
        let _ = done.send(());
    })?;
    io.spawn_reporter("records", async move |stopping| {
        stopping.await;
        drop(stop);
        let _ = is_done.await;
    });
    Ok(())
}

/// Microseconds since the epoch.
fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

// === impl Reporter ===

impl Reporter {
    fn join(router: &Arc<Router>, spans: Option<Spans>, now: Instant) -> Option<Self> {
        let registry = Arc::clone(router.records()?);
        let mut source = Source::new(Arc::clone(&registry));
        if spans.is_some() {
            source.keep_ended();
        }
        let mut endpoint = Endpoint::join(router, Identity::hidden("records", CREDIT), Default::default(), now);
        endpoint.gather(ARRIVING);
        let (commands, updates) = (source.commands_address(), source.updates_address());
        let links = [
            Attach::anonymous_sender("records"),
            Attach::receiver("records.commands", &commands).with_credit(CREDIT),
            Attach::receiver("records.updates", &updates).with_credit(CREDIT),
        ];
        let [Ok(out), Ok(commands), Ok(_)] = endpoint.attach(links, now) else {
            router_engine::log!(LogModule::FlowLog, Level::Error, "Cannot attach the source of records");
            return None;
        };
        for channel in Channel::ALL {
            let notify = endpoint.notify(channel as u64);
            router.watch_with(source.address(channel), Treatment::Multicast, notify);
        }
        Some(Self { endpoint, registry, source, out: out.link, commands: commands.link, spans })
    }

    /// Sends until it is stopped, and then what is left.
    async fn run(mut self, stopped: impl Future<Output = ()>) {
        router_engine::log!(LogModule::FlowLog, Level::Info, "Protocol logging started");
        let mut stopped = pin!(stopped);
        loop {
            tokio::select! {
                work = self.next() => self.work(work),
                () = &mut stopped => break,
            }
        }
        self.source.finish(clock::now(), wall_micros());
        self.send();
        self.endpoint.close(clock::now());
        router_engine::log!(LogModule::FlowLog, Level::Info, "Protocol logging completed");
    }

    async fn next(&mut self) -> Work {
        let due = self.source.poll_timeout().map(|at| tokio::time::Instant::from_std(clock::to_std(at)));
        // Nothing wakes a thread that wakes by itself soon.
        let rests = !self.source.is_awake();
        let Self { endpoint, registry, .. } = self;
        let told = poll_fn(|cx| match endpoint.poll_event(cx) {
            Poll::Ready(event) => Poll::Ready(Work::Event(event)),
            Poll::Pending if rests && !registry.park(cx.waker()) => Poll::Ready(Work::Due),
            Poll::Pending => Poll::Pending,
        });
        match due {
            None => told.await,
            Some(due) => tokio::time::timeout_at(due, told).await.unwrap_or(Work::Due),
        }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Event(event) => {
                let mut next = Some(event);
                while let Some(event) = next {
                    self.on_event(event);
                    next = self.endpoint.next_event();
                }
            }
            Work::Due => self.source.wake(clock::now()),
        }
        self.source.handle_timeout(clock::now(), wall_micros());
        self.send();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => self.on_delivery(delivery),
            Event::Oversized(delivery, _) => self.endpoint.settle(delivery, DeliveryState::Rejected(None)),
            Event::Watch { key, counts } => {
                let channel = Channel::ALL.into_iter().find(|channel| *channel as u64 == key);
                if let Some(channel) = channel {
                    self.source.on_watch(channel, counts.local + counts.remote > 0, clock::now());
                }
            }
            _ => {}
        }
    }

    fn on_delivery(&mut self, delivery: Delivery) {
        let message = delivery.message().unwrap_or_default();
        if delivery.link() == self.commands {
            self.source.on_command(message, clock::now());
        } else {
            self.source.on_update(message, clock::now(), wall_micros());
        }
        self.endpoint.settle(delivery, DeliveryState::Accepted);
    }

    /// Sends what there is. Whoever is not there to take it goes without.
    fn send(&mut self) {
        while let Some(outgoing) = self.source.poll_message() {
            self.endpoint.send(self.out, Payload::One(outgoing.message), Envelope::to(&outgoing.to).settled());
        }
        self.endpoint.submit(clock::now());
        if let Some(spans) = &self.spans {
            std::iter::from_fn(|| self.source.poll_ended()).for_each(|ended| spans.take(&ended));
        }
    }
}
