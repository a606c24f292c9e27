//! Resources as Skupper's documentation shows them, and what becomes of them.

use crate::plan::{Origin, Plan, Surroundings};
use crate::resource::{Key, Kind};
use crate::status::{Observed, Service, Statuses};
use crate::{Entity, Folder, Source, handout, skrouterd_json};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SITE: &str = "apiVersion: skupper.io/v2alpha1\nkind: Site\nmetadata:\n  name: west\n";

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: Ok(text.to_owned()) }
}

fn folder(texts: &[&str]) -> Folder {
    let mut folder = Folder::default();
    folder.update(texts.iter().enumerate().map(|(at, text)| source(&format!("{at}.yaml"), text)).collect());
    folder
}

fn resource(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: skupper.io/v2alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}")
}

fn problems(folder: &Folder) -> Vec<String> {
    folder.findings().iter().filter(|finding| finding.is_problem).map(ToString::to_string).collect()
}

fn surroundings() -> Surroundings {
    Surroundings {
        site_id: "id".to_owned(),
        router_id: "west-1-2".to_owned(),
        namespace: "default".to_owned(),
        home: "/home".to_owned(),
        version: "3".to_owned(),
        local_port: 5671,
        link_ports: (55671, 45671),
        names: vec!["host.example.com".to_owned()],
        ..Surroundings::default()
    }
}

fn plan(texts: &[&str]) -> Plan {
    let folder = folder(texts);
    assert_eq!(problems(&folder), Vec::<String>::new());
    Plan::new(&folder, &surroundings())
}

fn entities<'a>(plan: &'a Plan, ty: &str) -> Vec<&'a Entity> {
    plan.entities.iter().filter(|entity| entity.ty == ty).collect()
}

fn fault(plan: &Plan, kind: Kind, name: &str) -> String {
    plan.faults.get(&Key { kind, name: name.to_owned() }).cloned().unwrap_or_default()
}

fn told(folder: &Folder, plan: &Plan, observed: &Observed, kind: &str) -> Value {
    let mut statuses = Statuses::default();
    statuses.update(folder, plan, observed, "2026-01-01T00:00:00Z");
    let list: Value = serde_json::from_str(&statuses.list()).expect("JSON");
    list["items"].as_array().expect("a list").iter().find(|item| item["kind"] == kind).expect("there")["status"].clone()
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    let connector = "apiVersion: skupper.io/v2alpha1\nkind: Connector\nmetadata:\n  name: backend\n  namespace: east\n\
                     spec:\n  routingKey: backend\n  selector: app=backend\n  port: 8080\n";
    let listener = "apiVersion: skupper.io/v2alpha1\nkind: Listener\nmetadata:\n  name: backend\n  namespace: west\n\
                    spec:\n  routingKey: backend\n  host: east-backend\n  port: 8080\n";
    let sites = [
        "apiVersion: skupper.io/v2alpha1\nkind: Site\nmetadata:\n  name: my-site\n",
        "apiVersion: skupper.io/v2alpha1\nkind: Site\nmetadata:\n  name: my-site\n  namespace: west\n",
        "apiVersion: skupper.io/v2alpha1\nkind: Site\nmetadata:\n  name: west\nspec:\n  linkAccess: default\n",
        "{\"apiVersion\": \"skupper.io/v2alpha1\", \"kind\": \"Site\", \"metadata\": {\"name\": \"west\"}}",
    ];
    for site in sites {
        let folder = folder(&[site, listener]);
        assert_eq!(folder.findings(), [], "{site}");
        assert_eq!(Plan::new(&folder, &surroundings()).faults, BTreeMap::new(), "{site}");
    }
    let grant = "apiVersion: skupper.io/v2alpha1\nkind: AccessGrant\nmetadata:\n  name: my-grant\nspec:\n  \
                 redemptionsAllowed: 10\n  expirationWindow: 1h";
    let token = "apiVersion: skupper.io/v2alpha1\nkind: AccessToken\nmetadata:\n  name: my-token\nspec:\n";
    let folder = folder(&[sites[0], connector, grant, token]);
    assert_eq!(
        problems(&folder),
        [
            "1.yaml:8: spec.selector needs Kubernetes: write the host of the server",
            "2.yaml:2: tokens are issued by the Skupper controller; hand out a file of runtime/links instead",
            "3.yaml:2: tokens are redeemed by the Skupper controller; use a Link and its Secret instead",
        ]
    );
    let plan = Plan::new(&folder, &surroundings());
    assert!(entities(&plan, "tcpConnector").is_empty());
    let status = told(&folder, &plan, &Observed::default(), "AccessGrant");
    assert_eq!((&status["status"], &status["conditions"][0]["type"]), (&json!("Error"), &json!("Processed")));
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let listener = resource("Listener", "a", "  routngKey: x\n  host: a b\n  port: '80'\n  observer: http3\n");
    let folder = folder(&[SITE, &listener, "a: [\n", "- 1\n", "apiVersion: v2\nkind: Site\nmetadata: {name: A}\n"]);
    let told: Vec<String> = folder.findings().iter().map(ToString::to_string).collect();
    let expected = [
        "1.yaml:5: spec.routingKey is missing",
        "1.yaml:6: note: spec.routngKey is not known and not heeded",
        "1.yaml:7: spec.host 'a b' is neither an address nor a host name",
        "1.yaml:8: spec.port is to be a number from 1 to 65535",
        "1.yaml:9: spec.observer 'http3' is none of: auto, none, http1, http2",
    ];
    for text in expected {
        assert!(told.contains(&(*text).to_owned()), "{text}: {told:#?}");
    }
    for start in [
        "2.yaml:",
        "3.yaml:1: this is no resource",
        "4.yaml:1: a Site of apiVersion 'v2'",
        "4.yaml:3: metadata.name 'A'",
    ] {
        assert!(told.iter().any(|text| text.starts_with(start)), "{start}: {told:#?}");
    }
    assert_eq!(folder.site_name(), Some("west"), "the rest is there");
}

