//! What peers may not do, at each place where that is found out.

use super::super::*;
use super::world::{Arrived, World, message, params, taken};
use crate::core::AddressConfig;
use crate::core::connection::ConnectionRole;
use crate::forward::Treatment;
use crate::log::{Level, LogModule, capture};
use crate::policy::{AddressRules, Group, HostRange, Policy, Settings, Vhost, VhostFigures};
use amqp_core::codec::Encode;
use amqp_core::engine::{AttachParams, Event, LinkKey, Outgoing, Sent};
use amqp_core::message::{MessageBuilder, Properties};
use amqp_core::performative::{Attach, DeliveryState, Open, Performative, Role, Source, Target};

const MANY: usize = 1_000_000;

fn rules(items: &[&str]) -> AddressRules {
    let mut rules = AddressRules::literals();
    items.iter().for_each(|item| rules.add(item).unwrap());
    rules
}

/// What restricts nothing.
fn free() -> Settings {
    Settings {
        allow_dynamic_source: true,
        allow_anonymous_sender: true,
        allow_user_id_proxy: true,
        sources: rules(&["*"]),
        targets: rules(&["*"]),
        ..Settings::default()
    }
}

/// Rules for clients that name no vhost.
fn apply(world: &World, settings: Settings) {
    let group = Group {
        users: vec!["anonymous".to_owned()],
        remote_hosts: vec![HostRange::Any],
        settings: Arc::new(settings),
        ..Group::default()
    };
    let vhost = Vhost::new("".to_owned(), Vec::new(), false, vec![("g".to_owned(), group)]).unwrap();
    world.router.change_policy(|policy| {
        *policy = Policy::new(true, false, String::new());
        policy.put(vhost).unwrap();
    });
}

/// A world with one client, which is restricted.
fn restricted(settings: Settings) -> World {
    let world = World::new();
    apply(&world, settings);
    let mut world = world;
    assert_eq!(world.client(), 0);
    world
}

fn figures(world: &World) -> VhostFigures {
    world.router.vhost_figures().remove(0)
}

/// Sessions, senders, receivers and messages denied in the vhost.
fn denied(world: &World) -> [u64; 4] {
    let f = figures(world);
    [f.sessions_denied, f.senders_denied, f.receivers_denied, f.messages_denied]
}

fn closed(world: &World, client: usize) -> Option<String> {
    world.clients[client].events.iter().find_map(|event| match event {
        Event::Closed { error } => Some(error.as_ref().map(|e| e.to_string()).unwrap_or_default()),
        _ => None,
    })
}

fn their_open(world: &World, client: usize) -> &Open {
    let open = world.clients[client].events.iter().find_map(|event| match event {
        Event::RemoteOpen(open) => Some(&**open),
        _ => None,
    });
    open.expect("the router has opened")
}

/// Attaches a link, and tells with which error it was detached, if it was.
fn attach(world: &mut World, role: Role, address: Option<&str>, dynamic: bool) -> (LinkKey, Option<String>) {
    let session = world.at(0).engine.begin_session().expect("session");
    let name = format!("link{}", world.at(0).events.len());
    let source = Source { address: address.map(str::to_owned), dynamic, ..Source::default() };
    let target = Target { address: address.map(str::to_owned), ..Target::default() };
    let (source, target) = (Some(source.into()), Some(target.into()));
    let params = AttachParams { name, role, source, target, snd_settle_mode: 2 };
    let link = world.at(0).engine.attach(session, params).expect("link");
    world.run();
    let error = world.at(0).detached(link).map(|error| error.expect("an error"));
    if error.is_some() {
        // It is refused by an answer whose termini say nothing.
        let answer = world.at(0).attach_answer(link).expect("answered");
        assert_eq!((answer.source.clone(), answer.target.clone()), (Some(Box::default()), Some(Box::default())));
    }
    (link, error)
}

const UNAUTHORIZED: &str = "amqp:unauthorized-access: link disallowed by local policy";
const TOO_MANY: &str = "amqp:resource-limit-exceeded: link disallowed by local policy";

