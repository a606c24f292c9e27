//! `listener`: a socket for AMQP clients and other routers.

use super::column::{self, LISTENING};
use super::needs::{FileKind, Needs, TlsRole};
use super::refusal::Refusal;
use super::{EntityKind, EntityType, endpoint, ssl_profile};
use crate::agent::Failure;
use crate::attributes::Attributes;
use crate::config::{EntityConfig, SetError};
use crate::error::RouterError;
use crate::http::{healthz, metrics};
use crate::runtime::objects::{Running, TlsUser};
use crate::runtime::{Boot, Runtime};
use crate::schema::attribute::{flag, number, one_of, path, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::amqp::{self, Amqp, EndpointParams, ListenerParams};
use adaptors::http::{self, Documents, Http, HttpParams};
use adaptors::listening::{Listener, Service};
use adaptors::sasl::SaslConfig;
use adaptors::tls::{Consumer, TlsConfigError, TlsProfile, TlsUpdate};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::log::{Level, LogModule};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) static DEF: EntityDef = EntityDef {
    name: "listener",
    operations: &["CREATE", "DELETE"],
    identity: Identity::Attributes("host", "port"),
    origin: Origin::Configured { rank: 10 },
    description: "A socket for AMQP or HTTP clients and for other routers.",
    attributes: &[
        text("host", "The address to listen on; all when empty.").or_text("").create(),
        endpoint::PORT,
        endpoint::FAMILY,
        endpoint::ROLE,
        endpoint::COST,
        endpoint::SSL_PROFILE_NAME,
        text("saslMechanisms", "SASL mechanisms to offer, separated by blanks.").create(),
        flag("authenticatePeer", "Refuse peers that do not authenticate.").or_flag(false).create(),
        flag("requireEncryption", "Refuse connections that are not encrypted.").or_flag(false).create(),
        flag("requireSsl", "Refuse connections without TLS.").or_flag(false).create(),
        endpoint::MAX_FRAME_SIZE,
        endpoint::MAX_SESSIONS,
        endpoint::MAX_SESSION_FRAMES,
        endpoint::IDLE_TIMEOUT,
        endpoint::LIVENESS_INTERVAL,
        endpoint::LIVENESS_MULTIPLIER,
        number("initialHandshakeTimeoutSeconds", "How long a peer may take until it has opened; 0 is a minute where peers have to authenticate, and else any time.")
            .natural()
            .or_number(0)
            .create(),
        endpoint::STRIP_ANNOTATIONS,
        endpoint::LINK_CAPACITY,
        text("failoverUrls", "Other routers that clients are told to turn to.").create(),
        flag("healthz", "Answer /healthz (HTTP).").or_flag(true).create(),
        flag("metrics", "Answer /metrics (HTTP).").or_flag(true).create(),
        flag("websockets", "Take AMQP over WebSocket (HTTP).").or_flag(true).create(),
        flag("page", "Show the network at / (HTTP, without a directory of files).").or_flag(true).create(),
        flag("http", "Take HTTP connections.").or_flag(false).create(),
        path("httpRootDir", "Directory of files to serve; switches http on.").create(),
        endpoint::MESSAGE_LOGGING,
        text("policyVhost", "The vhost whose policy applies, whatever the peer asks for.").create(),
        endpoint::OPEN_PROPERTIES,
        one_of("operStatus", &["up", "down"], "Whether connections are taken now."),
        text("connectionMsg", "Why listening failed."),
    ],
    ..EntityDef::CONFIGURATION
};

/// How long a request waits for the host of a listener: ordinary names are found at once, so that the socket is open
/// when the answer comes. Slow ones hold nobody up; their sockets are opened later.
const ORDINARY_LOOKUP: Duration = Duration::from_millis(100);

/// The root directory where there is none.
const NO_FILES: &str = "disabled";

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn misplaced(&self, attributes: &Attributes, mode: &str, show: &dyn Fn() -> String) -> Option<SetError> {
        endpoint::misplaced(attributes, mode, true, show)
    }

    fn check(&self, attributes: &Attributes) -> Result<(), Failure> {
        Ok(endpoint::check_open_properties(attributes)?)
    }

    fn needs(&self, a: &Attributes) -> Result<Needs, RouterError> {
        endpoint::params(a)?;
        a.text("failoverUrls").map(failover_list).transpose()?;
        let root = a.text("httpRootDir").is_some_and(|root| root != NO_FILES);
        Ok(Needs {
            entities: &[("sslProfile", EntityType::SslProfile)],
            files: if root { &[("httpRootDir", FileKind::Directory)] } else { &[] },
            tls: Some(TlsRole::server(Consumer::Amqp, demands_certificate(a))),
            listens: true,
            ..Needs::default()
        })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        create(runtime, entity).map_err(|refusal| {
            let no_profile = format!("Failed to configure TLS for Listener {}", entity.name());
            refusal.log(LogModule::ConnMgr, "listener", &no_profile)
        })
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        delete::<Amqp>(runtime, entity);
        delete::<Http>(runtime, entity);
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let status = status::<Amqp>(runtime, entity).or_else(|| status::<Http>(runtime, entity));
        status.map(|status| column::shown(LISTENING, &status)).unwrap_or_default()
    }
}