#[test]
fn what_was_sound_stays_while_its_file_is_not() {
    let first = resource("Listener", "a", "  routingKey: x\n  host: localhost\n  port: 80\n");
    let second = resource("Listener", "b", "  routingKey: x\n  host: localhost\n  port: 81\n");
    let mut folder = Folder::default();
    let mut ports = |a: Result<String, String>, b: Option<String>| {
        let mut sources = vec![source("s.yaml", SITE), Source { file: "a.yaml".to_owned(), text: a }];
        sources.extend(b.map(|text| source("b.yaml", &text)));
        folder.update(sources);
        let plan = Plan::new(&folder, &surroundings());
        entities(&plan, "tcpListener")
            .iter()
            .map(|e| e.attributes["port"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ports(Ok(first.clone()), Some(second.clone())), ["80", "81"]);
    assert_eq!(ports(Ok(first.replace("port: 80", "port: no")), Some(second.clone())), ["80", "81"]);
    assert_eq!(ports(Ok(first.replace("spec:", "spec: [")), Some(second.clone())), ["80", "81"]);
    assert_eq!(ports(Err("no permission".to_owned()), Some(second.clone())), ["80", "81"]);
    assert_eq!(ports(Ok(first.replace("port: 80", "port: 82")), None), ["82"], "what is removed goes");
    assert_eq!(ports(Ok(String::new()), None), Vec::<String>::new());
}

#[test]
fn one_of_a_name_and_one_site_count() {
    let listener = resource("Listener", "a", "  routingKey: x\n  host: localhost\n  port: 80\n");
    let folder = folder(&[SITE, &SITE.replace("west", "east"), &listener, &listener.replace("80", "81")]);
    assert_eq!(folder.site_name(), Some("west"));
    assert_eq!(
        problems(&folder),
        ["1.yaml:1: there is a Site already: 0.yaml:1", "3.yaml:1: Listener a is there already: 2.yaml:1"]
    );
}

#[test]
fn a_site_becomes_what_skupper_makes_of_it() {
    let access = resource(
        "RouterAccess",
        "west-access",
        "  bindHost: 10.0.0.1\n  roles:\n  - name: inter-router\n    port: 5\n  - name: edge\n",
    );
    let connector =
        resource("Connector", "db", "  routingKey: data\n  host: localhost\n  port: 5432\n  tlsCredentials: db-tls\n");
    let listener = resource(
        "Listener",
        "web",
        "  routingKey: www\n  host: 0.0.0.0\n  port: 80\n  tlsCredentials: web-tls\n  settings: {observer: http1}\n",
    );
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: east}\nstringData: {ca.crt: a, tls.crt: b, tls.key: c}\n";
    let link = resource(
        "Link",
        "to-east",
        "  cost: 3\n  tlsCredentials: east\n  endpoints:\n  - {name: inter-router, host: east, port: '55671'}\n",
    );
    let plan = plan(&[SITE, &access, &connector, &listener, secret, &link]);
    assert_eq!(plan.faults, BTreeMap::new());
    let (text, lines) = skrouterd_json(&plan.entities.iter().collect::<Vec<_>>());
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let all: Vec<(&str, &Value)> =
        json.as_array().expect("a list").iter().map(|e| (e[0].as_str().unwrap_or_default(), &e[1])).collect();
    let named = |ty: &str, name: &str| all.iter().find(|(t, a)| *t == ty && a["name"] == name).expect(name).1.clone();
    assert_eq!(
        all[0],
        (
            "router",
            &json!({"id": "west-1-2", "mode": "interior", "helloMaxAgeSeconds": "3",
        "metadata": "{\"id\":\"id\",\"version\":\"3\",\"platform\":\"linux\"}"})
        )
    );
    assert_eq!(
        named("connector", "to-east"),
        json!({"name": "to-east", "role": "inter-router", "host": "east",
        "port": "55671", "cost": 3, "sslProfile": "east-profile"})
    );
    assert_eq!(
        named("listener", "west-access-inter-router"),
        json!({"name": "west-access-inter-router",
        "role": "inter-router", "host": "10.0.0.1", "port": 5, "sslProfile": "west-access",
        "saslMechanisms": "EXTERNAL", "authenticatePeer": true})
    );
    assert_eq!(named("listener", "west-access-edge")["port"], 45671);
    assert_eq!(named("listener", "skupper-local-normal")["sslProfile"], "skupper-local-server");
    assert_eq!(
        named("tcpConnector", "connector/db@localhost"),
        json!({"name": "connector/db@localhost",
        "host": "localhost", "port": "5432", "address": "data", "siteId": "id", "sslProfile": "db-tls-profile",
        "verifyHostname": false})
    );
    assert_eq!(
        named("tcpListener", "listener/web"),
        json!({"name": "listener/web", "host": "0.0.0.0", "port": "80",
        "address": "www", "siteId": "id", "observer": "http1", "sslProfile": "web-tls"})
    );
    assert_eq!(
        named("sslProfile", "db-tls-profile"),
        json!({"name": "db-tls-profile", "caCertFile": "/home/runtime/certs/db-tls-profile/ca.crt"})
    );
    assert_eq!(named("sslProfile", "east-profile")["privateKeyFile"], "/home/runtime/certs/east-profile/tls.key");
    let types: Vec<&str> = all.iter().map(|(ty, _)| *ty).collect();
    let rank = |ty: &&str| {
        ["router", "sslProfile", "connector", "listener", "address", "tcpConnector", "tcpListener", "log", "site"]
            .iter()
            .position(|t| t == ty)
    };
    assert!(types.is_sorted_by_key(rank), "{types:?}");
    for (line, (ty, _)) in lines.iter().zip(&all) {
        assert_eq!(text.lines().nth(*line), Some(&*format!("        \"{ty}\",")));
    }
    let handouts: Vec<_> = plan.handouts.iter().map(|h| (h.file.as_str(), h.endpoints.len())).collect();
    assert_eq!(handouts, [("link-west-access-10.0.0.1.yaml", 2)]);
    let issuers: Vec<&String> = plan.issuers.keys().collect();
    assert_eq!(issuers, ["skupper-local-ca", "skupper-service-ca", "skupper-site-ca"]);
}

#[test]
fn what_is_handed_out_is_taken_elsewhere() {
    let west = plan(&[&resource("Site", "west", "  linkAccess: default\n")]);
    let out = &west.handouts[0];
    assert_eq!(out.file, "link-west-host.example.com.yaml");
    let files = ["ca.crt", "tls.crt", "tls.key"].map(|name| (name.to_owned(), name.as_bytes().to_vec()));
    let text = handout(out, &BTreeMap::from(files));
    for (edge, port) in [("", "55671"), ("  edge: true\n", "45671")] {
        let east = plan(&[&resource("Site", "east", edge), &text]);
        assert_eq!(east.faults, BTreeMap::new());
        let connectors = entities(&east, "connector");
        assert_eq!(
            (&connectors[0].attributes["host"], &connectors[0].attributes["port"]),
            (&json!("host.example.com"), &json!(port))
        );
        let Origin::Secret(files) = &east.credentials["link-west-profile"].origin else { panic!("no secret") };
        assert_eq!(files["tls.key"], b"tls.key");
    }
}

#[test]
fn what_a_site_cannot_do_is_the_fault_of_its_resource() {
    let link = resource("Link", "l", "  tlsCredentials: c\n  endpoints:\n  - {name: edge, host: east, port: 45671}\n");
    let access = resource("RouterAccess", "a", "  roles: [{name: inter-router}]\n");
    let listener = |name: &str| resource("Listener", name, "  routingKey: x\n  host: localhost\n  port: 80\n");
    let interior = plan(&[&resource("Site", "west", "  linkAccess: route\n"), &link, &listener("a"), &listener("b")]);
    assert_eq!(fault(&interior, Kind::Link, "l"), "there is no endpoint named inter-router");
    assert_eq!(fault(&interior, Kind::Listener, "b"), "port 80 of localhost is taken by Listener a");
    assert!(fault(&interior, Kind::Site, "west").starts_with("linkAccess 'route' needs Kubernetes"));
    let edge = plan(&[&resource("Site", "west", "  edge: true\n  linkAccess: default\n"), &link, &access]);
    assert_eq!(fault(&edge, Kind::Link, "l"), "there is neither a Secret c nor a folder input/certs/c");
    assert_eq!(fault(&edge, Kind::RouterAccess, "a"), "an edge site takes no links");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {ca.crt: YQ==}\n";
    let edge = plan(&[&resource("Site", "west", "  edge: true\n"), &link, secret]);
    assert_eq!(fault(&edge, Kind::Link, "l"), "the Secret c has no tls.crt and no tls.key");
    let running = Surroundings { is_edge: Some(false), ..surroundings() };
    let changed = Plan::new(&folder(&[&resource("Site", "west", "  edge: true\n")]), &running);
    assert_eq!(entities(&changed, "router")[0].attributes["mode"], "interior");
    assert!(fault(&changed, Kind::Site, "west").contains("when the site starts again"));
}

#[test]
fn certificates_that_are_brought_come_first() {
    let listener = resource("Listener", "web", "  routingKey: w\n  host: localhost\n  port: 80\n  tlsCredentials: t\n");
    let asked = resource("Certificate", "t", "  ca: own\n  subject: web\n  hosts: [web]\n  server: true\n");
    let signing = resource("Certificate", "own", "  subject: Own CA\n  signing: true\n");
    let texts = [SITE, &listener, &asked, &signing];
    let made = plan(&texts);
    let Origin::Made(certificate) = &made.credentials["t"].origin else { panic!("not made") };
    assert_eq!((certificate.ca.as_deref(), &*certificate.subject), (Some("own"), "web"));
    assert!(matches!(&made.issuers["own"].origin, Origin::Made(ca) if ca.subject == "Own CA"));
    let files = ["tls.crt", "tls.key"].map(str::to_owned);
    let certs = BTreeMap::from([("t".to_owned(), BTreeSet::from(files))]);
    let brought = Plan::new(&folder(&texts), &Surroundings { certs, ..surroundings() });
    assert_eq!(brought.credentials["t"].origin, Origin::Brought("t".to_owned()));
    let profile =
        entities(&brought, "sslProfile").into_iter().find(|e| e.attributes["name"] == "t").expect("a profile");
    assert!(!profile.attributes.contains_key("caCertFile") && profile.attributes.contains_key("certFile"));
}

/// What Skupper's documentation and samples have as examples, and what a site on a host says of each: None where it
/// does all that is asked for.
const EXAMPLES: [(&str, Option<&str>); 19] = [
    ("Site:\n  name: a\n  namespace: hello", None),
    ("Site:\n  name: a\nspec:\n  linkAccess: default", None),
    ("Site:\n  name: a\nspec:\n  linkAccess: default\n  ha: true", Some("note: ha needs Kubernetes")),
    ("Site:\n  name: a\nspec:\n  settings:\n    size: big", Some("note: the setting 'size'")),
    ("Site:\n  name: a\nspec: {settings: {routerLogging: warning, routerDataConnections: '2'}}", None),
    ("Site:\n  name: a\nspec: {linkAccess: none, edge: true, defaultIssuer: own, serviceAccount: s}", None),
    ("Listener:\n  name: b\n  namespace: hello\nspec:\n  routingKey: b\n  port: 80\n  host: b-east", None),
    ("Listener:\n  name: b\nspec: {routingKey: b, port: 80, host: b, settings: {observer: http2}}", None),
    ("Connector:\n  name: b\nspec:\n  routingKey: b\n  port: 80\n  host: localhost", None),
    (
        "Connector:\n  name: b\nspec:\n  routingKey: b\n  port: 80\n  selector: app=b",
        Some("spec.selector needs Kubernetes"),
    ),
    (
        "Connector:\n  name: b\nspec: {routingKey: b, port: 80, host: h, includeNotReadyPods: true}",
        Some("note: spec.incl"),
    ),
    (
        "Link:\n  name: c\nspec:\n  endpoints:\n  - group: g\n    host: 10.0.0.9\n    name: inter-router\n    port: \"55671\"\n  cost: 5\n  tlsCredentials: c",
        None,
    ),
    (
        "RouterAccess:\n  name: d\nspec:\n  roles:\n  - name: edge\n    port: 45671\n  - name: inter-router\n    port: 55671",
        None,
    ),
    ("MultiKeyListener:\n  name: e\nspec: {host: e, port: 80, strategy: {priority: {routingKeys: [a, b]}}}", None),
    (
        "MultiKeyListener:\n  name: e\nspec: {host: e, port: 80, strategy: {weighted: {routingKeys: {a: 1, b: 2}}}}",
        None,
    ),
    ("Certificate:\n  name: f\nspec: {ca: own, client: true, server: true, subject: f, hosts: [f]}", None),
    (
        "AccessGrant:\n  name: g\nspec:\n  redemptionsAllowed: 2 # of them\n  expirationWindow: 25m",
        Some("tokens are issued by"),
    ),
    (
        "AccessToken:\n  name: g\nspec:\n  code: \"x\"\n  ca: |-\n    y\n  url: \"https://h:443/z\"",
        Some("tokens are redeemed by"),
    ),
    (
        "AttachedConnector:\n  name: b\nspec:\n  siteNamespace: s\n  selector: app=b\n  port: 80",
        Some("connectors of other namespaces"),
    ),
];

#[test]
fn examples_of_documentation_are_taken_as_they_are() {
    for (example, said) in EXAMPLES {
        let text = format!("apiVersion: skupper.io/v2alpha1\nkind: {}\n", example.replacen(':', "\nmetadata:", 1));
        let folder = folder(&[&text]);
        let found: Vec<String> = folder.findings().iter().map(ToString::to_string).collect();
        match said {
            None => assert_eq!((found, folder.keys().count()), (vec![], 1), "{text}"),
            Some(said) => assert!(found.len() == 1 && found[0].contains(said), "{found:?}\n{text}"),
        }
    }
    let others = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sizing}\n---\napiVersion: \
                  observability.skupper.io/v2alpha1\nkind: NetworkObserver\nmetadata: {name: o}\nspec: {}\n";
    assert_eq!((problems(&folder(&[others])), folder(&[others]).findings().len()), (vec![], 2));
    let misspelt = "apiVersion: v1\nkind: secret\nmetadata: {name: c}\n";
    assert_eq!(problems(&folder(&[misspelt])), ["0.yaml:2: resources of kind 'secret' are not known"]);
}