#[test]
fn who_may_not_connect_hears_so_after_the_open() {
    let mut world = World::new();
    apply(&world, free());
    let at = world.join(params(ConnectionRole::Normal));
    let hostname = Some("elsewhere".to_owned());
    world.at(at).engine.open(Open { container_id: "c".into(), hostname, ..Open::default() });
    world.run();
    assert_eq!(their_open(&world, at).container_id, "R");
    let text = "amqp:resource-limit-exceeded: connection disallowed by local policy";
    assert_eq!(closed(&world, at).as_deref(), Some(text));
    assert!(!world.at(at).port.opened());
    assert!(world.router.connection_rows(world.now).is_empty());
}

#[test]
fn connections_between_routers_are_let_in() {
    let mut world = World::new();
    world.router.change_policy(|policy| *policy = Policy::new(true, false, String::new()));
    let at = world.client_with(params(ConnectionRole::InterRouter));
    assert!(world.at(at).port.opened() && world.at(at).port.policed.is_none());
}

#[test]
fn the_open_and_the_windows_tell_the_limits() {
    let limits = Settings {
        max_frame_size: Some(600),
        max_session_window: Some(6000),
        max_sessions: Some(2),
        max_message_size: Some(77),
        ..free()
    };
    let mut world = restricted(limits);
    let open = their_open(&world, 0);
    assert_eq!((open.max_frame_size, open.channel_max), (Some(600), Some(1)));
    let session = world.at(0).engine.begin_session().expect("session");
    world.run();
    assert_eq!(world.at(0).engine.session_window(session), 10);
    assert!(world.at(0).engine.begin_session().is_some() && world.at(0).engine.begin_session().is_none());
    world.run();
    let sender = world.at(0);
    let params = |name: &str, role| AttachParams {
        name: name.to_owned(),
        role,
        source: Some(Source { address: Some("q".into()), ..Source::default() }.into()),
        target: Some(Target { address: Some("q".into()), ..Target::default() }.into()),
        snd_settle_mode: 2,
    };
    let [sending, receiving] =
        [Role::Sender, Role::Receiver].map(|role| sender.engine.attach(session, params("l", role)).expect("link"));
    world.run();
    let size = |world: &mut World, link| world.at(0).attach_answer(link).expect("answered").max_message_size;
    assert_eq!((size(&mut world, sending), size(&mut world, receiving)), (Some(77), Some(0)));
}

#[test]
fn one_session_too_many() {
    let mut world = restricted(Settings { max_sessions: Some(2), ..free() });
    // As channels are bounded too, peers do not come this far unless a session of theirs is still to be ended.
    let stale = SessionKey { slot: 99, serial: 99 };
    world.at(0).port.policed.as_mut().unwrap().sessions.insert(stale);
    let first = world.at(0).engine.begin_session().expect("session");
    let second = world.at(0).engine.begin_session().expect("session");
    world.run();
    let ended = world.at(0).events.iter().filter_map(|event| match event {
        Event::Ended { session, error, .. } => Some((*session, error.as_ref().unwrap().to_string())),
        _ => None,
    });
    let text = "amqp:resource-limit-exceeded: session disallowed by local policy";
    let ended: Vec<_> = ended.collect();
    assert_eq!(ended, [(second, text.to_owned())]);
    assert_eq!(denied(&world), [1, 0, 0, 0]);
    // One that ends makes room.
    world.at(0).engine.end_session(first, None);
    world.run();
    world.at(0).engine.begin_session().expect("session");
    world.run();
    assert_eq!(denied(&world), [1, 0, 0, 0]);
}

#[test]
fn links_by_what_they_name() {
    let lists = Settings { sources: rules(&["in", "${user}.*"]), targets: rules(&["out"]), ..Settings::default() };
    let mut world = restricted(lists);
    for (role, address, dynamic, error) in [
        (Role::Sender, Some("out"), false, None),
        (Role::Sender, Some("in"), false, Some(UNAUTHORIZED)),
        (Role::Sender, None, false, Some(UNAUTHORIZED)),
        (Role::Sender, Some(""), false, Some(UNAUTHORIZED)),
        (Role::Receiver, Some("in"), false, None),
        (Role::Receiver, Some("anonymous.x"), false, None),
        (Role::Receiver, Some("out"), false, Some(UNAUTHORIZED)),
        (Role::Receiver, None, false, Some(UNAUTHORIZED)),
        (Role::Receiver, None, true, Some(UNAUTHORIZED)),
        (Role::Receiver, Some("in"), true, Some(UNAUTHORIZED)),
    ] {
        let (_, told) = attach(&mut world, role, address, dynamic);
        assert_eq!(told.as_deref(), error, "{role:?} {address:?} {dynamic}");
    }
    assert_eq!(denied(&world), [0, 3, 4, 0]);
    let totals = world.router.policy_totals().figures();
    assert_eq!((totals.links_denied, totals.denials), (7, 7));
    let mut world = restricted(Settings { sources: rules(&[]), targets: rules(&[]), ..free() });
    assert_eq!(attach(&mut world, Role::Sender, None, false).1, None);
    assert_eq!(attach(&mut world, Role::Receiver, None, true).1, None);
    assert_eq!(attach(&mut world, Role::Receiver, Some("q"), false).1.as_deref(), Some(UNAUTHORIZED));
}

