//! Looks at the network for as long as somebody looks at the page: a peer of the core, on a thread of its own.

use super::Watched;
use super::document::{About, document};
use super::network::Network;
use super::problems::{Own, problems};
use super::rows::Answer;
use super::schedule::{Ask, Outcome, Schedule};
use crate::runtime::now;
use adaptors::runtime::Io;
use adaptors::tls::certificate_expiries;
use adaptors::{clock, random};
use amqp_core::Instant;
use amqp_core::Value;
use amqp_core::message::{Header, MessageBuilder, Properties};
use amqp_core::performative::DeliveryState;
use amqp_core::value::Map;
use bytes::Bytes;
use router_engine::LinkId;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::local::{Attach, Attached, Endpoint, Envelope, Event, GatherLimits, Identity};
use router_engine::stream::Payload;
use std::future::poll_fn;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout_at;

/// Messages on their way to each link at a time.
const CREDIT: u32 = 250;

/// What of answers that are still arriving is held, in octets. Rows that fill a page have some 150,000.
const ARRIVING: GatherLimits = GatherLimits { message: 2 * 1024 * 1024, total: 16 * 1024 * 1024 };

/// Between two documents.
const INTERVAL: Duration = Duration::from_secs(1);

/// The peer that asks, and what it has heard.
struct Survey {
    endpoint: Endpoint,
    out: LinkId,
    reply_to: String,
    schedule: Schedule,
    network: Network,
    /// Documents so far, and when the last one was made.
    made: u64,
    at: Option<Instant>,
    /// Something was heard since then.
    has_news: bool,
}

/// Looks until nobody does any more, or the router stops.
pub(super) fn run(io: &Io, mut watched: Watched) {
    let executor = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(executor) => executor,
        Err(error) => return complain(&error.to_string()),
    };
    let Some(survey) = Survey::join(io, now()) else { return complain("the core refuses its links") };
    executor.block_on(async {
        tokio::select! {
            () = io.stopped() => {}
            () = survey.run(&mut watched) => {}
        }
    });
}

pub(super) fn complain(error: &str) {
    router_engine::log!(LogModule::Http, Level::Error, "The page cannot look at the network: {error}");
}

// === impl Survey ===

impl Survey {
    fn join(io: &Io, now: Instant) -> Option<Self> {
        let router = io.router();
        let mut endpoint = Endpoint::join(router, Identity::hidden("page", CREDIT), Default::default(), now);
        endpoint.gather(ARRIVING);
        let links = [Attach::anonymous_sender("page"), Attach::dynamic_receiver("page.answers").with_credit(CREDIT)];
        let [Ok(out), Ok(Attached { source: Some(reply_to), .. })] = endpoint.attach(links, now) else { return None };
        let network = Network::new(router.id(), router.mode(), now);
        let mut schedule = Schedule::new(random::seed(), now);
        schedule.set(network.asked(), now);
        Some(Self { endpoint, out: out.link, reply_to, schedule, network, made: 0, at: None, has_news: false })
    }

    async fn run(mut self, watched: &mut Watched) {
        while !watched.is_over(now()) {
            for (id, outcome) in self.schedule.expire(now()) {
                self.conclude(&id, outcome, now());
            }
            while let Some(ask) = self.schedule.ask(now()) {
                let request = request(&ask, &self.reply_to);
                self.endpoint.send(self.out, Payload::One(request), Envelope::to(&ask.to).settled());
            }
            self.endpoint.submit(now());
            self.publish(watched, now());
            self.wait().await;
        }
        self.endpoint.close(now());
    }

    /// Waits for an answer, or until something is due.
    async fn wait(&mut self) {
        let soon = now() + INTERVAL;
        let until = self.schedule.wakes().map_or(soon, |wakes| wakes.min(soon));
        let event = poll_fn(|cx| self.endpoint.poll_event(cx));
        let Ok(event) = timeout_at(clock::to_std(until).into(), event).await else { return };
        self.on_event(event);
        while let Some(event) = self.endpoint.next_event() {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => {
                let answer = Answer::read(delivery.message().unwrap_or_default());
                self.endpoint.settle(delivery, DeliveryState::Accepted);
                let over = answer.and_then(|answer| self.schedule.answer(&answer, now()));
                if let Some((id, outcome)) = over {
                    self.conclude(&id, outcome, now());
                }
            }
            // Whoever sends so much has not answered.
            Event::Oversized(delivery, _) => self.endpoint.settle(delivery, DeliveryState::Rejected(None)),
            _ => {}
        }
    }

    /// A router's turn is over.
    fn conclude(&mut self, id: &str, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Report(report) => self.network.on_report(id, *report, now),
            Outcome::Silent => self.network.on_silence(id, now),
        }
        self.schedule.set(self.network.asked(), now);
        self.has_news = true;
    }

    /// Makes a document of what was heard, if it is time.
    fn publish(&mut self, watched: &Watched, now: Instant) {
        if !self.has_news || self.at.is_some_and(|at| now.since(at) < INTERVAL) {
            return;
        }
        (self.has_news, self.at) = (false, Some(now));
        self.made += 1;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let about_this_process = Own {
            memory: BUDGET.level(),
            ceiling: BUDGET.ceiling(),
            certificates: &certificate_expiries(),
            time: i64::try_from(since.as_secs()).unwrap_or_default(),
        };
        let (problems, untold) = problems(&self.network, &about_this_process, now);
        let about = About {
            number: self.made,
            time: millis(since),
            period: millis(self.schedule.period()),
            problems: &problems,
            untold,
            now,
        };
        watched.show(document(&self.network, &about).into());
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn request(ask: &Ask, reply_to: &str) -> Bytes {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let properties = Properties {
        to: Some(ask.to.clone()),
        reply_to: Some(reply_to.to_owned()),
        correlation_id: Value::Ulong(ask.id),
        ..Properties::default()
    };
    let application = Map::new()
        .with("operation", "QUERY")
        .with("entityType", ask.table.entity())
        .with("offset", count(ask.offset))
        .with("count", count(ask.table.page()));
    let names: Vec<Value> = ask.table.columns().iter().map(|name| (*name).into()).collect();
    MessageBuilder::new()
        .header(&Header::default())
        .properties(&properties)
        .application_properties(&application)
        .value(Map::new().with("attributeNames", names))
}
