//! Connections to other networks: addresses that name a network, auto-links with two names, and what such peers may not do.

use super::super::action::{Action, Direction};
use super::super::connection::ConnectionRole;
use super::super::effect::{AttachOut, Effect};
use super::super::{AutoLinkConfig, AutoLinkPeer, Mode, Router, RouterConfig};
use super::edge::{refusal, refused};
use super::world::{NOW, Peer, message, stream};
use crate::LinkId;
use crate::annotations::Annotations;
use crate::port::local::{Attach, Endpoint, Event, Identity};
use amqp_core::Instant;
use bytes::Bytes;
use std::sync::Arc;

/// A router of the network `here`.
fn router() -> Router {
    let network_id = Some("here".to_owned());
    let config = RouterConfig { id: "R".into(), mode: Mode::Interior, network_id, ..RouterConfig::default() };
    Router::new(config, crate::rng::Seed::from(1), 1, NOW)
}

/// An auto-link for the router `far`.
fn auto_link(direction: Direction, address: Option<&str>, external: Option<&str>) -> AutoLinkConfig {
    let [address, external_address] = [address, external].map(|text| text.map(str::to_owned));
    let peer = Some(AutoLinkPeer::Container("far".into()));
    AutoLinkConfig { name: None, direction, address, external_address, peer }
}

/// The router `far` of another network.
fn far(router: &Router) -> Peer<'_> {
    Peer::named(router, ConnectionRole::InterNetwork, "far")
}

/// The peer answers the attaches of auto-links as it was asked.
fn agree(peer: &mut Peer<'_>) -> Vec<LinkId> {
    let of = |e| if let Effect::Attach(attach) = e { Some(*attach) } else { None };
    let attaches: Vec<AttachOut> = peer.effects().into_iter().filter_map(of).collect();
    let links = attaches.into_iter().map(|AttachOut { link, source, target, .. }| {
        peer.submit(Action::Attached { link, source: Some(source), target: Some(target), settle_on_send: false });
        link
    });
    links.collect()
}

/// Where a delivery is to go by its annotations.
fn override_of(peer: &Peer<'_>) -> Option<Bytes> {
    peer.push().annotations.to_override
}

fn send_stream(peer: &mut Peer<'_>, link: LinkId, to: Option<&str>) {
    peer.deliver(link, to, stream(), Annotations::default(), false).expect("remembered");
}

#[test]
fn what_is_for_another_network_goes_to_whoever_consumes_for_it() {
    let router = router();
    let mut far = far(&router);
    far.receiver("_xtopo/there");
    let mut client = Peer::new(&router);
    let anonymous = client.attach(Direction::In, None);
    let addresses = ["amqp:/_xtopo/there/0/X/temp.1", "_xedge/there/E/temp.2", "_xtopo/there/0/R/temp.3"];
    for to in addresses {
        let targeted = client.sender(to);
        client.send(targeted).expect("remembered");
        assert_eq!(override_of(&far).as_deref(), Some(to.as_bytes()));
        client.deliver(anonymous, Some(to), message(), Annotations::default(), false).expect("remembered");
        assert_eq!(override_of(&far), None, "the properties tell it");
    }
    let refused = client.deliver(anonymous, Some("_xtopo/nowhere/0/X/q"), message(), Annotations::default(), false);
    assert!(refused.is_none());
    let row = router.address_row("Nthere").expect("known");
    assert_eq!((row.counters.egress, row.counters.egress_inter_network, row.subscribers), (6, 6, 1));
    assert_eq!(router.router_row(NOW).totals.egress_inter_network, 6);
}

#[test]
fn what_comes_from_another_network_is_here_by_the_own_name() {
    let router = router();
    router.add_auto_link(1, auto_link(Direction::In, None, Some("_xtopo/here")));
    let mut far = far(&router);
    let [link] = agree(&mut far)[..] else { panic!("one link") };
    let mut client = Peer::new(&router);
    client.receiver("_topo/0/R/temp.1");
    for to in ["_xtopo/here/0/R/temp.1", "amqp:/_xtopo/0/0/R/temp.1", "_xedge/here/R/temp.1"] {
        far.deliver(link, Some(to), message(), Annotations::default(), false).expect("remembered");
        client.push();
    }
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    edge.attach_downlink("E");
    far.deliver(link, Some("_xedge/here/E/temp.2"), message(), Annotations::default(), false).expect("remembered");
    edge.push();
    let totals = router.router_row(NOW).totals;
    assert_eq!((totals.ingress, totals.ingress_inter_network, totals.ingress_route_container), (4, 4, 0));
    assert_eq!(router.address_row("Ltemp.1").expect("known").counters.ingress_inter_network, 3);
}

/// The address that a client is given for replies.
fn reply_address(client: &mut Endpoint) -> String {
    let [attached] = client.attach([Attach::dynamic_receiver("replies").with_credit(10)], NOW);
    attached.expect("attached").source.expect("an address")
}