#[test]
fn levels_of_logs_are_those_of_modules_that_there_are() {
    let site = |text: &str| format!("{SITE}spec: {{settings: {{router-logging: '{text}'}}}}\n");
    assert_eq!(problems(&folder(&[&site("info,ROUTER_CORE:debug,AGENT:trace+")])), Vec::<String>::new());
    for text in ["FOO:debug", ":debug", "ROUTER:loud"] {
        let told = format!("0.yaml:5: the setting of logs '{text}' is not known");
        assert_eq!(problems(&folder(&[&site(text)])), [told]);
    }
}

#[test]
fn credentials_are_not_used_for_others_of_the_same_folder() {
    let link = resource("Link", "l", "  tlsCredentials: a\n  endpoints: [{name: inter-router, host: h, port: 1}]\n");
    let listener =
        resource("Listener", "web", "  routingKey: w\n  host: localhost\n  port: 80\n  tlsCredentials: a-profile\n");
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {ca.crt: YQ==, tls.crt: YQ==, tls.key: YQ==}\n";
    let plan = plan(&[SITE, &link, &listener, secret]);
    let told = "the credentials a-profile need another name: runtime/certs/a-profile is for a";
    assert_eq!((fault(&plan, Kind::Listener, "web"), entities(&plan, "tcpListener").len()), (told.to_owned(), 0));
    assert_eq!(entities(&plan, "connector").len(), 1);
}