impl<S: Service> TlsUser for Listener<S> {
    fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
        self.prepare_tls(profile)
    }

    fn has_left(&self) -> bool {
        self.has_left()
    }
}

fn create(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), Refusal> {
    let a = &entity.attributes;
    let mut endpoint = endpoint::params(a)?;
    endpoint.tls = ssl_profile::used(runtime, a)?;
    let engine = runtime.engine()?;
    let (io, view) = (engine.io.clone(), Arc::clone(&engine.view));
    if speaks_http(a) {
        let params = http_params(a, params(a, endpoint, &runtime.sasl())?);
        let documents = shows_page(a).then_some(view as Arc<dyn Documents>);
        let listener = http::Listener::create(HttpParams { documents, ..params }, &io)?;
        run(runtime, entity, listener);
    } else {
        let listener = amqp::Listener::create(params(a, endpoint, &runtime.sasl())?, &io)?;
        run(runtime, entity, listener);
    }
    Ok(())
}

fn delete<S: Service>(runtime: &mut Runtime, entity: &EntityConfig) {
    if let Some(open) = runtime.objects.remove::<Running<Listener<S>>>(entity.identity()) {
        open.adaptor.delete();
        runtime.objects.leave(open);
    }
}

fn status<S: Service>(runtime: &Runtime, entity: &EntityConfig) -> Option<(bool, String)> {
    Some(runtime.objects.get::<Running<Listener<S>>>(entity.identity())?.adaptor.status())
}

fn speaks_http(a: &Attributes) -> bool {
    a.flag("http") || a.text("httpRootDir").is_some()
}

/// Runs a listener. Those that could not open their sockets try again now.
fn run<S: Service>(runtime: &mut Runtime, entity: &EntityConfig, listener: Listener<S>) {
    runtime.objects.all::<Running<amqp::Listener>>().for_each(|open| open.adaptor.start());
    runtime.objects.all::<Running<http::Listener>>().for_each(|open| open.adaptor.start());
    start(runtime, &listener);
    runtime.objects.run(entity, listener);
}

/// A router needs its first listener; the others open when they can.
fn start<S: Service>(runtime: &mut Runtime, listener: &Listener<S>) {
    listener.start();
    let is_required = runtime.boot == Boot::First;
    let started = listener.wait_started(if is_required { None } else { Some(ORDINARY_LOOKUP) });
    if !is_required {
        return;
    }
    let failed = matches!(started, Some(Err(_)));
    runtime.boot = if failed { Boot::Failed } else { Boot::Done };
    if failed {
        let text = "Shutting down, required listener failed";
        router_engine::log!(S::WORDS.module, Level::Critical, "{text} {}", listener.address());
    }
}

/// Files have the same paths; and where there are to be none, there is to be nothing for browsers.
fn shows_page(a: &Attributes) -> bool {
    // Where peers have to say who they are, only TLS with their certificates makes them do so here.
    let is_for_all = !a.flag("authenticatePeer");
    let has_certificates = a.flag("requireSsl") && a.text("sslProfile").is_some();
    a.flag("page") && a.text("httpRootDir").is_none() && (is_for_all || has_certificates)
}

fn http_params(a: &Attributes, amqp: ListenerParams) -> HttpParams {
    let pages = [("healthz", healthz()), ("metrics", metrics())].into_iter().filter(|(name, _)| a.flag(name));
    HttpParams {
        amqp,
        websockets: a.flag("websockets"),
        pages: pages.map(|(_, page)| page).collect(),
        documents: None,
        root: a.text("httpRootDir").filter(|root| *root != NO_FILES).map(PathBuf::from),
    }
}

fn params(a: &Attributes, endpoint: EndpointParams, sasl: &SaslConfig) -> Result<ListenerParams, RouterError> {
    let asked = endpoint::mechanisms(a);
    Ok(ListenerParams {
        authenticate_peer: a.flag("authenticatePeer"),
        require_encryption: a.flag("requireEncryption"),
        require_ssl: a.flag("requireSsl"),
        mechanisms: sasl.mechanisms(asked.as_deref()),
        demand_certificate: demands_certificate(a),
        handshake_timeout: Some(a.seconds("initialHandshakeTimeoutSeconds")).filter(|limit| !limit.is_zero()),
        failover_list: a.text("failoverUrls").map(failover_list).transpose()?,
        authenticator: Some(Arc::new(sasl.users())),
        endpoint,
    })
}