#[test]
fn a_new_network_id_makes_strangers_of_addresses_with_the_former_one() {
    let router = Arc::new(router());
    let mut client = Endpoint::join(&router, Identity::client("client", 10), Default::default(), NOW);
    let former = reply_address(&mut client);
    assert!(former.starts_with("amqp:/_xtopo/here/0/R/temp."), "{former}");
    let mut peer = Peer::new(&router);
    let anonymous = peer.attach(Direction::In, None);
    let mut reaches = |to: &str, client: &mut Endpoint| {
        peer.deliver(anonymous, Some(to), message(), Annotations::default(), true);
        client.take();
        std::iter::from_fn(|| client.next_event()).any(|event| matches!(event, Event::Delivery(_)))
    };
    assert!(reaches(&former, &mut client));
    router.set_network_id(Some("elsewhere"));
    assert!(!reaches(&former, &mut client));
    let latter = reply_address(&mut client);
    assert!(latter.starts_with("amqp:/_xtopo/elsewhere/0/R/temp."), "{latter}");
    assert!(reaches(&latter, &mut client));
    // Without an id all networks are the own one.
    router.set_network_id(None);
    assert!(reaches(&former, &mut client) && reaches(&latter, &mut client));
    assert!(reply_address(&mut client).starts_with("amqp:/_topo/0/R/temp."));
}

#[test]
fn streams_of_an_auto_link_keep_its_name_at_either_side() {
    let router = router();
    let other_name = auto_link(Direction::In, Some("inside"), Some("amqp:/outside"));
    let same_name = auto_link(Direction::In, Some("same"), Some("amqp:/same/"));
    let outgoing = auto_link(Direction::Out, Some("here"), Some("there"));
    for (number, config) in (1..).zip([other_name, same_name, outgoing]) {
        router.add_auto_link(number, config);
    }
    let mut far = far(&router);
    agree(&mut far);
    let mut client = Peer::new(&router);
    client.receiver("inside");
    client.receiver("same");
    // What the far router moves to a link of its own names itself.
    let streaming = far.attach(Direction::In, None);
    for (to, expected) in [("outside", Some("inside")), ("/outside.", Some("inside")), ("same", None), ("inside", None)]
    {
        send_stream(&mut far, streaming, Some(to));
        assert_eq!(override_of(&client).as_deref(), expected.map(str::as_bytes), "{to}");
    }
    assert_eq!(router.address_row("Minside").expect("known").counters.ingress, 3);
    let producer = client.sender("here");
    send_stream(&mut client, producer, None);
    assert_eq!(override_of(&far).as_deref(), Some(&b"there"[..]));
    // A whole message goes on the auto-link itself, which says where.
    client.send(producer).expect("remembered");
    assert_eq!(override_of(&far).as_deref(), Some(&b"here"[..]));
}

#[test]
fn a_stream_that_lasts_has_its_credit_back_before_it_is_settled() {
    let router = router();
    let mut far = far(&router);
    let mut client = Peer::new(&router);
    client.receiver("q");
    let link = far.attach(Direction::In, None);
    let credit = |peer: &Peer<'_>| -> u32 {
        peer.effects().iter().map(|e| if let Effect::Credit { credit, .. } = e { *credit } else { 0 }).sum()
    };
    credit(&far);
    send_stream(&mut far, link, Some("q"));
    assert_eq!(credit(&far), 0);
    router.handle_timeout(Instant::from_micros(1_000_000));
    assert_eq!(credit(&far), 1);
}

#[test]
fn the_other_name_holds_on_the_connection_of_the_auto_link_while_it_is_attached() {
    let router = router();
    let mut client = Peer::new(&router);
    client.receiver("inside");
    let mut peers = [far(&router), Peer::named(&router, ConnectionRole::InterNetwork, "another")];
    let streaming = peers.each_mut().map(|peer| peer.attach(Direction::In, None));
    let arrives = |at: usize, peers: &mut [Peer<'_>; 2]| {
        peers[at].deliver(streaming[at], Some("outside"), message(), Annotations::default(), true);
        client.pushes().len() == 1
    };
    assert!(!arrives(0, &mut peers));
    let configs = [Some("inside"), Some("inside")].map(|address| auto_link(Direction::In, address, Some("outside")));
    for (number, config) in (1..).zip(configs) {
        router.add_auto_link(number, config);
    }
    assert!(!arrives(0, &mut peers), "not confirmed yet");
    let links = agree(&mut peers[0]);
    assert!(arrives(0, &mut peers));
    assert!(!arrives(1, &mut peers));
    peers[0].detached(links[0]);
    assert!(arrives(0, &mut peers), "by the other one");
    router.remove_auto_link(2);
    assert!(!arrives(0, &mut peers));
    for peer in &mut peers {
        peer.submit(Action::Closed);
    }
    router.with(|core| assert!(core.auto_links.is_idle(), "{:?}", core.auto_links));
}

#[test]
fn routers_of_other_networks_take_no_part_in_this_one() {
    let router = router();
    let mut far = far(&router);
    for capability in ["qd.router", "qd.router-data"] {
        far.attach_capable(Direction::In, capability);
        assert_eq!(refused(&far), "qd:forbidden");
    }
    refusal(&mut far, Direction::In, "_$qd.mesh_discovery");
    refusal(&mut far, Direction::Out, "_$qd.edge_addr_tracking");
    // The own network is not to be consumed from outside.
    for address in ["_xtopo/here", "_topo/0/B/q", "_xedge/here/E/q"] {
        assert_eq!(refusal(&mut far, Direction::Out, address), "qd:no-route-to-dest", "{address}");
    }
    // A link like that of an edge router is none.
    far.attach_downlink("E");
    assert!(router.address_row("HE").is_none() && router.address_row("ME").is_some());
    // Nor is it told of its routes.
    let anonymous = far.attach(Direction::In, None);
    for to in ["_topo/0/all/qdrouter", "_topo/0/all/qdrouter.ma", "_xtopo/here/0/R/qdrouter", "_local/qdhello"] {
        assert!(far.deliver(anonymous, Some(to), message(), Annotations::default(), false).is_none(), "{to}");
    }
}