#[test]
fn links_are_limited_for_as_long_as_they_live() {
    let mut world = restricted(Settings { max_senders: Some(1), max_receivers: Some(2), ..free() });
    let (sender, told) = attach(&mut world, Role::Sender, Some("a"), false);
    assert_eq!(told, None);
    assert_eq!(attach(&mut world, Role::Sender, Some("a"), false).1.as_deref(), Some(TOO_MANY));
    let receivers = [(); 2].map(|()| attach(&mut world, Role::Receiver, Some("a"), false));
    assert!(receivers.iter().all(|(_, told)| told.is_none()));
    assert_eq!(attach(&mut world, Role::Receiver, Some("a"), false).1.as_deref(), Some(TOO_MANY));
    assert_eq!(denied(&world), [0, 1, 1, 0]);
    // Detached or ended with their session, links make room.
    world.at(0).engine.detach(sender, None);
    let session = world.at(0).engine.link_session(receivers[0].0).unwrap();
    world.at(0).engine.end_session(session, None);
    world.run();
    assert_eq!(attach(&mut world, Role::Sender, Some("a"), false).1, None);
    assert_eq!(attach(&mut world, Role::Receiver, Some("a"), false).1, None);
    assert_eq!(attach(&mut world, Role::Receiver, Some("a"), false).1.as_deref(), Some(TOO_MANY));
    // What the router itself refuses takes no room.
    world.at(0).engine.detach(receivers[1].0, None);
    world.run();
    let elsewhere = "_topo/0/OTHER/x";
    let refused = attach_refused(&mut world, elsewhere);
    assert!(refused.starts_with("qd:no-route-to-dest"), "{refused}");
    assert_eq!(attach(&mut world, Role::Receiver, Some("a"), false).1, None);
}

/// The error of a receiver that the core refuses.
fn attach_refused(world: &mut World, address: &str) -> String {
    let link = world.attach(0, Role::Receiver, Some(address));
    world.at(0).detached(link).flatten().expect("refused")
}

fn message_of(to: &str, user_id: Option<&str>) -> Bytes {
    let user_id = user_id.map(|id| Bytes::copy_from_slice(id.as_bytes()));
    let to = Some(to.to_owned());
    MessageBuilder::new().properties(&Properties { to, user_id, ..Properties::default() }).data(&[7; 10])
}

/// What became of messages, by token.
fn outcome(world: &mut World, token: u64) -> Option<(Option<DeliveryState>, bool)> {
    let outcomes = world.at(0).outcomes();
    outcomes.into_iter().find(|o| o.0 == token).map(|(_, state, settled)| (state, settled))
}

#[test]
fn messages_by_where_they_go() {
    let mut world = restricted(Settings { targets: rules(&["q", "r.*"]), ..free() });
    let receiver = world.client();
    for address in ["q", "r.1", "s"] {
        world.receiver(receiver, address, 10);
    }
    let sender = world.sender(0, None);
    let credit = world.at(0).engine.credit(sender);
    for (token, to) in [(1, "q"), (2, "s"), (3, "r.1")] {
        world.at(0).send(sender, token, false, message_of(to, None));
    }
    world.run();
    let violation = DeliveryState::rejected("amqp:unauthorized-access", "policy violation on target");
    assert_eq!(outcome(&mut world, 2), Some((Some(violation), true)));
    assert_eq!(world.at(receiver).deliveries().len(), 2);
    // Whoever is refused may go on.
    assert_eq!(world.at(0).engine.credit(sender), credit - 2);
    // A link with an address says nothing of what its messages say.
    let named = world.sender(0, Some("q"));
    world.at(0).send(named, 4, false, message_of("s", None));
    world.run();
    assert_eq!(outcome(&mut world, 4), None);
}

