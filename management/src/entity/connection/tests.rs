use super::*;
use crate::agent::fake::{agent, call, call_from, connection, field, refused};
use crate::notation::Literal;
use router_engine::core::action::PeerOpen;
use router_engine::core::connection::{ConnectionRole, PeerKind};
use std::time::Duration;

#[test]
fn connections_are_cut_and_traced() {
    let mut agent = agent();
    let ty = Kind::TYPE.full();
    let update = |identity| [("operation", "UPDATE"), ("type", ty.as_str()), ("identity", identity)];
    let deleted = || Map::new().with("adminStatus", "deleted");
    let cut = call(&mut agent, &update("2"), deleted());
    assert_eq!(
        (field(&cut, "adminStatus").as_str(), field(&cut, "operStatus").as_str()),
        (Some("deleted"), Some("closing"))
    );
    assert_eq!(agent.backend().cut, [2]);
    let of_nobody = call_from(9, &mut agent, &update("2"), deleted());
    assert_eq!((of_nobody.status.code(), of_nobody.description.as_str()), (400, "Bad Request"));
    assert_eq!(call_from(1, &mut agent, &update("2"), deleted()).status, Status::Forbidden);
    assert_eq!(agent.backend().cut, [2]);
    assert_eq!(
        refused(&mut agent, &update("1"), deleted()),
        (403, "You are not allowed to perform this operation.".to_owned())
    );
    assert_eq!(refused(&mut agent, &update("9"), deleted()), (400, "Bad Request".to_owned()));
    assert_eq!(refused(&mut agent, &update("2"), Map::new()), (400, "Bad Request".to_owned()));
    let traced = call(&mut agent, &update("2"), Map::new().with("enableProtocolTrace", true));
    assert_eq!(field(&traced, "enableProtocolTrace"), &Value::Bool(true));
    let text = call(&mut agent, &update("2"), Map::new().with("enableProtocolTrace", "no"));
    assert_eq!(field(&text, "enableProtocolTrace"), &Value::Bool(false));
    let delete = [("operation", "DELETE"), ("type", ty.as_str()), ("identity", "2")];
    assert_eq!(refused(&mut agent, &delete, Value::Null), (403, "Forbidden".to_owned()));
    assert_eq!(
        refused(&mut agent, &[("operation", "READ"), ("type", ty.as_str()), ("name", "x")], Value::Null),
        (400, "Name not supported. Identity required".to_owned())
    );
}

#[test]
fn local_sockets_are_those_of_tcp_connections() {
    let shown = |kind| {
        let mut row = connection(1, ConnectionRole::Normal);
        row.params.kind = kind;
        row.params.facts.local_socket = Some("127.0.0.1:5672".to_owned());
        row_map::<Kind>(&row).get("localSocket").cloned()
    };
    assert_eq!((shown(PeerKind::Amqp), shown(PeerKind::TcpFlow)), (Some(Value::Null), Some("127.0.0.1:5672".into())));
}

/// Everything that a column shows differs from what it shows of a bare connection.
fn full() -> ConnectionRow {
    let mut row = connection(7, ConnectionRole::InterRouter);
    row.params.initiator = true;
    row.params.facts.tls_ordinal = Some(3);
    row.uptime = Duration::from_secs(60);
    row.last_delivery = Some(Duration::from_millis(2500));
    (row.deleted, row.traced) = (true, true);
    row.mesh = Some("mesh".to_owned());
    row.active = true;
    let properties =
        Map::new().with("product", "p").with("qd.group-correlator", "group").with("qd.group-ordinal", 9_u64);
    row.peer = Some(PeerOpen {
        container_id: "R2".to_owned(),
        properties,
        sasl_mechanism: Some("EXTERNAL".to_owned()),
        user: Some("u".to_owned()),
        tls_protocol: Some("TLSv1.3".to_owned()),
        tls_cipher: Some("c".to_owned()),
        tls_ssf: 256,
        ..PeerOpen::default()
    });
    row
}

