//! `httpListener`: a socket whose requests are carried to a service address, one by one.

use super::column::{self, LISTENING};
use super::needs::{Needs, TlsRole};
use super::refusal::Refusal;
use super::{EntityKind, EntityType, http, service, ssl_profile, tcp};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Running;
use crate::schema::attribute::{flag, one_of, port, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::http_service::{HttpListener, HttpListenerParams};
use adaptors::tls::Consumer;
use router_engine::log::LogModule;

pub(super) static DEF: EntityDef = EntityDef {
    name: "httpListener",
    operations: &["CREATE", "DELETE"],
    identity: Identity::Attributes("host", "port"),
    origin: Origin::Configured { rank: 14 },
    description: "A socket whose HTTP requests are carried to a service address, one by one.",
    attributes: &[
        text("host", "The address to listen on.").or_text("0.0.0.0").create(),
        text("address", "The service address.").create(),
        port("port", "A port number or service name.").create(),
        service::BACKLOG,
        http::SITE_ID,
        text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create(),
        flag("authenticatePeer", "Refuse clients without a certificate.").or_flag(false).create(),
        service::ALLOWED_CLIENTS,
        http::PROTOCOL_VERSION,
        http::AGGREGATION,
        http::EVENT_CHANNEL,
        http::OPENED,
        tcp::REFUSED,
        http::CLOSED,
        http::UNDER_WAY,
        http::RETRIED,
        one_of("operStatus", &["up", "down"], "Whether connections are taken now."),
        text("connectionMsg", "Why listening failed."),
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
            ignored: http::ignored(a),
            ..Needs::default()
        })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        create(runtime, entity).map_err(|refusal| {
            let no_profile = format!("httpListener {} TLS configuration failed", entity.name());
            refusal.log(LogModule::HttpAdaptor, "httpListener", &no_profile)
        })
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        service::end::<HttpListener>(runtime, entity);
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let Some(open) = runtime.objects.get::<Running<HttpListener>>(entity.identity()) else {
            return Attributes::new();
        };
        let service = open.adaptor.service();
        let counters = [http::COLUMNS, &[tcp::REFUSED_COLUMN]].map(|columns| column::shown(columns, service));
        counters.into_iter().flatten().chain(column::shown(LISTENING, &open.adaptor.status())).collect()
    }
}

fn create(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), Refusal> {
    let a = &entity.attributes;
    let mut params = params(a)?;
    http::warn_of_ignored(entity);
    params.tls = ssl_profile::used(runtime, a)?;
    let engine = runtime.engine()?;
    params.address = engine.service_address(&params.address);
    let listener = HttpListener::create(params, &engine.io)?;
    service::begin(runtime, entity, listener);
    Ok(())
}

/// The parameters, without what depends on other entities.
fn params(a: &Attributes) -> Result<HttpListenerParams, RouterError> {
    Ok(HttpListenerParams {
        name: a.string("name"),
        address: service::needed(a, "address")?,
        host: a.string("host"),
        port: service::needed(a, "port")?,
        backlog: service::backlog(a),
        version: http::version(a),
        tls: None,
        authenticate_peer: a.flag("authenticatePeer"),
        allowed_clients: service::allowed_clients(a)?,
        aggregation: http::aggregation(a),
        event_channel: http::event_channel(a),
        site: a.owned("siteId"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::testing::completed;
    use adaptors::http_service::{Aggregation, HttpVersion};
    use amqp_core::Value;

    #[test]
    fn it_has_an_address_and_a_port() {
        let refused =
            |given: &[_]| params(&completed(EntityType::HttpListener, given)).expect_err("refused").to_string();
        assert_eq!(refused(&[("port", "1".into())]), "Python: KeyError: ('address',)");
        assert_eq!(refused(&[("address", "a".into())]), "Python: KeyError: ('port',)");
    }

    #[test]
    fn what_concerns_http1_only_is_nothing_to_http2() {
        let given = |version: Value| {
            let attributes = [
                ("address", "a".into()),
                ("port", "1".into()),
                ("protocolVersion", version),
                ("aggregation", "json".into()),
                ("eventChannel", true.into()),
            ];
            params(&completed(EntityType::HttpListener, &attributes)).expect("valid")
        };
        let (first, second) = (given("HTTP1".into()), given("HTTP2".into()));
        assert_eq!(
            (first.version, first.aggregation, first.event_channel),
            (HttpVersion::Http1, Some(Aggregation::Json), true)
        );
        assert_eq!((second.version, second.aggregation, second.event_channel), (HttpVersion::Http2, None, false));
        assert_eq!(first.host, "0.0.0.0");
        // A number is that of a word, as of any enumeration, not that of a version.
        assert_eq!(given(1.into()).version, HttpVersion::Http2);
    }
}