#[test]
fn messages_by_their_user_id() {
    for proxy in [false, true] {
        let mut world = restricted(Settings { allow_user_id_proxy: proxy, ..free() });
        let receiver = world.client();
        world.receiver(receiver, "q", 10);
        let sender = world.sender(0, Some("q"));
        for (token, id) in [(1, None), (2, Some("")), (3, Some("anonymous")), (4, Some("eve"))] {
            world.at(0).send(sender, token, false, message_of("q", id));
        }
        world.run();
        let violation = DeliveryState::rejected("amqp:unauthorized-access", "user_id proxy violation");
        let told = (!proxy).then_some((Some(violation), true));
        assert_eq!(outcome(&mut world, 4), told);
        assert_eq!(world.at(receiver).deliveries().len(), 3 + usize::from(proxy));
        assert_eq!([1, 2, 3].map(|token| outcome(&mut world, token)), [None, None, None]);
        let unchecked = super::super::policed::Check::Nothing;
        assert_eq!(world.at(0).port.policed.as_ref().unwrap().check(false, false) == unchecked, proxy);
    }
}

#[test]
fn a_user_id_that_cannot_be_read_here_is_nobodys_own() {
    let mut world = restricted(Settings { allow_user_id_proxy: false, ..free() });
    let receiver = world.client();
    world.receiver(receiver, "q", 10);
    let sender = world.sender(0, Some("q"));
    let body: &[u8] = b"\x00\x53\x75\xa0\x01x";
    let properties = |id: &[u8]| [b"\x00\x53\x73\xc0", &[id.len() as u8 + 2, 2, 0x40][..], id, body].concat();
    let cases = [
        // A number, a described binary, a list that ends within.
        (properties(b"\x53\x07"), true),
        (properties(b"\x00\x53\x01\xa0\x03eve"), true),
        (properties(b"\xa0\x09eve"), true),
        (properties(b"\x40"), false),
        (properties(b"\xa3\x09anonymous"), false),
        (body.to_vec(), false),
        // Properties by their symbol, which routers do not read.
        ([b"\x00\xa3\x14amqp:properties:list\xc0\x07\x02\x40\xa0\x03eve", body].concat(), true),
    ];
    for (token, (octets, denied)) in cases.into_iter().enumerate() {
        let token = token as u64 + 1;
        world.at(0).send(sender, token, false, octets.into());
        world.run();
        let rejected = matches!(outcome(&mut world, token), Some((Some(DeliveryState::Rejected(_)), true)));
        assert_eq!(rejected, denied, "{token}");
    }
    assert_eq!(world.at(receiver).deliveries().len(), 3);
}

#[test]
fn a_peer_that_goes_on_and_on_has_few_lines_in_the_log() {
    let mut world = restricted(Settings { targets: rules(&[]), ..free() });
    let sender = world.sender(0, None);
    capture::start();
    for token in 0..300 {
        world.at(0).send(sender, token, false, message_of("s\nforged", None));
        world.run();
    }
    let lines = capture::texts(LogModule::Policy);
    assert_eq!(lines.len(), 100 + 2);
    assert!(lines.iter().all(|line| line.contains("message to 's\\nforged' for user")), "{}", lines[0]);
}

#[test]
fn a_message_that_is_too_large_is_not_forgiven_when_it_is_given_up() {
    let mut world = restricted(Settings { max_message_size: Some(20_000), ..free() });
    let sender = world.sender(0, Some("q"));
    let receiver = world.client();
    world.receiver(receiver, "q", 10);
    assert!(world.at(0).engine.start(sender, Outgoing { tag: 1, settled: false, state: None, token: 1 }));
    let mut payload: VecDeque<Bytes> = message(None, 60_000).chunks(16_000).map(Bytes::copy_from_slice).collect();
    while world.at(0).engine.send(sender, &mut payload, None, usize::MAX) == Sent::NoWindow {
        world.run();
    }
    world.run();
    assert_eq!((closed(&world, 0), denied(&world)), (None, [0, 0, 0, 1]));
    world.at(0).engine.detach(sender, None);
    world.run();
    assert_eq!(closed(&world, 0).as_deref(), Some("amqp:connection:forced: Message size exceeded"));
}