#[test]
fn nothing_is_called_after_what_is_no_name() {
    let long = "a".repeat(201);
    for name in ["../../etc/x", "/etc/x", "a/b", "'..'", "A", "\"a\\0\"", &long] {
        let (link, token) = (resource("Link", name, "  cost: x\n"), resource("AccessToken", name, "  url: u\n"));
        let folder = folder(&[SITE, &link, &token]);
        assert_eq!(problems(&folder).len(), 2, "{:?}", problems(&folder));
        let mut statuses = Statuses::default();
        statuses.update(&folder, &Plan::new(&folder, &surroundings()), &Observed::default(), "1");
        let files: Vec<_> = statuses.files().into_keys().collect();
        assert_eq!(files, ["RouterAccess-skupper-local.yaml", "Site-west.yaml"], "{name}");
    }
    let site = format!("{SITE}  uid: ../x\n");
    assert_eq!(problems(&folder(&[&site])), ["0.yaml:5: metadata.uid is to be of letters, digits and '-'"]);
}

#[test]
fn what_is_told_of_many_problems_is_bounded() {
    let item = |at: usize| format!("- {{apiVersion: v1, kind: Secret, metadata: {{name: s{at}}}, data: 1}}\n");
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{}", (0..20_000).map(item).collect::<String>());
    let folder = folder(&[&text]);
    assert_eq!((folder.faulty.len(), folder.findings().len()), (20_000, 1001));
    assert_eq!(folder.findings()[1000].text, "and 19000 more");
    let octets: usize = folder.faulty.values().map(|faulty| faulty.text.len()).sum();
    assert!(octets < 2 * text.len(), "each tells of itself: {octets}");
}

