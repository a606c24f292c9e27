use super::codec::{self, Update};
use super::registry::RecordType::{BiflowApp, BiflowTport, Connector, Link, Listener, Log, Router};
use super::*;
use crate::rng::Seed;
use amqp_core::Instant;
use amqp_core::message::{Message, MessageBuilder, Properties};
use amqp_core::value::Value as Amqp;
use bytes::Bytes;
use proptest::prelude::*;
use smallvec::smallvec;
use std::sync::Arc;
use std::time::Duration;

/// Microseconds since the epoch when the test's clock shows 0.
const EPOCH: u64 = 1_795_208_426_000_000;

/// A router's records, with a clock.
struct Bench {
    registry: Arc<Registry>,
    source: Source,
    now: Instant,
    sent: Vec<Outgoing>,
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Bench {
    fn new(pod: &str) -> Self {
        Self::with_limit(pod, 100)
    }

    fn with_limit(pod: &str, limit: usize) -> Self {
        let now = Instant::from_micros(1_000_000);
        let id = SourceId::new(Some(pod), Seed::from(1));
        let registry = Registry::with_limit(id, smallvec![(Attribute::Name, "0/A".into())], limit, now);
        Self { source: Source::new(Arc::clone(&registry)), registry, now, sent: Vec::new() }
    }

    fn collected(pod: &str) -> Self {
        let mut bench = Self::new(pod);
        for channel in Channel::ALL {
            bench.source.on_watch(channel, true, bench.now);
        }
        bench
    }

    fn micros(&self) -> u64 {
        EPOCH + self.now.as_micros()
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.source.wake(self.now);
        while let Some(at) = self.source.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.source.handle_timeout(self.now, self.micros());
            self.sent.extend(std::iter::from_fn(|| self.source.poll_message()));
        }
        self.now = end;
    }

    /// Records sent to an address since this was asked.
    fn records(&mut self, to: &str) -> Vec<Update> {
        let (there, rest) = std::mem::take(&mut self.sent).into_iter().partition(|sent: &Outgoing| &*sent.to == to);
        self.sent = rest;
        there.iter().flat_map(|sent| codec::updates(std::slice::from_ref(&sent.message))).collect()
    }

    fn flows(&mut self) -> Vec<Update> {
        let to = Arc::clone(self.source.address(Channel::Flows));
        self.records(&to)
    }

    fn events(&mut self) -> Vec<Update> {
        let to = Arc::clone(self.source.address(Channel::Events));
        self.records(&to)
    }

    fn flow(&self, parent: &Record) -> Record {
        let parent = (Attribute::Parent, parent.identity().into());
        self.registry.begin_flow(BiflowTport, smallvec![parent], self.now).expect("not too many")
    }

    fn listener(&self) -> Record {
        self.registry.begin(Listener, smallvec![(Attribute::Name, "l".into())], self.now)
    }
}

fn codes(update: &Update) -> Vec<u8> {
    update.attributes.iter().map(|(attribute, _)| attribute.code()).collect()
}

fn value(update: &Update, attribute: Attribute) -> Option<String> {
    update.attributes.iter().find(|(a, _)| *a == attribute).map(|(_, value)| value.to_string())
}

fn flush() -> Bytes {
    MessageBuilder::new()
        .properties(&Properties { subject: Some("FLUSH".into()), ..Properties::default() })
        .without_body()
}

#[test]
fn beacons_and_heartbeats() {
    let mut bench = Bench::new("pod-x7k2p");
    bench.run(millis(3000));
    assert!(bench.sent.is_empty(), "nobody is there");
    bench.source.on_watch(Channel::Beacons, true, bench.now);
    bench.run(millis(0));
    let beacon = Message::decode(&[bench.sent[0].message.clone()]).expect("a message");
    assert_eq!(bench.sent.len(), 1, "heartbeats need a listener of their own");
    assert_eq!(beacon.properties.subject.as_deref(), Some("BEACON"));
    assert_eq!(beacon.properties.to.as_deref(), Some("mc/sfe.all"));
    let facts = &beacon.application_properties;
    for (key, text) in
        [("sourceType", "ROUTER"), ("id", "x7k2p:0"), ("address", "mc/sfe.x7k2p:0"), ("direct", "sfe.x7k2p:0")]
    {
        assert_eq!(facts.get(key).and_then(Amqp::as_str), Some(text));
    }
    assert_eq!(facts.get("v"), Some(&Amqp::Uint(1)));
    bench.sent.clear();
    bench.source.on_watch(Channel::Events, true, bench.now);
    bench.run(millis(10_000));
    let subjects: Vec<_> = bench
        .sent
        .iter()
        .filter_map(|sent| Message::decode(std::slice::from_ref(&sent.message)).ok()?.properties.subject)
        .filter(|subject| subject != "RECORD")
        .collect();
    assert_eq!(subjects, ["HEARTBEAT", "HEARTBEAT", "HEARTBEAT", "HEARTBEAT", "HEARTBEAT", "BEACON"]);
    bench.source.on_watch(Channel::Beacons, false, bench.now);
    bench.sent.clear();
    bench.run(millis(20_000));
    assert!(bench.sent.is_empty());
}