#[test]
fn who_has_links_refused_and_does_not_look_is_sent_away() {
    let mut world = restricted(Settings { targets: rules(&[]), allow_anonymous_sender: false, ..free() });
    world.at(0).engine.begin_session().expect("session");
    world.run();
    let attach = |handle: u32| {
        let target = Some(Target { address: Some("q".to_owned()), ..Target::default() }.into());
        let (name, source) = (format!("l{handle}"), Some(Box::default()));
        let attach = Attach {
            name,
            handle,
            role: Role::Sender,
            snd_settle_mode: None,
            rcv_settle_mode: None,
            source,
            target,
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: Some(0),
            max_message_size: None,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        };
        let body = Performative::Attach(Box::new(attach)).to_bytes();
        Bytes::from([&(body.len() as u32 + 8).to_be_bytes()[..], &[2, 0, 0, 0], &body].concat())
    };
    let now = world.now;
    let port = &mut world.at(0).port;
    let mut attached = 0;
    while !port.core_closed {
        port.receive(attach(attached));
        port.turn(now);
        attached += 1;
        assert!(attached < 3000, "for ever");
    }
    assert_eq!(attached as usize, limits::UNACKNOWLEDGED_MAX + 1);
}

/// One client with a limit sends so many octets to two others; what those see, and what it is told.
fn oversize(len: usize, limit: u64, settled: bool) -> (World, Vec<Vec<Arrived>>) {
    let mut world = restricted(Settings { max_message_size: Some(limit), ..free() });
    let config = AddressConfig { treatment: Treatment::Multicast, priority: None };
    world.router.add_address_config("mc", config).expect("new");
    let receivers = [world.client(), world.client()];
    for receiver in receivers {
        world.receiver(receiver, "mc", 10);
    }
    let sender = world.sender(0, Some("mc"));
    assert!(world.at(0).engine.start(sender, Outgoing { tag: 1, settled, state: None, token: 1 }));
    let whole = message(None, len);
    let mut payload: VecDeque<Bytes> = whole.chunks(16_000).map(Bytes::copy_from_slice).collect();
    loop {
        let sent = world.at(0).engine.send(sender, &mut payload, Some(settled), usize::MAX);
        world.run();
        match sent {
            Sent::Done | Sent::Gone => break,
            other => assert_eq!(other, Sent::NoWindow),
        }
    }
    let seen = receivers.iter().map(|receiver| world.at(*receiver).deliveries()).collect();
    (world, seen)
}

#[test]
fn messages_that_are_too_large_end_their_connection() {
    capture::start();
    // In one frame, kept whole, forwarded already.
    for (len, limit) in [(100, 90), (100_000, 50_000), (MANY, 600_000)] {
        for settled in [false, true] {
            let (mut world, seen) = oversize(len, limit, settled);
            let rejected = DeliveryState::rejected("amqp:link:message-size-exceeded", "Message size exceeded");
            let outcomes = if settled { vec![] } else { vec![(1, Some(rejected), true)] };
            assert_eq!(world.at(0).outcomes(), outcomes, "{len}");
            let detached = world.at(0).events.iter().find_map(|event| match event {
                Event::Detached { error, .. } => Some(error.is_none()),
                _ => None,
            });
            assert_eq!(detached, Some(true));
            assert_eq!(closed(&world, 0).as_deref(), Some("amqp:connection:forced: Message size exceeded"));
            for deliveries in seen {
                assert!(deliveries.iter().all(|d| d.aborted && !d.complete), "{len}");
                assert_eq!(deliveries.len(), usize::from(len == MANY));
            }
            assert_eq!(denied(&world), [0, 0, 0, 1]);
            let totals = world.router.policy_totals().figures();
            assert_eq!((totals.messages_denied, totals.denials), (1, 1));
            let mut warnings = capture::notable().into_iter().filter(|(module, ..)| *module == LogModule::Policy);
            let last = warnings.next_back().expect("logged");
            assert_eq!(last.1, Level::Warning);
            assert!(last.2.ends_with(" DENY AMQP Transfer maxMessageSize exceeded"), "{}", last.2);
        }
    }
}

#[test]
fn messages_of_the_largest_size_pass() {
    for len in [100, 100_000, MANY] {
        let limit = message(None, len).len() as u64;
        let (world, seen) = oversize(len, limit, false);
        assert!(seen.iter().all(|deliveries| deliveries.len() == 1 && deliveries[0].complete), "{len}");
        assert_eq!(closed(&world, 0), None);
        assert_eq!(denied(&world), [0; 4]);
    }
}