#[test]
fn what_was_whole_stays_while_what_is_brought_is_not() {
    let access = resource("RouterAccess", "a", "  roles: [{name: inter-router}]\n");
    let files = |names: &[&str]| BTreeMap::from([("a".to_owned(), names.iter().map(|n| (*n).to_owned()).collect())]);
    let (certs, all) = (files(&["ca.crt", "tls.crt"]), files(&["ca.crt", "tls.crt", "tls.key"]));
    let lacking = "the folder input/certs/a has no tls.key";
    let first = Surroundings { certs, ..surroundings() };
    let made = Plan::new(&folder(&[SITE, &access]), &first);
    assert_eq!((fault(&made, Kind::RouterAccess, "a"), entities(&made, "listener").len()), (lacking.to_owned(), 1));
    let made = Plan::new(&folder(&[SITE, &access]), &Surroundings { used: all, ..first });
    let told = format!("{lacking} (what was there before stays in force)");
    assert_eq!((fault(&made, Kind::RouterAccess, "a"), entities(&made, "listener").len()), (told, 2));
    let profile = &entities(&made, "sslProfile")[0].attributes;
    assert_eq!(profile["privateKeyFile"], "/home/runtime/certs/a/tls.key");
}

#[test]
fn listeners_may_have_several_keys() {
    let spec = "  host: localhost\n  port: 80\n  strategy:\n    priority:\n      routingKeys: [a, b]\n";
    let plan = plan(&[SITE, &resource("MultiKeyListener", "m", spec)]);
    assert_eq!(entities(&plan, "tcpListener")[0].attributes["multiAddressStrategy"], "priority");
    let values = entities(&plan, "listenerAddress").into_iter();
    let values: Vec<_> = values.map(|e| (e.attributes["name"].clone(), e.attributes["value"].clone())).collect();
    assert_eq!(values, [(json!("m/a"), json!(1)), (json!("m/b"), json!(0))]);
}