#[test]
fn records_come_whole_and_then_what_changes() {
    let mut bench = Bench::collected("pod-x7k2p");
    let mut link = bench.registry.begin(Link, smallvec![(Attribute::Name, "up".into())], bench.now);
    bench.run(millis(1000));
    let first = bench.events();
    assert_eq!(first.iter().map(|update| update.kind).collect::<Vec<_>>(), [Router, Link]);
    assert_eq!(codes(&first[0]), [3, 30], "start and name");
    assert_eq!(codes(&first[1]), [2, 3, 23, 30, 58], "parent, start, octets, name, octets back");
    assert_eq!(value(&first[1], Attribute::StartTime), Some((EPOCH + 1_000_000).to_string()));
    assert_eq!(value(&first[1], Attribute::Parent).as_deref(), Some("x7k2p:0"));
    bench.run(millis(3000));
    assert_eq!(bench.events(), [], "nothing has changed");
    link.meter().add(10, 0);
    link.set(smallvec![(Attribute::OperStatus, "up".into()), (Attribute::Name, "up".into())]);
    bench.run(millis(1000));
    let changed = bench.events();
    assert_eq!((changed.len(), codes(&changed[0])), (1, vec![23, 53]));
    bench.source.on_command(&[flush()], bench.now);
    bench.run(millis(1000));
    let all = bench.events();
    assert_eq!(all.len(), 2);
    assert_eq!(codes(&all[1]), [2, 3, 23, 30, 53, 58]);
    link.end(smallvec![], bench.now);
    bench.run(millis(1000));
    let ended = bench.events();
    assert_eq!((ended.len(), codes(&ended[0])), (1, vec![4]));
    bench.source.on_command(&[flush()], bench.now);
    bench.run(millis(1000));
    assert_eq!(bench.events().len(), 1, "only the router lives");
}

#[test]
fn a_record_is_sent_once_in_a_second() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    bench.run(millis(1000));
    bench.events();
    for _ in 0..40 {
        listener.meter().count();
        listener.set(smallvec![(Attribute::DestinationHost, format!("{:?}", bench.now).into())]);
        bench.run(millis(100));
    }
    let updates = bench.events();
    assert_eq!(updates.len(), 4);
    assert_eq!(value(&updates[3], Attribute::FlowCountL4).as_deref(), Some("40"));
}

#[test]
fn a_short_flow_is_told_of_once_with_what_the_other_router_knows() {
    let (mut near, mut far) = (Bench::collected("pod-near1"), Bench::collected("pod-far22"));
    let listener = near.listener();
    let mut flow = near.flow(&listener);
    let connector = far.registry.begin(Connector, smallvec![], far.now);
    let attributes = smallvec![(Attribute::Connector, connector.identity().into()), (Attribute::Trace, "0/A".into())];
    let mut side = far.registry.join_flow(flow.identity(), attributes, far.now).expect("not too many");
    flow.meter().set_read(7);
    flow.meter().set_latency(900);
    side.meter().set_latency(500);
    side.end(smallvec![], far.now);
    flow.end(smallvec![], near.now + millis(30));
    far.run(millis(400));
    let told: Vec<Outgoing> = far.sent.iter().filter(|sent| &*sent.to == "vfcr.near1:0").cloned().collect();
    assert_eq!(told.len(), 1);
    let sides = codec::updates(&[told[0].message.clone()]);
    assert_eq!((sides.len(), codes(&sides[0])), (1, vec![31, 60, 61]), "no parent and no times");
    near.run(millis(1000));
    assert_eq!(near.flows(), []);
    near.source.on_update(&[told[0].message.clone()], near.now, near.micros());
    near.run(millis(3900));
    assert_eq!(near.flows(), [], "the other router may have something to tell");
    near.run(millis(500));
    let flows = near.flows();
    assert_eq!((flows.len(), codes(&flows[0])), (1, vec![2, 3, 4, 23, 24, 31, 58, 60, 61]));
    assert_eq!(value(&flows[0], Attribute::Connector).as_deref(), Some("far22:1"));
    let time = |attribute| value(&flows[0], attribute).and_then(|v| v.parse::<u64>().ok()).expect("a time");
    assert_eq!(time(Attribute::EndTime) - time(Attribute::StartTime), 30_000);
    far.run(millis(10_000));
    assert_eq!(far.sent.iter().filter(|sent| sent.to.starts_with("vfcr")).count(), 1, "told once");
}

