//! What the core logs of links, neighbours and connection groups.

use super::super::effect::Effect;
use super::super::report;
use super::super::table::Identity;
use super::world::{Peer, router, stream};
use crate::annotations::Annotations;
use crate::log::{Level, LogModule, capture};
use amqp_core::performative::DeliveryState;

fn core() -> Vec<&'static str> {
    capture::texts(LogModule::RouterCore)
}

fn notable() -> Vec<(Level, &'static str)> {
    capture::notable().into_iter().map(|(_, level, text)| (level, text)).collect()
}

#[test]
fn links_that_come_and_go() {
    let router = router();
    let mut peer = Peer::new(&router);
    capture::start();
    let link = peer.receiver("q");
    peer.detached(link);
    assert_eq!(
        core(),
        [
            "[C1][L1] Link attached: dir=out source={q expire:sess} target={<none> expire:sess}",
            "[C1][L1] Link closed: del=0 presett=0 psdrop=0 acc=0 rej=0 rel=0 mod=0 delay1=0 delay10=0 blocked=no",
        ]
    );
    assert_eq!(notable(), []);
}

#[test]
fn the_end_of_a_link_tells_what_has_left_by_it() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let link = rx.receiver("q");
    let sender = tx.sender("q");
    tx.send(sender);
    router.with(|core| core.links[link.slot()].gauge.as_ref().expect("of an outgoing link").add_one());
    capture::start();
    rx.detached(link);
    let line = core().into_iter().find(|line| line.contains("Link closed")).expect("the line");
    assert!(line.contains("del=1 presett=0"), "{line}");
}

#[test]
fn a_stream_of_which_the_reader_is_lost_has_not_left() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::in_process(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    tx.deliver(link, None, stream(), Annotations::default(), false);
    rx.push();
    capture::start();
    router.abandon(rx.conn.id);
    let line = core().into_iter().find(|line| line.contains("Link closed")).expect("the line");
    assert!(line.contains("del=0 presett=0 psdrop=0 acc=0 rej=0 rel=0 mod=1"), "{line}");
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::failed()), true)]);
}

#[test]
fn of_connections_of_one_connector_the_newest_takes_precedence() {
    let router = router();
    let mut first = Peer::control(&router, 1);
    capture::start();
    first.attach_all();
    let lines = core();
    assert_eq!(
        lines[..2],
        ["[C1] Attaching incoming router control link [L1]", "[C1] Attaching outgoing router control link [L2]"]
    );
    assert_eq!(
        lines[2..],
        [
            "Connection group 'group' setup parent [C1] with ordinal=1 (host=peer)",
            "Connection group 'group' recording correlator[mask-bit=0]",
        ]
    );
    capture::start();
    let same = Peer::control(&router, 1);
    assert_eq!(notable(), [(Level::Info, "Existing connection [C1] takes precedence, closing [C2]")]);
    assert!(matches!(same.effects()[..], [Effect::Close { hard: true, .. }]));
    capture::start();
    let mut newer = Peer::control(&router, 2);
    assert_eq!(notable(), [(Level::Info, "Upgrading connection [C1] to [C3]")]);
    capture::start();
    newer.attach_all();
    assert!(core().contains(&"[C3] Upgrading to primary router control connection, downgrading [C1]"));
    capture::start();
    let (pending, came) = (first.conn.id, newer.conn.id);
    report::precedence(pending, true, came, true);
    report::precedence(pending, true, came, false);
    let pending = [
        "Overriding existing pending connection [C1] with [C3]",
        "Existing pending connection [C1] takes precedence, closing [C3]",
    ];
    assert_eq!(notable(), pending.map(|text| (Level::Info, text)));
}

#[test]
fn a_group_that_ends_at_two_routers() {
    let split = |member: u32, container: &str| {
        let text = "Connection group failure: connections split across routers";
        (format!("{text}: {container} ([C{member}]) and  ([C2])"), notable().first().map(|(level, _)| *level))
    };
    let router = router();
    let early = Peer::data_of(&router, "X");
    capture::start();
    let parent = Peer::neighbour(&router, "q");
    let (line, level) = split(1, "X");
    assert!(core().contains(&&*line) && level == Some(Level::Error));
    for (member, container, level) in [(3, "X", None), (4, "Y", Some(Level::Error)), (5, "Y", None)] {
        capture::start();
        let late = Peer::data_of(&router, container);
        let first = format!("Connection group 'group' adding member [C{member}] with ordinal=0");
        let (line, seen) = split(member, container);
        assert_eq!((&core()[..2], seen), (&[&*first, &*line][..], level));
        drop(late);
    }
    capture::start();
    let good = Peer::data_of(&router, "");
    let lines = ["adding member [C6] with ordinal=0", "member [C6] added to parent [C2]"];
    assert_eq!(core()[..2], lines.map(|line| format!("Connection group 'group' {line}")));
    drop((early, parent, good));
}
