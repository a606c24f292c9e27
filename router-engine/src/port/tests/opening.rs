//! Open, close, loss.

use super::super::open::our_open;
use super::super::*;
use super::world::{World, message, params};
use crate::ConnId;
use crate::core::connection::ConnectionRole;
use amqp_core::engine::Event;
use amqp_core::performative::{DeliveryState, Error, Open};
use amqp_core::value::{Map, Value};

#[test]
fn our_open_to_an_ordinary_peer() {
    let mut world = World::new();
    world.client();
    let Some(Event::RemoteOpen(open)) = world.at(0).events.first() else { panic!() };
    let text = amqp_core::performative::Performative::Open(open.clone()).to_string();
    assert_eq!(
        text,
        "@open(16) [container-id=\"R\", max-frame-size=0x4000, channel-max=0x7fff, idle-time-out=0x1f40, \
         offered-capabilities=@<symbol>[:\"ANONYMOUS-RELAY\", :\"qd.streaming-links\", :\"qd.connection_trunking\"], \
         desired-capabilities=@<symbol>[:\"ANONYMOUS-RELAY\", :\"qd.streaming-links\", :\"qd.connection_trunking\"], \
         properties={:product=\"skupper-router\", :version=\"3.5.0\", :\"qd.conn-id\"=1}]"
            .replace(":\"ANONYMOUS-RELAY\"", ":ANONYMOUS-RELAY")
    );
    assert_eq!(world.at(0).port.remote_container(), Some("client0"));
}

#[test]
fn properties_by_role() {
    let keys = |change: fn(&mut PortParams)| {
        let mut p = params(ConnectionRole::InterRouter);
        p.conn.trunk.cost = 2;
        p.conn.trunk.correlator = Some("e76cM2cAEn3MXf0".into());
        p.open.access_id = Some("aHofM:1".into());
        p.open.hostname = Some("host".into());
        change(&mut p);
        let open = our_open(&p, "R", ConnId::made_up(7));
        let keys: Vec<String> = open.properties.unwrap().iter().map(|(k, _)| k.as_str().unwrap().to_owned()).collect();
        (open.hostname, keys.join(" "))
    };
    let base = "product version qd.conn-id qd.inter-router-cost";
    assert_eq!(
        keys(|_| {}),
        (None, format!("{base} qd.access-id qd.annotations-version qd.wide-windows qd.bare-ends"))
    );
    assert_eq!(
        keys(|p| p.conn.initiator = true),
        (
            Some("host".into()),
            format!("{base} qd.group-correlator qd.annotations-version qd.wide-windows qd.bare-ends")
        )
    );
    let data = |p: &mut PortParams| {
        p.conn.initiator = true;
        p.conn.role = ConnectionRole::InterRouterData;
        p.conn.trunk.ordinal = Some(4);
    };
    assert_eq!(
        keys(data).1,
        format!(
            "{base} qd.inter-router-role qd.group-correlator qd.group-ordinal qd.annotations-version qd.wide-windows qd.bare-ends"
        )
    );
    assert_eq!(
        keys(|p| p.conn.role = ConnectionRole::InterEdge).1,
        format!("{base} qd.access-id qd.wide-windows qd.bare-ends")
    );
    assert_eq!(
        keys(|p| {
            p.conn.role = ConnectionRole::Normal;
            p.conn.trunk.cost = 1;
            p.open.failover_list = Some(Value::List(Vec::new()));
            p.open.properties = Map::new().with(Value::symbol("mine"), 1_i32);
        })
        .1,
        "product version qd.conn-id failover-server-list mine"
    );
}

/// What is made of the properties is tested where they are read; here, that it is done.
#[test]
fn a_peer_is_watched_if_it_offers_that_too() {
    let offer = Liveness { interval: Duration::from_millis(100), multiplier: 3 };
    let offering = PortParams { liveness: Some(offer), ..params(ConnectionRole::InterRouter) };
    let theirs = Map::new()
        .with(Value::symbol("qd.liveness-interval"), Value::Uint(250))
        .with(Value::symbol("qd.liveness-multiplier"), Value::Uint(2));
    for (properties, due) in [(None, 16_000), (Some(theirs), 250)] {
        let mut world = World::new();
        let at = world.join(offering.clone());
        world.at(at).engine.open(Open { container_id: "peer".into(), properties, ..Open::default() });
        world.run();
        let Some(Event::RemoteOpen(open)) = world.at(at).events.first() else { panic!() };
        let ours = open.properties.as_ref().unwrap();
        assert_eq!(ours.get("qd.liveness-interval"), Some(&Value::Uint(100)));
        assert_eq!(ours.get("qd.liveness-multiplier"), Some(&Value::Uint(3)));
        // The peer wants to hear nothing that it did not ask for.
        assert_eq!(world.at(at).port.poll_timeout(), Some(world.now + Duration::from_millis(due)));
    }
}

