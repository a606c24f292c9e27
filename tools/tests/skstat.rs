//! `skstat` against a running router.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod router;

use router::Router;
use serde_json::Value as Json;

const SKSTAT: &str = env!("CARGO_BIN_EXE_skstat");

#[test]
fn every_view_is_shown_in_every_form() {
    let Some(router) = Router::start(SKSTAT, "views") else { return };
    let views =
        "-g -c -l -n -e -a -m -p --autolinks --vhosts --vhostgroups --vhoststats --log --all-entities --topology";
    for view in views.split(' ') {
        assert!(!router.text(&[view]).is_empty(), "{view}");
        assert!(!router.text(&[view, "--csv"]).is_empty(), "{view}");
        assert_eq!(router.json(&[view, "--json"])["router"], "A", "{view}");
    }
}

#[test]
fn tables_have_the_known_form() {
    let Some(router) = Router::start(SKSTAT, "tables") else { return };
    let links = router.text(&["-l", "--limit=1"]);
    let lines: Vec<&str> = links.lines().collect();
    assert!(lines[0].ends_with("+00:00 UTC") && lines[1..4] == ["A", "", "Router Links"], "{links}");
    assert!(lines[4].starts_with("  type      dir  conn id  id  class") && lines[5].starts_with("  ====="), "{links}");
    assert!(lines.len() == 7 && lines[6].starts_with("  endpoint  "), "{links}");
    let csv = router.text(&["-n", "--csv"]);
    assert!(csv.ends_with("\"router-id\",\"next-hop\",\"link\"\n\"A\",\"(self)\",\"-\"\n"), "{csv}");
    let limited = router.json(&["-a", "--limit=3", "--json"]);
    assert_eq!(limited["tables"][0]["rows"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_listener_may_leave_annotations_in_messages() {
    let Some(router) = Router::with_listener(SKSTAT, "annotations", "stripAnnotations: no\n") else { return };
    assert!(router.text(&["-g"]).contains("Router Statistics"));
    assert_eq!(router.json(&["-n", "--json"])["router"], "A");
}

#[test]
fn the_network_of_one_router_is_a_tree() {
    let Some(router) = Router::start(SKSTAT, "tree") else { return };
    assert!(router.text(&["--topology"]).ends_with("Network\n  A  (this router)\n"));
    let places = &router.json(&["--topology", "--json"])["tables"][0]["rows"];
    assert_eq!((&places[0]["router"], &places[0]["parent"]), (&Json::from("A"), &Json::Null));
}

#[test]
fn wrong_words_have_a_status() {
    let Some(router) = Router::start(SKSTAT, "words") else { return };
    let (status, text) = router.failure(&["-c", "-g"]);
    let complaint = "skstat: error: argument -g/--general: not allowed with argument -c/--connections";
    assert!(status == Some(2) && text.contains(complaint), "{text}");
    let (_, text) = router.failure(&["-c", "--all-entities"]);
    assert!(text.contains("argument --all-entities: not allowed with argument -c/--connections"), "{text}");
    let (_, text) = router.failure(&["-t", "soon"]);
    assert!(text.contains("argument -t/--timeout: invalid"), "{text}");
    assert!(router.failure(&["foo"]).1.contains("skstat: error: unrecognized arguments: foo"));
    assert_eq!(router.text(&["--version"]), "3.5.0\n");
}
