//! `tcpListener`: a socket whose connections are carried to a service address.

use super::column::{self, LISTENING};
use super::listener_address::Assigned;
use super::needs::{Needs, TlsRole};
use super::refusal::Refusal;
use super::{EntityKind, EntityType, service, ssl_profile, tcp};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Running;
use crate::schema::attribute::{flag, gauge, one_of, port, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::observe::Mode;
use adaptors::tcp::{Strategy, TcpListener, TcpListenerParams};
use adaptors::tls::Consumer;
use router_engine::log::{Level, LogModule};

pub(super) static DEF: EntityDef = EntityDef {
    name: "tcpListener",
    operations: &["CREATE", "UPDATE", "DELETE"],
    identity: Identity::Attributes("host", "port"),
    origin: Origin::Configured { rank: 11 },
    description: "A socket whose connections are carried to a service address.",
    attributes: &[
        text("address", "The service address.").create(),
        text("host", "The address to listen on; all when empty.").or_text("").create(),
        service::BACKLOG,
        port("port", "A port number or service name.").create(),
        one_of("multiAddressStrategy", &["none", "priority", "weighted"], "How to choose among several addresses.")
            .or_text("none")
            .create(),
        // Not read.
        text("siteId", "Not used any more.").create(),
        gauge("connectionsOpened", "Connections taken."),
        gauge("connectionsClosed", "Connections that ended."),
        gauge("bytesIn", "Octets from clients, but for the last of each open connection."),
        gauge("bytesOut", "Octets to clients, but for the last of each open connection."),
        text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create(),
        flag("authenticatePeer", "Refuse clients without a certificate.").or_flag(false).create(),
        service::ALLOWED_CLIENTS,
        one_of("operStatus", &["up", "down"], "Whether connections are taken now."),
        text("connectionMsg", "Why listening failed."),
        one_of("observer", &["none", "auto", "http1", "http2"], "Which protocol to watch for in the flows.")
            .or_text("auto")
            .create()
            .update(),
        tcp::TIMED_OUT,
        tcp::REFUSED,
        tcp::IDLE_TIMEOUT,
        tcp::HALF_CLOSED_TIMEOUT,
        tcp::KEEP_ALIVE,
        tcp::KEEP_ALIVE_PROBES,
        tcp::MAX_CONNECTIONS,
        tcp::MAX_CONNECTION_RATE,
        tcp::MAX_OCTET_RATE,
        one_of(tcp::PROXY_PROTOCOL, &["none", "accept"], "Whether connections begin with a PROXY protocol header.")
            .or_text("none")
            .create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn needs(&self, a: &Attributes) -> Result<Needs, RouterError> {
        params(a)?;
        Ok(Needs {
            entities: &[("sslProfile", EntityType::SslProfile)],
            tls: Some(TlsRole::server(Consumer::Tcp, a.flag("authenticatePeer"))),
            listens: true,
            ..Needs::default()
        })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        create(runtime, entity).map_err(|refusal| {
            let no_profile = format!("tcpListener {} TLS configuration failed", entity.name());
            refusal.log(LogModule::TcpAdaptor, "tcp listener", &no_profile)
        })
    }

    fn update(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        if let Some(open) = runtime.objects.get::<Running<TcpListener>>(entity.identity()) {
            open.adaptor.set_observer(observer(&entity.attributes));
        }
        Ok(())
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        check_unassigned(runtime, entity).inspect_err(|error| {
            router_engine::log!(LogModule::TcpAdaptor, Level::Error, "Cannot delete tcp listener: {error}");
        })?;
        service::end::<TcpListener>(runtime, entity);
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let Some(open) = runtime.objects.get::<Running<TcpListener>>(entity.identity()) else {
            return Attributes::new();
        };
        let counters = column::shown(tcp::COLUMNS, open.adaptor.service());
        counters.into_iter().chain(column::shown(LISTENING, &open.adaptor.status())).collect()
    }
}

fn create(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), Refusal> {
    let a = &entity.attributes;
    let mut params = params(a)?;
    params.tls = ssl_profile::used(runtime, a)?;
    let engine = runtime.engine()?;
    params.address = a.text("address").map(|address| engine.service_address(address)).unwrap_or_default();
    let listener = TcpListener::create(params, &engine.io)?;
    service::begin(runtime, entity, listener);
    Ok(())
}

/// The parameters, without what depends on other entities.
fn params(a: &Attributes) -> Result<TcpListenerParams, RouterError> {
    let strategy = match a.text("multiAddressStrategy") {
        Some("priority") => Strategy::Priority,
        Some("weighted") => Strategy::Weighted,
        _ => Strategy::None,
    };
    let port = service::needed(a, "port")?;
    if a.text("address").is_some() != (strategy == Strategy::None) {
        let text = "Exactly one of the 'address' or 'multiAddressStrategy' field must be set";
        return Err(RouterError::configuration(text).of_attributes());
    }
    Ok(TcpListenerParams {
        name: a.string("name"),
        address: String::new(),
        strategy,
        host: a.string("host"),
        port,
        backlog: service::backlog(a),
        tls: None,
        authenticate_peer: a.flag("authenticatePeer"),
        allowed_clients: service::allowed_clients(a)?,
        observer: observer(a),
        idle: tcp::idle_limits(a),
        limits: tcp::limits(a),
        keep_alive: tcp::keep_alive(a),
        proxy_protocol: a.text(tcp::PROXY_PROTOCOL) == Some("accept"),
    })
}

/// What its flows are watched for.
fn observer(a: &Attributes) -> Option<Mode> {
    match a.text("observer") {
        Some("none") => None,
        Some("http1") => Some(Mode::Http1),
        Some("http2") => Some(Mode::Http2),
        _ => Some(Mode::Auto),
    }
}

/// Whether no addresses are left that were assigned to the listener.
fn check_unassigned(runtime: &Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
    let name = entity.name();
    let is_open = runtime.objects.get::<Running<TcpListener>>(entity.identity()).is_some();
    let is_assigned = || runtime.objects.all::<Assigned>().any(|address| address.listener == name);
    let is_awaited = || runtime.is_waiting(entity) && runtime.address_waits_for(name);
    if is_open && is_assigned() || is_awaited() {
        let text = format!("listenerAddress entities exist for  multi-address listener {name}");
        return Err(RouterError::value(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::testing::completed;
    use adaptors::net::KeepAlive;
    use adaptors::tcp::IdleLimits;
    use amqp_core::Value;
    use std::time::Duration;

    fn made(given: &[(&'static str, Value)]) -> Result<TcpListenerParams, String> {
        params(&completed(EntityType::TcpListener, given)).map_err(|error| error.to_string())
    }

    #[test]
    fn it_has_an_address_or_a_strategy() {
        let one = "Configuration: Exactly one of the 'address' or 'multiAddressStrategy' field must be set";
        let [port, address] = [("port", "1".into()), ("address", "a".into())];
        let strategy = |word: &str| ("multiAddressStrategy", word.into());
        let refused = |given: &[_]| made(given).expect_err("must be refused");
        assert_eq!(refused(std::slice::from_ref(&port)), one);
        assert_eq!(refused(&[port.clone(), strategy("none")]), one);
        assert_eq!(refused(&[port.clone(), address.clone(), strategy("weighted")]), one);
        assert_eq!(refused(std::slice::from_ref(&address)), "Python: KeyError: ('port',)");
        let chosen = |given: &[_]| made(given).expect("valid").strategy;
        assert_eq!(chosen(&[port.clone(), address]), Strategy::None);
        assert_eq!(chosen(&[port.clone(), strategy("priority")]), Strategy::Priority);
        assert_eq!(chosen(&[port, strategy("weighted")]), Strategy::Weighted);
    }

    #[test]
    fn how_much_it_takes_and_of_whom_is_up_to_the_operator() {
        let given = |more: &[(&'static str, Value)]| {
            let required = [("port", "1".into()), ("address", "a".into())];
            made(&required.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>())
        };
        let limits = [("maxConnections", 5.into()), ("maxOctetsPerSecond", 1_000_000.into())];
        let limited = given(&limits).expect("valid").limits;
        assert_eq!(
            (limited.connections, limited.connection_rate, limited.octet_rate),
            (Some(5), None, Some(1_000_000))
        );
        assert_eq!(given(&[]).expect("valid").limits, Default::default());
        let clients = ("allowedClients", Value::from("a; b"));
        let [profile, peer] = [("sslProfile", "p".into()), ("authenticatePeer", true.into())];
        let unknown =
            "Configuration: allowedClients needs an sslProfile and authenticatePeer, which tell who a client is";
        assert_eq!(given(&[clients.clone(), profile.clone()]).err(), Some(unknown.to_owned()));
        assert!(given(&[clients, profile, peer]).expect("valid").allowed_clients.is_some());
    }

    #[test]
    fn what_clients_may_do_is_up_to_the_operator() {
        let [port, address] = [("port", "1".into()), ("address", "a".into())];
        let default = made(&[port.clone(), address.clone()]).expect("valid");
        assert_eq!((default.idle, default.keep_alive), (IdleLimits::default(), None));
        assert!(!default.proxy_protocol);
        let seconds = [("idleTimeoutSeconds", 300.into()), ("halfClosedTimeoutSeconds", 20.into())];
        let [idle, half_closed] = seconds;
        let others = [("keepAliveSeconds", 60.into()), ("proxyProtocol", "accept".into())];
        let [keep_alive, proxy_protocol] = others;
        let params = made(&[port, address, idle, half_closed, keep_alive, proxy_protocol]).expect("valid");
        assert!(params.proxy_protocol);
        let [idle, half_closed] = [300, 20].map(|seconds| Some(Duration::from_secs(seconds)));
        assert_eq!(params.idle, IdleLimits { idle, half_closed });
        assert_eq!(params.keep_alive, Some(KeepAlive { interval: Duration::from_secs(60), probes: 3 }));
    }

    #[test]
    fn a_backlog_out_of_range_is_what_the_system_allows() {
        let backlog = |n: i64| made(&[("port", "1".into()), ("address", "a".into()), ("backlog", n.into())]);
        assert_eq!([0, -1, 7, i64::MAX].map(|n| backlog(n).expect("valid").backlog), [0, 0, 7, 0]);
    }
}
