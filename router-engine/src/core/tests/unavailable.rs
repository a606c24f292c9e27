//! Addresses that other routers advertise, and that the configuration makes unavailable here for a while.

use super::super::action::Direction;
use super::super::effect::Effect;
use super::super::{AddressConfig, Router};
use super::world::{Peer, router};
use crate::Mailbox;
use crate::forward::Treatment;
use crate::index::NodeIndex;
use crate::mesh::MeshOutput;
use crate::stream::Notify;
use std::sync::Arc;

/// A router that knows another one, with bit 1.
fn unavailable(pattern: &str) -> Router {
    let router = router();
    configure(&router, pattern, Treatment::Unavailable);
    told(&router, MeshOutput::NodeAdded { node: NodeIndex::at(1), id: "B".into() });
    router
}

fn configure(router: &Router, pattern: &str, treatment: Treatment) {
    router.add_address_config(pattern, AddressConfig { treatment, priority: None }).expect("new");
}

fn told(router: &Router, output: MeshOutput) {
    router.with(|core| core.on_mesh_output(output));
}

fn advertise(router: &Router, key: &str) {
    told(router, MeshOutput::MapAddress { node: NodeIndex::at(1), key: key.into(), treatment: 2 });
}

/// Routers that the address is mapped to, and its treatment.
fn row(router: &Router, key: &str) -> Option<(Vec<String>, Treatment)> {
    router.address_row(key).map(|a| (a.remotes, a.treatment))
}

#[test]
fn an_advertised_address_comes_back_when_the_configuration_goes() {
    let router = unavailable("no/#");
    advertise(&router, "Mno/q");
    assert_eq!(row(&router, "Mno/q"), None);
    router.remove_address_config("no/#");
    assert_eq!(row(&router, "Mno/q"), Some((vec!["B".into()], Treatment::Closest)));
    told(&router, MeshOutput::UnmapAddress { node: NodeIndex::at(1), key: "Mno/q".into() });
    assert_eq!(row(&router, "Mno/q"), None);
}

#[test]
fn an_advertised_address_comes_back_when_a_better_configuration_comes() {
    let router = unavailable("no/#");
    advertise(&router, "Mno/q");
    advertise(&router, "Mno/other");
    configure(&router, "no/q", Treatment::Multicast);
    assert_eq!(row(&router, "Mno/q"), Some((vec!["B".into()], Treatment::Multicast)));
    assert_eq!(row(&router, "Mno/other"), None);
}

#[test]
fn what_is_advertised_no_more_stays_away() {
    let gone = [
        MeshOutput::UnmapAddress { node: NodeIndex::at(1), key: "Mno/q".into() },
        MeshOutput::FlushNode { node: NodeIndex::at(1) },
        MeshOutput::NodeRemoved { node: NodeIndex::at(1) },
    ];
    for output in gone {
        let router = unavailable("no/#");
        advertise(&router, "Mno/q");
        told(&router, output);
        router.remove_address_config("no/#");
        assert_eq!(row(&router, "Mno/q"), None);
    }
}

#[test]
fn who_waits_for_an_unavailable_address_is_told_when_it_comes() {
    let router = unavailable("no/#");
    told(&router, MeshOutput::Reachable { node: NodeIndex::at(1), reachable: true });
    let mailbox = Arc::<Mailbox>::default();
    router.watch("no/q", Notify { mailbox: Arc::clone(&mailbox), key: 7 });
    advertise(&router, "Mno/q");
    let mut client = Peer::new(&router);
    client.attach_unanswered(Direction::Out, Some("no/q"));
    assert!(matches!(&client.effects()[..], [Effect::AttachReply(reply)] if reply.link.is_err()));
    let remotes = || {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        mailbox.take(&mut effects, &mut ready);
        effects
            .iter()
            .filter_map(|e| if let Effect::Watch { counts, .. } = e { Some(counts.remote) } else { None })
            .last()
    };
    assert_eq!(remotes(), Some(0), "not to be had");
    router.remove_address_config("no/#");
    assert_eq!(remotes(), Some(1));
    assert_eq!(row(&router, "Mno/q").map(|(_, treatment)| treatment), Some(Treatment::Balanced));
    client.receiver("no/q");
}
