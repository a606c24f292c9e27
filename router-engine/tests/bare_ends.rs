//! Ends that TLS did not vouch for, through routers that carry that and routers that do not.

use router_engine::sim::{End, RouterSpec, Script, Sim, TrunkSpec, check};
use std::time::Duration;

const SERVICE: &str = "svc";

/// A chain of routers, each of which knows of bare ends or not, with a server at its end.
fn chain(knows: &[bool]) -> Sim {
    let mut sim = Sim::new(1);
    for (index, &bare_ends) in knows.iter().enumerate() {
        sim.add_router(RouterSpec { bare_ends, ..RouterSpec::interior(format!("R{index}")) });
        if index > 0 {
            let (ends, delay) = ([index - 1, index], Duration::from_millis(1));
            sim.add_trunk(TrunkSpec { ends, cost: 1, delay });
        }
    }
    sim.add_server(knows.len() - 1, SERVICE);
    for _ in 0..20 {
        sim.run(Duration::from_secs(1));
        if check::topology(&sim).is_empty() {
            return sim;
        }
    }
    panic!("{:?}", check::topology(&sim));
}

/// How the ends of both directions were seen: by the server, by the client.
fn seen(sim: &mut Sim, client: Script, server: Script) -> [Option<End>; 2] {
    let flow = sim.open_flow(0, SERVICE, client, server, false);
    sim.run(Duration::from_secs(20));
    sim.flow(flow).ends_seen()
}

const fn script(octets: u64, end: End, answers: bool) -> Script {
    Script { end, answers, ..Script::plain(octets) }
}

#[test]
fn ends_arrive_as_they_were_sent() {
    for knows in [&[true][..], &[true, true], &[true, true, true]] {
        let mut sim = chain(knows);
        for octets in [0, 1, 3_000, 300_000] {
            for [client, server] in [[End::Bare, End::Fin], [End::Fin, End::Bare], [End::Bare, End::Bare]] {
                for answers in [false, true] {
                    let ends = seen(&mut sim, script(octets, client, false), script(octets, server, answers));
                    assert_eq!(ends, [Some(client), Some(server)], "{knows:?}, {octets} octets, answers {answers}");
                }
            }
        }
        assert_eq!(check::flows(&sim), Vec::<String>::new());
    }
}

#[test]
fn a_router_that_does_not_know_of_them_makes_them_ordinary_ones() {
    for knows in [&[true, false][..], &[false, true], &[true, false, true]] {
        let mut sim = chain(knows);
        for octets in [0, 300_000] {
            let ends = seen(&mut sim, script(octets, End::Bare, false), script(octets, End::Bare, true));
            assert_eq!(ends, [Some(End::Fin); 2], "{knows:?}, {octets} octets");
        }
    }
}