#[test]
fn all_columns_of_an_open_connection() {
    assert_eq!(
        Literal(&row_map::<Kind>(&full()).into()).to_string(),
        "{'name': 'connection/127.0.0.1:7', 'identity': '7', 'host': '127.0.0.1:7', 'localSocket': None, 'role': \
         'inter-router', 'protocol': 'amqp', 'dir': 'out', 'container': 'R2', 'sasl': 'EXTERNAL', 'isAuthenticated': \
         True, 'user': 'u', 'isEncrypted': True, 'sslProto': 'TLSv1.3', 'sslCipher': 'c', 'properties': {'product': \
         'p', 'qd.group-correlator': 'group'}, 'sslSsf': 256, 'type': \
         'io.skupper.router.connection', 'ssl': True, 'opened': True, 'active': True, 'adminStatus': 'deleted', \
         'operStatus': 'closing', 'uptimeSeconds': 60, 'lastDlvSeconds': 2, 'enableProtocolTrace': True, 'meshId': \
         'mesh', 'tlsOrdinal': 3, 'groupCorrelationId': 'group', 'groupOrdinal': 9}"
    );
}

#[test]
fn what_is_not_known_yet_shows_as_nothing() {
    let bare = row_map::<Kind>(&connection(1, ConnectionRole::Normal));
    for name in ["container", "sasl", "user", "sslProto", "sslCipher", "lastDlvSeconds", "meshId", "tlsOrdinal"] {
        assert_eq!(bare.get(name), Some(&Value::Null), "{name}");
    }
    for name in ["isAuthenticated", "isEncrypted", "ssl", "opened", "enableProtocolTrace"] {
        assert_eq!(bare.get(name), Some(&Value::Bool(false)), "{name}");
    }
    assert_eq!([bare.get("groupCorrelationId"), bare.get("groupOrdinal")], [Some(&Value::Null); 2]);
}

#[test]
fn flows_of_tcp_show_empty_texts_and_are_never_authenticated() {
    let mut row = full();
    row.params.kind = PeerKind::TcpFlow;
    assert_eq!(row_map::<Kind>(&row).get("isAuthenticated"), Some(&Value::Bool(false)));
    row.peer = None;
    let bare = row_map::<Kind>(&row);
    assert_eq!([bare.get("sasl"), bare.get("user")], [Some(&"".into()); 2]);
}

#[test]
fn the_group_is_the_peers_or_else_the_own() {
    let mut row = full();
    (row.params.trunk.correlator, row.params.trunk.ordinal) = (Some("own".to_owned()), Some(4));
    assert_eq!((group(&row), group_ordinal(&row)), (Some("group"), 9));
    row.peer = None;
    assert_eq!((group(&row), group_ordinal(&row)), (Some("own"), 4));
    row.params.trunk.ordinal = None;
    assert_eq!(group_ordinal(&row), 0);
}

#[test]
fn properties_are_shown_up_to_the_first_of_another_kind() {
    let given = Map::new().with("a", "b").with("n", 1).with("list", vec![Value::from(1)]).with("late", "x");
    assert_eq!(properties(Some(&given)), Map::new().with("a", "b").with("n", 1).into());
    let octets = Map(vec![(Value::Binary(vec![1].into()), "x".into()), ("a".into(), "b".into())]);
    assert_eq!((properties(Some(&octets)), properties(None)), (Map::new().into(), Map::new().into()));
}

#[test]
fn connections_of_routers_and_the_tcp_adaptor_are_not_cut() {
    let mut agent = agent();
    let mut core = agent.core();
    for (role, kind, may) in [
        (ConnectionRole::Normal, PeerKind::Amqp, true),
        (ConnectionRole::RouteContainer, PeerKind::Amqp, true),
        (ConnectionRole::InterRouter, PeerKind::Amqp, false),
        (ConnectionRole::Edge, PeerKind::Amqp, false),
        (ConnectionRole::Normal, PeerKind::TcpDispatcher, false),
    ] {
        let mut target = connection(5, role);
        target.params.kind = kind;
        assert_eq!(cut(&mut core, &mut target, 2).is_ok(), may, "{role:?} {kind:?}");
        assert_eq!(target.deleted, may, "{role:?} {kind:?}");
    }
    assert_eq!(agent.backend().cut, [5, 5]);
}