#[test]
fn window_by_role() {
    let window = |role, configured, max_frame_size| {
        open::session_window(&PortParams { session_window: configured, max_frame_size, ..params(role) })
    };
    assert_eq!(window(ConnectionRole::Normal, None, 16384), 512);
    assert_eq!(window(ConnectionRole::RouteContainer, None, 16384), 8192);
    assert_eq!(window(ConnectionRole::InterRouter, None, 16384), 8192);
    assert_eq!(window(ConnectionRole::Normal, Some(100), 16384), 100);
    assert_eq!(window(ConnectionRole::Normal, None, u32::MAX), 2);
}

#[test]
fn connector_opens_first() {
    let mut world = World::new();
    let mut p = params(ConnectionRole::Normal);
    p.conn.initiator = true;
    p.open.hostname = Some("host".into());
    p.sasl = SaslParams::anonymous_client();
    let handle = world.router.connect(p.conn.clone(), world.now);
    let mut port = AmqpPort::new(p, handle, Arc::clone(&world.router), world.now);
    let mut server = Connection::new(Config::default());
    let mut opened = false;
    for _ in 0..20 {
        port.turn(world.now);
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let n = port.output().fill_slices(&mut slices);
        let octets: Vec<u8> = slices[..n].iter().flat_map(|s| s.to_vec()).collect();
        port.output().advance(octets.len());
        server.receive(octets.into());
        while let Some(event) = server.poll_event(world.now) {
            if let Event::RemoteOpen(open) = event {
                assert_eq!(open.hostname.as_deref(), Some("host"));
                opened = true;
                server.open(Open { container_id: "s".into(), ..Open::default() });
            }
        }
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let n = server.output().fill_slices(&mut slices);
        let octets: Vec<u8> = slices[..n].iter().flat_map(|s| s.to_vec()).collect();
        server.output().advance(octets.len());
        port.receive(octets.into());
    }
    assert!(opened && port.opened());
    assert_eq!(port.remote_container(), Some("s"));
    world.now = world.now + Duration::from_secs(1);
}

#[test]
fn handshake_has_a_time_limit() {
    let mut world = World::new();
    let at =
        world.join(PortParams { handshake_timeout: Some(Duration::from_secs(3)), ..params(ConnectionRole::Normal) });
    let due = world.at(at).port.poll_timeout().unwrap();
    assert_eq!(due, world.now + Duration::from_secs(3));
    world.at(at).port.handle_timeout(due);
    let PortState::Dropped(Some(error)) = world.at(at).port.state() else { panic!() };
    assert_eq!(error.description, "Timeout waiting for initial handshake");
    assert!(world.at(at).port.output().is_empty());
    let at = world.client_with(PortParams {
        handshake_timeout: Some(Duration::from_secs(3)),
        idle_timeout: Duration::ZERO,
        ..params(ConnectionRole::Normal)
    });
    assert_eq!(world.at(at).port.handshake, None);
}

#[test]
fn closing_from_either_side() {
    let mut world = World::new();
    let (a, b, c) = (world.client(), world.client(), world.client());
    world.at(a).engine.close(None);
    world.run();
    assert_eq!(world.at(a).port.state(), PortState::Closing(None));
    let id = world.at(b).port.handle.id;
    world.router.close_connection(id, Some(Error::new("amqp:connection:forced", "go")), false);
    world.run();
    let closed =
        |e: &Event| matches!(e, Event::Closed { error: Some(e) } if e.to_string() == "amqp:connection:forced: go");
    assert!(world.at(b).events.iter().any(closed));
    assert!(matches!(world.at(b).port.state(), PortState::Closing(Some(_))));
    let id = world.at(c).port.handle.id;
    world.router.close_connection(id, None, true);
    world.run();
    assert_eq!(world.at(c).port.state(), PortState::Dropped(None));
    assert!(!world.at(c).events.iter().any(|e| matches!(e, Event::Closed { .. })));
}

