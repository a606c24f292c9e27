//! Vhost policy, as clients of management meet it.

mod common;

use amqp_core::Value;
use amqp_core::message::Message;
use amqp_core::value::Map;
use common::{Client, field, start, status};
use management::agent::Agent;
use management::config::{BootPlan, parse};
use management::log::logger;
use management::runtime::Runtime;
use router_engine::core::connection::ConnectionRole;
use router_engine::policy::{Asked, Decision, Denied};
use router_engine::stream::Payload;
use std::path::PathBuf;
use tokio::runtime::Handle;

const ENABLED: &str = "router {\n id: R\n}\npolicy {\n enableVhostPolicy: true\n}\n";

/// The section of a vhost whose users may, or may not, set `adminStatus`.
fn vhost(name: &str, allow: bool) -> String {
    format!("vhost {{\n hostname: {name}\n allowUnknownUser: true\n groups: {}\n}}\n", groups(allow))
}

fn groups(allow: bool) -> String {
    format!("{{\n \"$default\": {{\"remoteHosts\": \"*\", \"allowAdminStatusUpdate\": {allow}}}\n }}")
}

/// Has a client set `adminStatus` of a connection; the status and the text of the answer.
async fn cut(client: &mut Client, victim: u32) -> (i64, String) {
    let properties = Map::new()
        .with("operation", "UPDATE")
        .with("type", "io.skupper.router.connection")
        .with("identity", victim.to_string());
    let request = client.message(properties, Map::new().with("adminStatus", "deleted").into());
    let reply = client.call(Payload::One(request)).await;
    let text = reply.application_properties.get("statusDescription").and_then(Value::as_str);
    (status(&reply), text.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn only_who_may_cuts_connections() {
    let config = format!("{ENABLED}{}{}", vhost("$default", false), vhost("admin", true));
    let router = start(&Handle::current(), &config);
    let other = Client::attach(&router);
    let victim = other.number();
    let mut ordinary = Client::attach_as(&router, "elsewhere");
    let forbidden = (403, "You are not allowed to perform this operation.".to_owned());
    assert_eq!(cut(&mut ordinary, victim).await, forbidden);
    assert!(!router.connection_row(victim, management::runtime::now()).expect("is there").deleted);
    assert_eq!(cut(&mut Client::attach_as(&router, "admin"), victim).await.0, 200);
    assert!(router.connection_row(victim, management::runtime::now()).expect("is there").deleted);
}

#[tokio::test]
async fn everybody_cuts_connections_where_policy_is_not_enabled() {
    let router = start(&Handle::current(), &format!("router {{\n id: R\n}}\n{}", vhost("$default", false)));
    let other = Client::attach(&router);
    let victim = other.number();
    assert_eq!(cut(&mut Client::attach_as(&router, "elsewhere"), victim).await.0, 200);
}

#[tokio::test]
async fn rules_change_for_connections_to_come() {
    let router = start(&Handle::current(), &format!("{ENABLED}{}", vhost("v", true)));
    let other = Client::attach(&router);
    let victim = other.number();
    let mut before = Client::attach_as(&router, "v");
    let settings = Map::new().with("remoteHosts", "*").with("allowAdminStatusUpdate", false);
    let body = Map::new().with("groups", Map::new().with("$default", settings));
    assert_eq!(status(&before.request("UPDATE", "vhost", "vhost/v", body).await), 200);
    assert_eq!(cut(&mut Client::attach_as(&router, "v"), victim).await.0, 403);
    assert_eq!(cut(&mut before, victim).await.0, 200);
    assert_eq!(status(&before.request("DELETE", "vhost", "vhost/v", Map::new()).await), 204);
    // Nobody is let in any more; its name is free for others.
    assert_eq!(cut(&mut Client::attach_as(&router, "v"), victim).await.0, 403);
    before.create("vhost", "w", Map::new().with("hostname", "w").with("aliases", "v")).await;
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused_and_leave_no_trace() {
    let router = start(&Handle::current(), &format!("{ENABLED}{}", vhost("v", true)));
    let mut client = Client::attach_as(&router, "v");
    let body = || Map::new().with("hostname", "w").with("aliases", "v");
    let reply = client.request("CREATE", "vhost", "w", body()).await;
    let text = reply.application_properties.get("statusDescription").and_then(Value::as_str);
    let wanted = "PolicyError: Policy for vhost 'w' defines alias 'v' which conflicts with an existing vhost named 'v'";
    assert_eq!((status(&reply), text), (500, Some(wanted)));
    assert_eq!(status(&client.request("READ", "vhost", "w", Map::new()).await), 404);
    let reply = client.request("UPDATE", "vhost", "vhost/v", Map::new().with("groups", Map::new())).await;
    assert_eq!(status(&reply), 500);
    let other = Client::attach(&router);
    let victim = other.number();
    assert_eq!(cut(&mut Client::attach_as(&router, "v"), victim).await.0, 200);
}

/// A folder with one file, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, text: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("policy-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::write(dir.join("rules.json"), text).expect("written");
        Self(dir)
    }

    fn config(&self) -> String {
        let dir = self.0.display();
        format!("router {{\n id: R\n}}\npolicy {{\n enableVhostPolicy: true\n policyDir: {dir}\n}}\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn json(groups: &str) -> String {
    format!(
        r##"# Rules.
[["vhost", {{"hostname": "$default", "allowUnknownUser": true, "groups": {groups}}}]]"##
    )
}

#[tokio::test]
async fn files_with_rules() {
    let folder = Folder::with("right", &json(&groups(false)));
    let router = start(&Handle::current(), &folder.config());
    let other = Client::attach(&router);
    let victim = other.number();
    assert_eq!(cut(&mut Client::attach_as(&router, "elsewhere"), victim).await.0, 403);
    assert!(logger().recent(0).iter().any(|entry| entry.text == "Created policy rules for vhost $default"));
}

#[tokio::test]
async fn the_router_does_not_start_with_rules_that_make_no_sense() {
    let folder = Folder::with("wrong", &json("{}"));
    let plan = BootPlan::new(parse(&folder.config(), false).expect("valid")).expect("JSON");
    let mut agent = Agent::new(Runtime::new(Handle::current()));
    agent.load_all(plan.core).expect("accepted");
    let error = agent.load_all(plan.rest).expect_err("must be refused");
    assert_eq!(
        error.to_string(),
        "Python: PolicyError: Policy '$default' is invalid: Policy vhost '$default' allows connections by default but \
         default settings are not defined"
    );
    let folder = Folder::with("broken", "[[");
    let error = BootPlan::new(parse(&folder.config(), false).expect("valid")).expect_err("no JSON").to_string();
    assert!(error.contains("Exception: Cannot load configuration file") && error.contains("rules.json"), "{error}");
}

/// An entity as it is shown.
async fn shown(client: &mut Client, ty: &str, name: &str) -> Message {
    let reply = client.request("READ", ty, name, Map::new()).await;
    assert_eq!(status(&reply), 200, "{reply:?}");
    reply
}

fn numbers<const N: usize>(reply: &Message, names: [&str; N]) -> [i64; N] {
    names.map(|name| field(reply, name).as_i64().unwrap_or_else(|| panic!("{name} of {reply:?}")))
}

#[tokio::test]
async fn statistics_tell_of_connections() {
    let limited = vhost("v", true).replacen("hostname: v\n", "hostname: v\n maxConnectionsPerUser: 1\n", 1);
    let router = start(&Handle::current(), &format!("{ENABLED}{limited}"));
    let mut client = Client::attach(&router);
    let asked = Asked {
        initiator: false,
        role: ConnectionRole::Normal,
        policy_vhost: None,
        hostname: Some("v"),
        user: Some("alice"),
        remote_host: "10.0.0.1".parse().ok(),
        peer: "10.0.0.1:55",
        number: 9,
    };
    let held = router.admit(&asked, adaptors::clock::now());
    assert!(matches!(router.admit(&asked, adaptors::clock::now()).decision(), Decision::Refused(_)));
    let names = ["connectionsApproved", "connectionsDenied", "connectionsCurrent"];
    let stats = shown(&mut client, "vhostStats", "vhostStats/v").await;
    assert_eq!(numbers(&stats, names), [1, 1, 1]);
    let peers = || Value::List(vec!["10.0.0.1:55".into()]);
    assert_eq!(field(&stats, "perUserState"), &Map::new().with("alice", peers()).into());
    assert_eq!(field(&stats, "perHostState"), &Map::new().with("10.0.0.1", peers()).into());
    drop(held);
    assert_eq!(status(&client.request("DELETE", "vhost", "vhost/v", Map::new()).await), 204);
    let stats = shown(&mut client, "vhostStats", "vhostStats/v").await;
    assert_eq!(numbers(&stats, names), [1, 1, 0]);
    assert_eq!(field(&stats, "perUserState"), &Map::new().into());
}

#[tokio::test]
async fn the_policy_counts_and_limits_sockets() {
    let config = "router {\n id: R\n}\npolicy {\n maxConnections: 1\n}\n";
    let router = start(&Handle::current(), config);
    let mut client = Client::attach(&router);
    let host = "10.0.0.1".parse().expect("an address");
    let held = router.policy_totals().accept(host, adaptors::clock::now());
    assert!(router.policy_totals().accept(host, adaptors::clock::now()).is_none());
    router.policy_totals().count(Denied::Sender);
    let names = ["connectionsProcessed", "connectionsDenied", "connectionsCurrent", "linksDenied", "totalDenials"];
    assert_eq!(numbers(&shown(&mut client, "policy", "policy/None").await, names), [2, 1, 1, 1, 2]);
    drop(held);
    let wanted = "Policy configured maxConnections: 1, policyDir: '',access rules enabled: 'false', use hostname \
                  patterns: 'false'";
    assert!(logger().recent(0).iter().any(|entry| entry.text == wanted));
}
