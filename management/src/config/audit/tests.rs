use super::*;

fn found(text: &str, is_json: bool) -> Vec<String> {
    let mut report = Report::new("f");
    audit_text(text, is_json, &mut report);
    report.sort();
    let shown = |f: &Finding| format!("{}{}: {}", if f.is_problem { "" } else { "note " }, f.line.unwrap_or(0), f.text);
    report.findings().iter().map(shown).collect()
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let text = "router {\n  mode: interior\n  id: A\n  debugDump: x\n}\n\nlistener {\n  port: 0\n  cost: many\n  role: \
                standalone\n}\ncontainer {\n}\ntcpListener {\n  port: 0\n  address: a\n  sslProfile: none\n}\n\
                tcpConnector {\n  host: h\n  port: 1\n}\n";
    let expected = [
        "4: router has no attribute 'debugDump'",
        "9: listener: invalid literal for int() with base 10: 'many' (attribute 'cost')",
        "10: listener: Invalid value for enum['normal', 'inter-router', 'route-container', 'edge', 'inter-edge', \
         'inter-network']: 'standalone' (attribute 'role')",
        "12: there is no entity type 'container'",
        "17: tcpListener: there is no sslProfile named 'none'",
        "19: tcpConnector: Address must be set",
    ];
    assert_eq!(found(text, false), expected);
}

#[test]
fn syntax_comes_first() {
    assert_eq!(found("router {\n  id A\n}\n", false), ["2: Expecting ':'"]);
    assert_eq!(found("[\n# a comment\n[\"router\", {\"id\" \"A\"}]]", true), ["3: Expecting ':' delimiter"]);
    assert_eq!(found("{}", true), ["1: Expecting a list of [name, {attributes}]"]);
}

#[test]
fn what_is_well_is_not_mentioned() {
    let text = "[[\"router\", {\"mode\": \"interior\", \"id\": \"A\"}],\n [\"listener\", {\"port\": 0}],\n\
                [\"tcpConnector\", {\"host\": \"h\", \"port\": 80, \"address\": \"a\"}]]";
    assert!(found(text, true).is_empty());
}

#[test]
fn rules_among_entities() {
    let text = "router {\n mode: standalone\n id: A\n}\nlistener {\n name: n\n port: 0\n role: edge\n}\nconnector {\n \
                name: n\n port: 1\n}\n";
    let found = found(text, false);
    assert!(found[0].starts_with("5: role='standalone' not allowed"), "{found:?}");
    assert!(
        found[1].starts_with("10: adding ") && found[1].contains("duplicates unique attribute 'name'"),
        "{found:?}"
    );
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn sockets_of_one_file_do_not_take_each_others_place() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port").port();
    let listener = |name: &str| format!("listener {{\n name: {name}\n host: 127.0.0.1\n port: {port}\n}}\n");
    let text = format!("router {{\n id: A\n}}\n{}{}", listener("a"), listener("b"));
    assert_eq!(found(&text, false), [format!("12: listener: 127.0.0.1:{port} is taken by the listener in line 4")]);
}

#[test]
fn a_socket_that_is_in_use_may_be_that_of_a_router_with_the_file() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = taken.local_addr().expect("bound").port();
    let listener = |host: &str| format!("router {{\n id: A\n}}\nlistener {{\n host: {host}\n port: {port}\n}}\n");
    assert_eq!(found(&listener("127.0.0.1"), false), [format!("note 6: listener: 127.0.0.1:{port} is in use now")]);
    let foreign = found(&listener("192.0.2.1"), false);
    assert_eq!(foreign, [format!("6: listener: cannot listen at 192.0.2.1:{port}: Cannot assign requested address")]);
}

#[test]
fn files_and_the_entities_that_name_them() {
    let text = "router {\n id: A\n}\nsslProfile {\n name: p\n caCertFile: /no/such/ca.pem\n}\nlistener {\n port: 0\n \
                sslProfile: p\n}\nlog {\n module: DEFAULT\n outputFile: /no/such/dir/log\n}\n";
    let expected = [
        "6: sslProfile: caCertFile '/no/such/ca.pem': No such file or directory",
        "10: listener: Listener requires a self-identifying certificate (sslProfile: p)",
        "14: log: outputFile '/no/such/dir/log': No such file or directory",
    ];
    assert_eq!(found(text, false), expected);
}

mod certificates {
    use super::found;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
    use std::fs;
    use std::path::{Path, PathBuf};

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn params(name: &str, end: i32) -> CertificateParams {
        let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(end, 1, 1);
        params
    }

    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = params(name, 2500);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    }

    fn profile(folder: &Path, chain: &str, key: &str, ca: &str) -> Vec<String> {
        for (name, text) in [("tls.crt", chain), ("tls.key", key), ("ca.crt", ca)] {
            fs::write(folder.join(name), text).expect("written");
        }
        let dir = folder.display();
        let text = format!(
            "router {{\n id: A\n}}\nsslProfile {{\n name: p\n certFile: {dir}/tls.crt\n privateKeyFile: {dir}/tls.key\n \
             caCertFile: {dir}/ca.crt\n}}\nlistener {{\n port: 0\n sslProfile: p\n}}\n"
        );
        found(&text, false)
    }

    #[test]
    fn their_chains_times_and_keys() {
        let folder = Folder(std::env::temp_dir().join(format!("audit-certificates-{}", std::process::id())));
        fs::create_dir_all(&folder.0).expect("a folder");
        let (ours, other) = (authority("ours"), authority("other"));
        let key = KeyPair::generate().expect("a key");
        let own = |end| params("own", end).signed_by(&key, &ours).expect("a certificate").pem();
        let audit = |chain: &str, key: &KeyPair, ca: &str| profile(&folder.0, chain, &key.serialize_pem(), ca);
        assert!(audit(&own(2500), &key, &ours.pem()).is_empty());
        assert!(audit(&(own(2500) + &ours.pem()), &key, &ours.pem()).is_empty());
        let expired = audit(&own(2020), &key, &ours.pem());
        assert!(expired.len() == 1 && expired[0].contains("' expired at Jan  1 00:00:00 2020"), "{expired:?}");
        let broken = audit(&(own(2500) + &other.pem()), &key, &ours.pem());
        assert!(broken.len() == 1 && broken[0].contains("was not issued by"), "{broken:?}");
        let untrusted = audit(&own(2500), &key, &other.pem());
        assert!(untrusted.len() == 1 && untrusted[0].starts_with("note 8: "), "{untrusted:?}");
        let foreign = audit(&own(2500), &KeyPair::generate().expect("a key"), &ours.pem());
        assert!(foreign.len() == 1 && foreign[0].starts_with("12: listener: "), "{foreign:?}");
        let damaged = audit("-----BEGIN CERTIFICATE-----\nAAA\n", &key, &ours.pem());
        assert!(damaged[0].starts_with("6: sslProfile: certFile "), "{damaged:?}");
    }
}

#[test]
fn what_has_no_effect_is_told() {
    let http = |version: &str| {
        format!(
            "httpConnector {{\n address: a\n port: 1\n protocolVersion: {version}\n aggregation: json\n eventChannel: yes\n}}\n"
        )
    };
    let expected = [
        "note 8: httpConnector: 'aggregation' is of HTTP1 only, it has no effect",
        "note 9: httpConnector: 'eventChannel' is of HTTP1 only, it has no effect",
    ];
    assert_eq!(found(&format!("router {{\n id: A\n}}\n{}", http("HTTP2")), false), expected);
    assert!(found(&format!("router {{\n id: A\n}}\n{}", http("HTTP1")), false).is_empty());
}