#[test]
fn the_log_tells_what_was_decided_and_what_was_left() {
    let mut world = restricted(Settings { targets: rules(&["q"]), max_sessions: Some(9), ..free() });
    capture::start();
    attach(&mut world, Role::Sender, Some("q"), false);
    attach(&mut world, Role::Sender, Some("r"), false);
    attach(&mut world, Role::Receiver, None, true);
    attach(&mut world, Role::Sender, None, false);
    world.at(0).engine.close(None);
    world.run();
    let c = format!("[C{}]", world.at(0).port.id().number);
    let who = "for user 'anonymous', rhost '127.0.0.1', vhost ''";
    let begun = format!("{c} ALLOW AMQP Begin Session. user: anonymous, rhost: 127.0.0.1, vhost: ");
    let lines = [
        begun.clone(),
        format!("{c} ALLOW AMQP Attach sender link 'q' {who} based on link target name"),
        begun.clone(),
        format!("{c} DENY AMQP Attach sender link 'r' {who} based on link target name"),
        begun.clone(),
        format!("{c} ALLOW AMQP Attach receiver dynamic source {who},"),
        begun,
        format!("{c} ALLOW AMQP Attach anonymous sender {who}"),
        format!(
            "{c} Connection '127.0.0.1:5000' closed with resources n_sessions=4, n_senders=2, n_receivers=1, \
             sessions_denied=0, senders_denied=1, receivers_denied=0, max_message_size_denied:0, nConnections= 0."
        ),
    ];
    assert_eq!(capture::texts(LogModule::Policy), lines);
}

#[test]
fn places_are_free_when_connections_end() {
    let mut world = restricted(free());
    assert_eq!((figures(&world).approved, figures(&world).current), (1, 1));
    assert_eq!(figures(&world).by_user["anonymous"], ["127.0.0.1:5000"]);
    world.at(0).engine.close(None);
    world.run();
    assert_eq!((figures(&world).approved, figures(&world).current), (1, 0));
    assert!(figures(&world).by_user.is_empty() && figures(&world).by_host.is_empty());
    let at = world.client();
    assert_eq!(figures(&world).current, 1);
    let now = world.now;
    world.at(at).port.transport_closed(now);
    assert_eq!(figures(&world).current, 0);
    world.client();
    drop(world.clients);
    assert_eq!(world.router.vhost_figures()[0].current, 0);
}

#[test]
fn connectors_with_a_vhost_are_held_to_its_rules() {
    let world = World::new();
    let settings = Settings { max_frame_size: Some(600), max_sessions: Some(1), ..free() };
    let group = Group { users: vec![String::new()], settings: Arc::new(settings), ..Group::default() };
    let vhost = Vhost::new("v".to_owned(), Vec::new(), false, vec![("$connector".to_owned(), group)]).unwrap();
    world.router.change_policy(|policy| {
        *policy = Policy::new(true, false, String::new());
        policy.put(vhost).unwrap();
    });
    for (name, is_let_in) in [("v", true), ("w", false)] {
        let mut p = params(ConnectionRole::Normal);
        p.conn.initiator = true;
        p.policy_vhost = Some(name.to_owned());
        p.sasl = SaslParams::None;
        let handle = world.router.connect(p.conn.clone(), world.now);
        let mut port = AmqpPort::new(p, handle, Arc::clone(&world.router), world.now);
        let mut server = Connection::new(Config::default());
        server.open(Open { container_id: "s".into(), ..Open::default() });
        let (mut error, mut frame_size) = (None, None);
        for _ in 0..20 {
            port.turn(world.now);
            server.receive(taken(port.output()));
            while let Some(event) = server.poll_event(world.now) {
                match event {
                    Event::RemoteOpen(open) => frame_size = open.max_frame_size,
                    Event::Closed { error: told } => error = told.map(|e| e.to_string()),
                    _ => {}
                }
            }
            server.flush(world.now);
            port.receive(taken(server.output()));
        }
        assert_eq!(frame_size, Some(16384));
        assert_eq!((port.opened(), error.is_none(), port.policed.is_some()), (is_let_in, is_let_in, is_let_in));
    }
    assert_eq!(figures(&world).current, 0);
}