/// Whether clients have to have a certificate: it is how they authenticate.
fn demands_certificate(a: &Attributes) -> bool {
    endpoint::mechanisms(a).is_some_and(|asked| asked.iter().any(|mechanism| mechanism.contains("EXTERNAL")))
}

/// `failoverUrls` as the list in the open (spec `amqp-endpoint.md` 4.4).
fn failover_list(urls: &str) -> Result<Value, RouterError> {
    let urls: String = urls.chars().filter(|c| !c.is_whitespace()).collect();
    let mut items = Vec::new();
    for url in urls.split(',') {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, url),
        };
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "5672"));
        if host.is_empty() {
            return Err(RouterError::value("No network host in failover item"));
        }
        let key = |name: &'static str| Value::symbol(name);
        let mut item = Map::new().with(key("network-host"), host).with(key("port"), port);
        if let Some(scheme) = scheme {
            item.push(key("scheme"), scheme);
        }
        items.push(Value::Map(item));
    }
    Ok(Value::List(items))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::testing::completed;
    use adaptors::http::Page;

    fn made(given: &[(&'static str, Value)]) -> Result<ListenerParams, RouterError> {
        let a = completed(EntityType::Listener, given);
        params(&a, endpoint::params(&a)?, &SaslConfig::load(None, "nothing"))
    }

    #[test]
    fn a_root_directory_implies_http() {
        assert!(speaks_http(&completed(EntityType::Listener, &[("httpRootDir", "/x".into())])));
        assert!(speaks_http(&completed(EntityType::Listener, &[("http", true.into())])));
        assert!(!speaks_http(&completed(EntityType::Listener, &[])));
    }

    #[test]
    fn what_an_http_listener_serves() {
        let served = |given: &[(&'static str, Value)]| {
            let a = completed(EntityType::Listener, given);
            let made = http_params(&a, made(given).expect("valid"));
            (made.pages.iter().map(Page::path).collect::<Vec<_>>(), made.root)
        };
        assert_eq!(served(&[("http", true.into())]), (vec!["/healthz", "/metrics"], None));
        assert_eq!(served(&[("healthz", false.into())]).0, ["/metrics"]);
        assert_eq!(served(&[("metrics", false.into())]).0, ["/healthz"]);
        assert_eq!(served(&[("httpRootDir", "disabled".into())]).1, None);
        assert_eq!(served(&[("httpRootDir", "/x".into())]).1, Some(PathBuf::from("/x")));
    }

    #[test]
    fn the_page_is_where_no_files_are() {
        let shown = |given: &[(&'static str, Value)]| shows_page(&completed(EntityType::Listener, given));
        assert!(shown(&[("http", true.into())]));
        assert!(!shown(&[("page", false.into())]));
        let authenticated = [("authenticatePeer", true.into()), ("sslProfile", "p".into())];
        assert!(!shown(&authenticated), "cleartext has no certificates");
        assert!(shown(&[&authenticated[..], &[("requireSsl", true.into())]].concat()));
        assert!(!["disabled", "/x"].iter().any(|&root| shown(&[("httpRootDir", root.into())])));
    }

    #[test]
    fn a_certificate_is_demanded_where_it_is_how_peers_authenticate() {
        let demanded =
            |mechanisms: &str| made(&[("saslMechanisms", mechanisms.into())]).expect("valid").demand_certificate;
        assert_eq!(["PLAIN", "EXTERNAL", "PLAIN EXTERNAL", ""].map(demanded), [false, true, true, false]);
    }

    #[test]
    fn no_time_for_the_handshake_is_any_time() {
        let limit = |seconds: i64| {
            made(&[("initialHandshakeTimeoutSeconds", seconds.into())]).expect("valid").handshake_timeout
        };
        assert_eq!([0, 3].map(limit), [None, Some(Duration::from_secs(3))]);
    }

    #[test]
    fn failover_urls() {
        let list = |urls: &str| Ok::<_, RouterError>(made(&[("failoverUrls", urls.into())])?.failover_list);
        let shown = |urls| crate::notation::Literal(&list(urls).expect("valid").expect("a list")).to_string();
        assert_eq!(
            shown("amqps://a:5671, b"),
            "[{'network-host': 'a', 'port': '5671', 'scheme': 'amqps'}, {'network-host': 'b', 'port': '5672'}]"
        );
        let refused = list("a,amqp://:5672").expect_err("no host");
        assert_eq!(refused.to_string(), "Value: No network host in failover item");
    }
}