#[test]
fn the_other_router_may_be_quicker_to_tell() {
    let (mut near, mut far) = (Bench::collected("pod-near1"), Bench::collected("pod-far22"));
    let listener = near.listener();
    near.run(millis(1000));
    let flow = near.flow(&listener);
    let side = far.registry.join_flow(flow.identity(), smallvec![(Attribute::Trace, "0/A".into())], far.now);
    far.run(millis(300));
    let told = far.sent.iter().find(|sent| &*sent.to == "vfcr.near1:0").expect("told").message.clone();
    near.source.on_update(&[told], near.now, near.micros());
    near.run(millis(1000));
    assert_eq!(value(&near.flows()[0], Attribute::Trace).as_deref(), Some("0/A"));
    drop(side);
}

#[test]
fn a_flow_with_both_sides_here_is_told_of_at_once() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let mut flow = bench.flow(&listener);
    let side = bench.registry.join_flow(flow.identity(), smallvec![(Attribute::ProxyPort, Value::Port(80))], bench.now);
    let mut side = side.expect("not too many");
    side.meter().set_read(1);
    side.end(smallvec![], bench.now);
    flow.end(smallvec![], bench.now);
    bench.run(millis(300));
    let flows = bench.flows();
    assert_eq!((flows.len(), codes(&flows[0])), (1, vec![2, 3, 4, 23, 58, 63]));
    assert!(bench.sent.iter().all(|sent| !sent.to.starts_with("vfcr")), "nobody else is told");
}

#[test]
fn a_flow_that_is_over_before_anybody_collects_is_no_more() {
    let mut bench = Bench::with_limit("pod-x7k2p", 2);
    let listener = bench.listener();
    for _ in 0..5 {
        let mut flow = bench.flow(&listener);
        flow.set(smallvec![(Attribute::SourceHost, "h".into())]);
        flow.end(smallvec![], bench.now);
        assert_eq!(Arc::strong_count(flow.meter()), 1, "nothing is left of it, and it does not count");
    }
    let long = bench.flow(&listener);
    bench.run(millis(300));
    let mut late = bench.flow(&listener);
    bench.source.on_watch(Channel::Flows, true, bench.now);
    late.end(smallvec![], bench.now);
    bench.run(millis(6000));
    let told = bench.flows().iter().map(|flow| flow.identity.clone()).collect::<Vec<_>>();
    assert_eq!(told, [long.identity().to_string(), late.identity().to_string()]);
}

#[test]
fn what_becomes_of_a_flow_at_once_is_told_once() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let mut flow = bench.flow(&listener);
    let base = Some(flow.identity());
    let mut side = bench.registry.join_flow(flow.identity(), smallvec![], bench.now).expect("not too many");
    flow.set(smallvec![(Attribute::SourceHost, "first".into())]);
    flow.set(smallvec![(Attribute::SourceHost, "last".into())]);
    side.set(smallvec![(Attribute::ProxyPort, Value::Port(80))]);
    // The flow's end comes first, and the other side's is not lost.
    flow.end(smallvec![], bench.now);
    side.meter().set_read(1);
    side.meter().set_latency(7);
    side.end(smallvec![(Attribute::Trace, "t".into())], bench.now);
    bench.run(millis(300));
    let flows = bench.flows();
    assert_eq!((flows.len(), Some(&flows[0].identity)), (1, base.map(|base| base.to_string()).as_ref()));
    for (attribute, text) in [
        (Attribute::SourceHost, "last"),
        (Attribute::ProxyPort, "80"),
        (Attribute::Trace, "t"),
        (Attribute::ProcessLatency, "7"),
    ] {
        assert_eq!(value(&flows[0], attribute).as_deref(), Some(text), "{attribute:?}");
    }
}