#[test]
fn states_follow_from_what_is_seen() {
    let listener = resource("Listener", "web", "  routingKey: www\n  host: localhost\n  port: 80\n");
    let folder = folder(&[SITE, &listener]);
    let plan = Plan::new(&folder, &surroundings());
    let listener_says = |observed: &Observed| {
        let status = told(&folder, &plan, observed, "Listener");
        (status["status"].clone(), status["message"].clone(), status["hasMatchingConnector"] == true)
    };
    let mut observed = Observed { is_running: true, ..Observed::default() };
    assert_eq!(listener_says(&observed), (json!("Pending"), json!("No matching connectors"), false));
    observed.services.insert("www".to_owned(), Service { listeners: 0, connectors: 1 });
    assert_eq!(listener_says(&observed), (json!("Ready"), json!("OK"), true));
    observed.listeners.insert("listener/web".to_owned(), (false, "Address in use".to_owned()));
    assert_eq!(listener_says(&observed), (json!("Error"), json!("Address in use"), true));
    observed.listeners.clear();
    let access_says = |observed: &Observed| told(&folder, &plan, observed, "RouterAccess")["message"].clone();
    observed.accesses.insert("skupper-local-normal".to_owned(), (false, String::new()));
    assert_eq!(access_says(&observed), "OK", "it has not been tried yet");
    observed.accesses.insert("skupper-local-normal".to_owned(), (false, "Address in use".to_owned()));
    assert_eq!(access_says(&observed), "Address in use");
    let key = Key { kind: Kind::Listener, name: "web".to_owned() };
    observed.faults.insert(key, "no".to_owned());
    assert_eq!(listener_says(&observed), (json!("Error"), json!("no"), true));
    let site = told(&folder, &plan, &observed, "Site");
    assert_eq!((&site["status"], &site["sitesInNetwork"]), (&json!("Ready"), &json!(1)));
    assert_eq!(told(&folder, &plan, &Observed::default(), "Site")["message"], "The router does not run");
}