#[test]
fn refused_attach_is_answered_and_detached() {
    let mut world = World::new();
    let at = world.client();
    let link = world.attach(at, amqp_core::performative::Role::Receiver, None);
    let answer = world.at(at).attach_answer(link).unwrap();
    assert!(answer.source.is_none());
    assert_eq!((answer.snd_settle_mode, answer.rcv_settle_mode, answer.max_message_size), (Some(2), Some(0), Some(0)));
    let error = world.at(at).detached(link).unwrap();
    assert_eq!(error.as_deref(), Some("qd:no-route-to-dest: No route to the destination node"));
    assert_eq!(world.at(at).port.link_count(), 0);
}

#[test]
fn pipelined_attach_detach_leaks_nothing() {
    let mut world = World::new();
    let at = world.client();
    let session = world.at(at).engine.begin_session().unwrap();
    for n in 0..20 {
        let params = amqp_core::engine::AttachParams {
            name: "flap".into(),
            role: if n % 2 == 0 {
                amqp_core::performative::Role::Sender
            } else {
                amqp_core::performative::Role::Receiver
            },
            source: Some(Box::new(amqp_core::performative::Source { address: Some("q".into()), ..Default::default() })),
            target: Some(Box::new(amqp_core::performative::Target { address: Some("q".into()), ..Default::default() })),
            snd_settle_mode: 2,
        };
        let link = world.at(at).engine.attach(session, params).unwrap();
        world.at(at).engine.detach(link, None);
        if n % 3 == 0 {
            world.run();
        }
        world.run();
    }
    assert_eq!(world.at(at).port.link_count(), 0);
    assert_eq!(world.at(at).engine.link_count(), 0);
}

#[test]
fn a_port_that_is_dropped_ends_its_connection_in_the_core() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    world.at(a).send(sender, 1, false, message(None, 10));
    world.run();
    drop(world.clients.remove(b));
    world.run();
    assert_eq!(world.at(a).outcomes(), [(1, Some(DeliveryState::Released), true)]);
    assert_eq!(world.router.connection_rows(world.now).len(), 1);
}

#[test]
fn policy_is_asked_with_what_the_open_tells() {
    use crate::policy::{Decision, Group, HostRange, Policy, Settings, Vhost};
    let settings = Arc::new(Settings { allow_admin_status_update: false, ..Settings::default() });
    let vhost = |name: &str, user: &str| {
        let host = "127.0.0.1".parse().unwrap();
        let remote_hosts = vec![HostRange::new(host, host).unwrap()];
        let settings = Arc::clone(&settings);
        let group = Group { users: vec![user.to_owned()], remote_hosts, settings, ..Group::default() };
        Vhost::new(name.to_owned(), Vec::new(), false, vec![("g".to_owned(), group)]).unwrap()
    };
    let mut world = World::new();
    let open_to = |world: &mut World, hostname: Option<&str>, policy_vhost: Option<&str>| {
        let policy_vhost = policy_vhost.map(str::to_owned);
        let at = world.join(PortParams { policy_vhost, ..params(ConnectionRole::Normal) });
        let hostname = hostname.map(str::to_owned);
        world.at(at).engine.open(Open { container_id: "c".into(), hostname, ..Open::default() });
        world.run();
        let rows = world.router.connection_rows(world.now);
        rows.last().and_then(|row| row.peer.as_ref()).expect("opened").policy.clone()
    };
    let before = open_to(&mut world, Some("v"), None);
    world.router.change_policy(|policy| {
        *policy = Policy::new(true, false, String::new());
        policy.put(vhost("v", "anonymous")).unwrap();
        policy.put(vhost("w", "somebody")).unwrap();
    });
    let granted = Decision::Granted(Arc::clone(&settings));
    assert_eq!(open_to(&mut world, Some("v"), None), granted);
    assert_eq!(open_to(&mut world, Some("w"), Some("v")), granted);
    // What was decided before stays.
    assert_eq!(before, Decision::Unrestricted);
    let rows = world.router.connection_rows(world.now);
    assert_eq!(rows[0].peer.as_ref().unwrap().policy, Decision::Unrestricted);
}