#[test]
fn an_attempt_that_failed_is_not_the_last_word() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let mut flow = bench.flow(&listener);
    let mut side = bench.registry.join_flow(flow.identity(), smallvec![], bench.now).expect("not too many");
    side.end(smallvec![(Attribute::ErrorConnectorSide, "proton:io (refused)".into())], bench.now);
    flow.end(smallvec![(Attribute::ErrorListenerSide, "x".into())], bench.now);
    bench.run(millis(4500));
    assert_eq!(bench.flows(), []);
    bench.run(millis(1000));
    assert_eq!(codes(&bench.flows()[0]), [2, 3, 4, 23, 58, 64, 65]);
}

#[test]
fn a_server_that_never_answered_may_not_be_the_last() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let mut flow = bench.flow(&listener);
    for port in [1, 2] {
        let proxy = (Attribute::ProxyPort, Value::Port(port));
        let mut side = bench.registry.join_flow(flow.identity(), smallvec![proxy], bench.now).expect("not too many");
        let meter = Arc::clone(side.meter());
        bench.run(millis(1000));
        assert_eq!(Arc::strong_count(&meter), 4, "the attempt's, the store's for its end and for the flow, and this");
        side.end(smallvec![], bench.now);
        drop(side);
        let mut next = bench.registry.join_flow(flow.identity(), smallvec![], bench.now).expect("not too many");
        bench.run(millis(1000));
        assert_eq!(Arc::strong_count(&meter), 1, "an attempt that is over leaves nothing behind");
        next.end(smallvec![], bench.now);
    }
    bench.flows();
    flow.end(smallvec![], bench.now);
    bench.run(millis(4500));
    assert_eq!(bench.flows(), [], "another router may have something to tell");
    bench.run(millis(1000));
    assert_eq!(bench.flows().len(), 1);
}

#[test]
fn an_end_comes_after_its_start_on_a_clock_that_is_set_back() {
    let mut bench = Bench::collected("pod-x7k2p");
    let mut link = bench.registry.begin(Link, smallvec![], bench.now);
    bench.run(millis(1000));
    let start: u64 =
        value(&bench.events()[1], Attribute::StartTime).and_then(|start| start.parse().ok()).expect("sent");
    link.end(smallvec![], bench.now);
    bench.source.finish(bench.now, EPOCH - 3_600_000_000);
    bench.sent.extend(std::iter::from_fn(|| bench.source.poll_message()));
    assert_eq!(value(&bench.events()[1], Attribute::EndTime), Some((start + 1).to_string()));
}

#[test]
fn no_more_is_sent_at_once_than_links_to_collectors_keep() {
    const FLOWS: usize = 12_000;
    let mut bench = Bench::with_limit("pod-x7k2p", FLOWS);
    for channel in Channel::ALL {
        bench.source.on_watch(channel, true, bench.now);
    }
    let listener = bench.listener();
    let flows: Vec<Record> = (0..FLOWS).map(|_| bench.flow(&listener)).collect();
    bench.run(millis(2000));
    assert_eq!(bench.flows().len(), FLOWS);
    // However often it is asked, everything is sent once in a second.
    for round in 0..4 {
        (0..100).for_each(|_| bench.source.on_command(&[flush()], bench.now));
        let mut told = 0;
        for _ in 0..5 {
            bench.run(millis(200));
            let now = bench.flows();
            assert!(now.len() <= 5000 && now.iter().all(|flow| codes(flow).contains(&3)), "{}", now.len());
            told += now.len();
        }
        assert!(round == 0 || told == FLOWS, "{told}");
    }
    bench.run(millis(1000));
    bench.flows();
    drop(flows);
    bench.run(millis(5000));
    let mut ended = bench.flows().len();
    for _ in 0..3 {
        bench.run(millis(200));
        let now = bench.flows().len();
        assert!(now <= 5000, "{now}");
        ended += now;
    }
    assert_eq!(ended, FLOWS);
}