#[test]
fn conditions_keep_their_time() {
    let folder = folder(&[SITE]);
    let plan = Plan::new(&folder, &surroundings());
    let mut statuses = Statuses::default();
    let running = Observed { is_running: true, ..Observed::default() };
    statuses.update(&folder, &plan, &Observed::default(), "1");
    let first = statuses.list();
    assert!(first.contains("\"lastTransitionTime\": \"1\""));
    statuses.update(&folder, &plan, &Observed::default(), "2");
    assert_eq!(statuses.list(), first, "nothing has changed");
    statuses.update(&folder, &plan, &running, "3");
    let list: Value = serde_json::from_str(&statuses.list()).expect("JSON");
    let site = list["items"].as_array().expect("a list").iter().find(|item| item["kind"] == "Site").expect("there");
    let times: Vec<_> = site["status"]["conditions"]
        .as_array()
        .expect("there")
        .iter()
        .map(|c| c["lastTransitionTime"].clone())
        .collect();
    assert_eq!(times, [json!("1"), json!("3"), json!("3")]);
}

#[test]
fn each_resource_has_a_file_that_tools_of_skupper_read() {
    let link = resource(
        "Link",
        "l",
        "  tlsCredentials: c\n  cost: 2\n  endpoints:\n  - {name: edge, host: east, port: '45671'}\n",
    );
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {ca.crt: YQ==}\n";
    let folder = folder(&[&SITE.replace("west", "w"), &link, secret]);
    let mut statuses = Statuses::default();
    statuses.update(&folder, &Plan::new(&folder, &surroundings()), &Observed::default(), "1");
    let files = statuses.files();
    let names: Vec<&String> = files.keys().collect();
    assert_eq!(names, ["Link-l.yaml", "RouterAccess-skupper-local.yaml", "Site-w.yaml"]);
    let mut again = Folder::default();
    again.update(files.iter().map(|(name, text)| source(name, text)).collect());
    assert_eq!(problems(&again), ["RouterAccess-skupper-local.yaml:1: spec.roles is missing"]);
    let link: Value = serde_json::from_str(&files["Link-l.yaml"]).expect("JSON");
    assert_eq!((&link["spec"]["cost"], &link["spec"]["endpoints"][0]["port"]), (&json!(2), &json!("45671")));
    assert_eq!(link["metadata"]["namespace"], "default");
}

