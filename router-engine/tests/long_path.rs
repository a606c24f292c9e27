//! Flows over long paths in virtual time: their windows follow the path between routers that agree on that, and only
//! there.

use router_engine::exchange::WINDOW;
use router_engine::memory::{BUDGET, Level};
use router_engine::sim::{RouterSpec, Script, Sim, TrunkSpec, check};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SERVICE: &str = "svc";
const MIB: usize = 1024 * 1024;

/// Octets of a flow.
const LARGE: u64 = 16 * WINDOW;

/// One way of the whole path.
const DELAY: Duration = Duration::from_millis(50);

/// The memory budget is one for the process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A chain of routers, each of which takes part or not, with a server at its end.
fn chain(wide: &[bool]) -> Sim {
    let mut sim = Sim::new(1);
    sim.room = 64 * MIB;
    for (index, &wide_windows) in wide.iter().enumerate() {
        sim.add_router(RouterSpec { wide_windows, ..RouterSpec::interior(format!("R{index}")) });
        if index > 0 {
            let delay = DELAY / (wide.len() as u32 - 1);
            sim.add_trunk(TrunkSpec { ends: [index - 1, index], cost: 1, delay });
        }
    }
    sim.add_server(wide.len() - 1, SERVICE);
    for _ in 0..20 {
        sim.run(Duration::from_secs(1));
        if check::topology(&sim).is_empty() {
            return sim;
        }
    }
    panic!("{:?}", check::topology(&sim));
}

/// Ways there and back that a flow takes, with so many octets from client to server and back.
fn round_trips(sim: &mut Sim, [to_server, to_client]: [u64; 2]) -> u128 {
    let (begun, patience) = (sim.now, Duration::from_secs(60));
    let flow = sim.open_flow(0, SERVICE, Script::plain(to_server), Script::plain(to_client), true);
    while !sim.flow(flow).is_whole() && sim.now - begun < patience {
        sim.run(DELAY / 10);
    }
    assert_eq!(check::flows(sim), Vec::<String>::new());
    (sim.now - begun).as_millis() / (2 * DELAY).as_millis()
}

#[test]
fn a_wide_window_takes_few_round_trips() {
    let _alone = alone();
    for wide in [&[true, true][..], &[true, true, true]] {
        for octets in [[LARGE, 0], [0, LARGE]] {
            let taken = round_trips(&mut chain(wide), octets);
            assert!(taken <= 10, "{taken} by {} routers, {octets:?}", wide.len());
        }
    }
}

#[test]
fn a_router_that_knows_no_grants_keeps_the_window_fixed() {
    let _alone = alone();
    let (up, down) = ([LARGE, 0], [0, LARGE]);
    for (wide, octets) in [(&[true, false][..], up), (&[true, false], down), (&[true, false, true], up)] {
        let taken = round_trips(&mut chain(wide), octets);
        assert!(taken >= 16, "{taken} by {wide:?}, {octets:?}");
    }
}

#[test]
fn a_server_that_reads_nothing_gathers_a_fixed_window() {
    let _alone = alone();
    let mut sim = chain(&[true, true]);
    let deaf = Script { deaf_for: Duration::from_secs(20), ..Script::plain(0) };
    let flow = sim.open_flow(0, SERVICE, Script::plain(LARGE), deaf, true);
    sim.run(Duration::from_secs(19));
    let sent = sim.flow(flow).sent();
    assert!(sent < 2 * WINDOW, "{sent} octets");
    sim.run(Duration::from_secs(20));
    assert_eq!(check::flows(&sim), Vec::<String>::new());
}

#[test]
fn the_ceiling_bounds_what_is_granted() {
    let _alone = alone();
    // An eighth of it is for wide windows, and one flow may have the half of that.
    BUDGET.set_ceiling(16 * MIB);
    let narrow = round_trips(&mut chain(&[true, true]), [LARGE, 0]);
    BUDGET.set_ceiling(1024 * MIB);
    let wide = round_trips(&mut chain(&[true, true]), [LARGE, 0]);
    assert_eq!(BUDGET.judge(400 * MIB, 0).1, Level::Slow);
    let scarce = round_trips(&mut chain(&[true, true]), [LARGE, 0]);
    BUDGET.set_ceiling(0);
    assert_eq!(BUDGET.judge(0, 0).1, Level::Calm);
    assert!(wide <= 10 && narrow > wide && scarce >= 16, "{wide}, {narrow} and {scarce} round trips");
}

/// What is under way is lost with the connection: nothing comes twice, and no part is passed off as the whole.
#[test]
fn a_connection_is_lost_with_much_under_way() {
    let _alone = alone();
    for millis in [350, 480] {
        let mut sim = chain(&[true, true, true]);
        let flow = sim.open_flow(0, SERVICE, Script::plain(2 * LARGE), Script::plain(2 * LARGE), false);
        sim.run(Duration::from_millis(millis));
        sim.cut_trunk(1);
        sim.run(Duration::from_secs(30));
        assert!(!sim.flow(flow).is_whole(), "it was cut after {millis} ms");
        assert_eq!(check::flows(&sim), Vec::<String>::new());
        assert!(round_trips(&mut sim, [LARGE, LARGE]) <= 10, "the next one is whole");
    }
}