#[test]
fn what_others_are_told_has_the_same_pace() {
    const FLOWS: usize = 7000;
    let mut bench = Bench::with_limit("pod-x7k2p", FLOWS);
    let begin = |number| {
        let base = Identity::parse(&format!("other:{number}")).expect("an identity");
        bench.registry.join_flow(base, smallvec![(Attribute::Trace, "0/A".into())], bench.now)
    };
    let sides: Vec<Option<Record>> = (0..FLOWS).map(begin).collect();
    let told = |bench: &mut Bench| {
        bench.run(millis(200));
        bench.records("vfcr.other:0").len()
    };
    assert_eq!([told(&mut bench), told(&mut bench), told(&mut bench)], [5000, 2000, 0]);
    drop(sides);
}

#[test]
fn without_a_source_nothing_is_kept() {
    let Bench { registry, source, now, .. } = Bench::collected("pod-x7k2p");
    let early = registry.begin(Listener, smallvec![], now);
    assert!(registry.collects_flows());
    drop(source);
    assert!(!registry.collects_flows());
    let late = registry.begin(Connector, smallvec![], now);
    assert_eq!([&early, &late].map(|record| Arc::strong_count(record.meter())), [1, 1]);
    drop((early, late));
    assert!(registry.park(std::task::Waker::noop()), "there is nothing to take");
}

#[test]
fn a_long_flow_is_told_of_while_it_lives() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let flow = bench.flow(&listener);
    flow.meter().set_read(1);
    bench.run(millis(1000));
    assert_eq!(codes(&bench.flows()[0]), [2, 3, 23, 58]);
    flow.meter().set_read(2);
    bench.run(millis(1000));
    assert_eq!(codes(&bench.flows()[0]), [23]);
    let request =
        bench.registry.begin_flow(BiflowApp, smallvec![(Attribute::Parent, flow.identity().into())], bench.now);
    request.expect("not too many").end(smallvec![(Attribute::Result, "200".into())], bench.now);
    flow.meter().set_read(3);
    drop(flow);
    bench.run(millis(1000));
    let ended = bench.flows();
    assert_eq!((ended.len(), ended[0].kind), (1, BiflowApp), "a request is not deferred");
    bench.run(millis(5000));
    let ended = bench.flows();
    assert_eq!((ended.len(), codes(&ended[0])), (1, vec![4, 23]));
}

#[test]
fn what_ended_while_nobody_was_there_is_not_told() {
    let mut bench = Bench::new("pod-x7k2p");
    let listener = bench.listener();
    drop(bench.flow(&listener));
    drop(bench.registry.begin(Connector, smallvec![], bench.now));
    bench.run(millis(7000));
    for channel in Channel::ALL {
        bench.source.on_watch(channel, true, bench.now);
    }
    bench.run(millis(2000));
    assert_eq!(bench.events().iter().map(|update| update.kind).collect::<Vec<_>>(), [Router, Listener]);
    assert_eq!(bench.flows(), []);
}

#[test]
fn who_asks_before_it_is_known_is_answered_when_it_is() {
    let mut bench = Bench::new("pod-x7k2p");
    let listener = bench.listener();
    let _flow = bench.flow(&listener);
    bench.run(millis(3000));
    bench.source.on_command(&[flush()], bench.now);
    bench.run(millis(1500));
    bench.source.on_watch(Channel::Events, true, bench.now);
    bench.run(millis(1000));
    assert_eq!(bench.events().iter().map(codes).collect::<Vec<_>>(), [vec![3, 30], vec![2, 3, 30, 40]]);
    bench.source.on_watch(Channel::Flows, true, bench.now);
    bench.run(millis(1000));
    assert_eq!(bench.flows().iter().map(codes).collect::<Vec<_>>(), [[2, 3, 23, 58]]);
}

#[test]
fn without_work_there_is_no_timer() {
    let mut bench = Bench::new("pod-x7k2p");
    bench.run(millis(2000));
    assert_eq!(bench.source.poll_timeout(), None);
    let _listener = bench.listener();
    assert!(!bench.registry.park(std::task::Waker::noop()), "there is something to take");
    bench.run(millis(2000));
    assert_eq!(bench.source.poll_timeout(), None);
    assert!(bench.registry.park(std::task::Waker::noop()));
}