/// All kinds of resources, to be damaged.
fn everything() -> String {
    let specs = [
        ("Site", "  linkAccess: default\n  settings: {router-logging: 'ROUTER:debug,info'}\n"),
        ("RouterAccess", "  bindHost: ::1\n  roles: [{name: inter-router, port: 1}, {name: normal}]\n"),
        ("Link", "  tlsCredentials: c\n  cost: 2\n  endpoints:\n  - {name: edge, host: h, port: '1'}\n"),
        ("Listener", "  routingKey: \"a\\u00e9\"\n  host: h\n  port: 1\n  tlsCredentials: c\n"),
        ("MultiKeyListener", "  host: h\n  port: 2\n  strategy: {weighted: {routingKeys: {a: 1, b: 2}}}\n"),
        ("Connector", "  routingKey: &k a\n  host: *k\n  port: 0x10\n  useClientCert: yes\n  tlsCredentials: d\n"),
        ("Certificate", "  ca: x\n  subject: |\n    s\n  hosts: [h]\n  server: true\n"),
        ("AccessToken", "  url: u\n  code: c\n"),
    ];
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {tls.crt: YQ==}\nstringData: {ca.crt: >-\n  b}\n";
    let texts = specs.map(|(kind, spec)| resource(kind, "x", spec));
    texts.iter().map(String::as_str).chain([secret]).collect::<Vec<_>>().join("---\n")
}

proptest::proptest! {
    #[test]
    fn no_text_does_harm(damage in proptest::collection::vec((0..1usize << 16, 0..3u8, "[-a-z0-9:,{}\\[\\]&*!|>'\"%@#?\\n\\t ]{0,3}"), 0..12)) {
        let mut text: Vec<char> = everything().chars().collect();
        for (at, what, more) in damage {
            let at = at % (text.len() + 1);
            let end = text.len().min(at + usize::from(what) * 4);
            text.splice(at..end, more.chars());
        }
        crate::fuzz(&text.into_iter().collect::<String>());
    }

    #[test]
    fn no_text_at_all_does_harm(text in "[-a-z:,{}\\[\\]&*!|>'\"%@#?\\n\\t\\\\ ]{0,200}") {
        crate::fuzz(&text);
    }
}
