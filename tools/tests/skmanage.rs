//! `skmanage` against a running router.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod router;

use std::process::Command;

use router::Router;

const SKMANAGE: &str = env!("CARGO_BIN_EXE_skmanage");

#[test]
fn entities_are_read_created_changed_and_deleted() {
    let Some(router) = Router::start(SKMANAGE, "entities") else { return };
    let rows = router.json(&["query", "--type", "listener", "name", "role"]);
    assert_eq!(rows, serde_json::json!([{"name": "amqp", "role": "normal"}]));
    let created = router.json(&["create", "--type=tcpListener", "--name=l", "port=0", "address=a"]);
    assert_eq!((&created["observer"], &created["port"]), (&"auto".into(), &"0".into()));
    let updated = router.json(&["update", "--name=l", "observer=none"]);
    assert_eq!(updated["observer"], "none");
    assert_eq!(router.json(&["read", "--name=l"])["observer"], "none");
    assert_eq!(router.text(&["delete", "--name=l"]), "");
    let (status, text) = router.failure(&["read", "--name=l"]);
    assert!(status == Some(1) && text.starts_with("NotFoundStatus: No entity with name=l\n"), "{text}");
}

#[test]
fn the_way_to_a_router_is_timed_hop_by_hop() {
    let Some(router) = Router::start(SKMANAGE, "way") else { return };
    let ping = router.text(&["ping", "A", "--count", "2"]);
    assert_eq!(ping.lines().count(), 3, "{ping}");
    assert!(ping.contains("seq=2 time=") && ping.contains("2 requests, min/avg/max = "), "{ping}");
    let trace = router.text(&["trace", "A"]);
    assert!(trace.starts_with(" 1  A  ") && trace.lines().count() == 1, "{trace}");
    let (status, text) = router.failure(&["trace", "B"]);
    assert!(status == Some(1) && text.contains("router A knows no way to B"), "{text}");
}

#[test]
fn what_is_wrong_has_a_status() {
    let Some(router) = Router::start(SKMANAGE, "wrong") else { return };
    assert_eq!(router.failure(&["query", "--type", "zebra"]).0, Some(1));
    assert_eq!(router.failure(&[]).0, Some(2));
    assert_eq!(router.failure(&["--nonsense"]).0, Some(2));
    let nobody = Command::new(SKMANAGE).args(["-b", "127.0.0.1:1", "query"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}