#[test]
fn a_message_has_fifty_records() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    bench.run(millis(1000));
    bench.sent.clear();
    let _flows: Vec<Record> = (0..99).map(|_| bench.flow(&listener)).collect();
    bench.run(millis(1000));
    let sizes: Vec<usize> = bench
        .sent
        .iter()
        .map(|sent| codec::updates(std::slice::from_ref(&sent.message)).len())
        .filter(|&size| size > 0)
        .collect();
    assert_eq!(sizes, [50, 49]);
}

#[test]
fn too_many_flows_go_without() {
    let mut bench = Bench::with_limit("pod-x7k2p", 20);
    let listener = bench.listener();
    let begin = |bench: &Bench| {
        bench.registry.begin_flow(BiflowTport, smallvec![(Attribute::Parent, listener.identity().into())], bench.now)
    };
    let mut flows: Vec<Record> = std::iter::from_fn(|| begin(&bench)).collect();
    assert_eq!(flows.len(), 20);
    flows.truncate(15);
    bench.run(millis(6000));
    assert!(begin(&bench).is_none(), "not before ten are gone");
    flows.truncate(5);
    bench.run(millis(6000));
    flows.extend(std::iter::from_fn(|| begin(&bench)));
    assert_eq!(flows.len(), 20);
}

#[test]
fn lines_of_the_log() {
    let mut bench = Bench::new("pod-x7k2p");
    let attributes =
        || -> Attributes { smallvec![(Attribute::LogSeverity, Value::Number(2)), (Attribute::LogText, "t".into())] };
    bench.registry.log(attributes, bench.now);
    bench.source.on_watch(Channel::Logs, true, bench.now);
    bench.run(millis(1000));
    assert_eq!(bench.records("mc/sfe.x7k2p:0.logs"), [], "nobody was there");
    bench.registry.log(attributes, bench.now);
    bench.run(millis(1000));
    let logs = bench.records("mc/sfe.x7k2p:0.logs");
    assert_eq!((logs.len(), logs[0].kind, codes(&logs[0])), (1, Log, vec![2, 3, 4, 48, 49]));
    assert_eq!(value(&logs[0], Attribute::StartTime), value(&logs[0], Attribute::EndTime));
    for _ in 0..2000 {
        bench.registry.log(attributes, bench.now);
    }
    bench.run(millis(1000));
    assert_eq!(bench.records("mc/sfe.x7k2p:0.logs").len(), 1000, "a flood is cut");
}

#[test]
fn the_end_of_the_router_is_the_end_of_everything() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let mut flow = bench.flow(&listener);
    bench.run(millis(1000));
    bench.sent.clear();
    flow.end(smallvec![], bench.now);
    bench.source.finish(bench.now, bench.micros());
    bench.sent.extend(std::iter::from_fn(|| bench.source.poll_message()));
    let ended = |updates: Vec<Update>| updates.iter().map(|update| (update.kind, codes(update))).collect::<Vec<_>>();
    assert_eq!(ended(bench.events()), [(Router, vec![4]), (Listener, vec![4])]);
    assert_eq!(ended(bench.flows()), [(BiflowTport, vec![4])]);
}

#[test]
fn what_others_tell_is_taken_where_it_belongs() {
    let mut bench = Bench::collected("pod-x7k2p");
    let listener = bench.listener();
    let flow = bench.flow(&listener);
    bench.run(millis(1000));
    bench.sent.clear();
    let tell = |kind: RecordType, identity: &str, attribute: Attribute, value: Value| {
        let mut composer = codec::Composer::default();
        composer.message(0, "vfcr.x7k2p:0", [()], |composer, (), out| {
            composer.put_record(kind, &identity.to_owned().into(), [(attribute, &value)], out);
        })
    };
    let (own, parent) = (flow.identity().to_string(), listener.identity().to_string());
    for message in [
        tell(BiflowTport, "other:2", Attribute::Trace, "t".into()),
        tell(BiflowTport, "x7k2p:99", Attribute::Trace, "t".into()),
        tell(BiflowTport, &parent, Attribute::Trace, "t".into()),
        tell(Listener, &parent, Attribute::Trace, "t".into()),
        tell(BiflowTport, &own, Attribute::EndTime, Value::Number(1)),
        tell(BiflowTport, &own, Attribute::Octets, Value::Number(1)),
        tell(BiflowTport, &own, Attribute::Trace, Value::Number(1)),
        tell(BiflowTport, &own, Attribute::ProcessLatency, "1".into()),
        flush(),
        Bytes::from_static(b"\0Sw"),
    ] {
        bench.source.on_update(&[message], bench.now, bench.micros());
    }
    bench.run(millis(1000));
    assert_eq!((bench.flows(), bench.events()), (vec![], vec![]));
    bench.source.on_update(
        &[tell(BiflowTport, &own, Attribute::Trace, "x".repeat(5000).into())],
        bench.now,
        bench.micros(),
    );
    bench.run(millis(1000));
    assert_eq!(value(&bench.flows()[0], Attribute::Trace).map(|trace| trace.len()), Some(1000), "cut");
}

proptest! {
    /// Whatever comes: no panic, and nothing that is not a record of a flow of this router.
    #[test]
    fn mutated_updates_do_no_harm(at in 0_usize..120, octet: u8, cut in 0_usize..130) {
        let mut composer = codec::Composer::default();
        let (trace, latency) = (Value::Static("0/A|0/B"), Value::Number(77));
        let message = composer.message(1, "vfcr.x7k2p:0", [()], |composer, (), out| {
            let attributes = [(Attribute::Trace, &trace), (Attribute::ProcessLatency, &latency)];
            composer.put_record(BiflowTport, &"x7k2p:2".into(), attributes, out);
        });
        let mut octets = message.to_vec();
        if let Some(there) = octets.get_mut(at) {
            *there = octet;
        }
        octets.truncate(cut);
        let mut bench = Bench::collected("pod-x7k2p");
        bench.source.on_update(&[octets.clone().into()], bench.now, bench.micros());
        bench.source.on_command(&[octets.into()], bench.now);
        bench.run(millis(1000));
    }
}

#[test]
fn what_is_over_is_kept_for_whoever_wants_to_know_with_the_part_of_each_router() {
    let (mut near, mut far) = (Bench::new("pod-near1"), Bench::new("pod-far22"));
    near.source.keep_ended();
    far.source.keep_ended();
    let service =
        |name: &str| smallvec![(Attribute::Name, name.to_owned().into()), (Attribute::VanAddress, "svc".into())];
    let listener = near.registry.begin(Listener, service("l"), near.now);
    let connector = far.registry.begin(Connector, service("c"), far.now);
    let mut flow = near.flow(&listener);
    let attributes = smallvec![(Attribute::Connector, connector.identity().into())];
    let mut side = far.registry.join_flow(flow.identity(), attributes, far.now + millis(1)).expect("not too many");
    flow.meter().set_read(7);
    side.meter().set_read(9);
    side.meter().set_written(7);
    side.end(smallvec![], far.now + millis(20));
    flow.end(smallvec![], near.now + millis(30));
    let begun = [near.micros(), far.micros()];
    far.run(millis(400));
    near.run(millis(5400));
    let ended = [&mut near, &mut far].map(|bench| {
        let ended = bench.source.poll_ended().expect("kept");
        assert_eq!(bench.source.poll_ended(), None);
        ended
    });
    let [own, part] = &ended;
    assert_eq!((own.identity, own.base), (flow.identity(), None));
    assert_eq!((part.identity, part.base), (side.identity(), Some(flow.identity())));
    assert_eq!(own.times, [begun[0], begun[0] + 30_000]);
    assert_eq!(part.times, [begun[1] + 1000, begun[1] + 20_000]);
    let octets = |ended: &Ended| {
        [Attribute::Octets, Attribute::OctetsReverse].map(|wanted| {
            let found = ended.attributes.iter().find(|(attribute, _)| *attribute == wanted);
            found.map(|(_, value)| value.to_string())
        })
    };
    let texts = |texts: [&str; 2]| texts.map(|text| Some(text.to_owned()));
    assert_eq!((octets(own), octets(part)), (texts(["7", "0"]), texts(["9", "7"])));
    let services = [own, part].map(|ended| ended.service.each_ref().map(|value| value.as_ref().map(Value::to_string)));
    assert_eq!(services, [texts(["l", "svc"]), texts(["c", "svc"])]);
}
