//! `httpConnector`: a server that gets the requests of a service address.

use super::column::{self, Column};
use super::needs::{Needs, TlsRole};
use super::refusal::Refusal;
use super::{EntityKind, EntityType, health, http, service, ssl_profile};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Running;
use crate::schema::attribute::{flag, one_of, port, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::http_service::{HttpConnector, HttpConnectorParams, HttpVersion, is_authority};
use adaptors::tls::Consumer;
use router_engine::log::LogModule;

const HOST_OVERRIDE: &str = "hostOverride";

pub(super) static DEF: EntityDef = EntityDef {
    name: "httpConnector",
    operations: &["CREATE", "DELETE"],
    identity: Identity::Attributes("host", "port"),
    origin: Origin::Configured { rank: 15 },
    description: "A server that gets the HTTP requests of a service address.",
    attributes: &[
        text("address", "The service address.").create(),
        text("host", "The host of the server.").or_text("127.0.0.1").create(),
        port("port", "The port number or service name of the server.").create(),
        http::SITE_ID,
        text("processId", "The process record that stands for the server.").create(),
        text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create(),
        flag("verifyHostname", "The name in the server's certificate must be its host.").or_flag(true).create(),
        http::PROTOCOL_VERSION,
        http::AGGREGATION,
        http::EVENT_CHANNEL,
        text(HOST_OVERRIDE, "The host that the server is told, in place of what the client says.").create(),
        http::OPENED,
        http::CLOSED,
        http::UNDER_WAY,
        health::CHECK_INTERVAL,
        health::CHECK_TIMEOUT,
        health::CHECK_PATH,
        health::CHECK_FAILURES,
        health::CHECK_SUCCESSES,
        health::EJECT_AFTER,
        health::EJECT_TIME,
        health::STATUS,
        health::REASON,
        one_of("operStatus", &["up", "down"], "Whether the server can be reached."),
        text("connectionMsg", "Why the server cannot be reached."),
    ],
    ..EntityDef::CONFIGURATION
};

/// Whether the server can be reached, and why not.
const REACHED: &[Column<(bool, String)>] = column::LISTENING;

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn needs(&self, a: &Attributes) -> Result<Needs, RouterError> {
        params(a)?;
        Ok(Needs {
            entities: &[("sslProfile", EntityType::SslProfile)],
            tls: Some(TlsRole::client(Consumer::Tcp)),
            ignored: http::ignored(a),
            ..Needs::default()
        })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        create(runtime, entity).map_err(|refusal| {
            let no_profile = format!("httpConnector {} TLS configuration failed", entity.name());
            refusal.log(LogModule::HttpAdaptor, "httpConnector", &no_profile)
        })
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        service::end::<HttpConnector>(runtime, entity);
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let Some(open) = runtime.objects.get::<Running<HttpConnector>>(entity.identity()) else {
            return Attributes::new();
        };
        let service = open.adaptor.service();
        let mut counters: Attributes = column::shown(http::COLUMNS, service);
        counters.remove(http::RETRIED.name);
        let live = counters.into_iter().chain(column::shown(REACHED, &open.adaptor.status()));
        live.chain(health::shown(service)).collect()
    }
}

fn create(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), Refusal> {
    let a = &entity.attributes;
    let mut params = params(a)?;
    http::warn_of_ignored(entity);
    params.tls = ssl_profile::used(runtime, a)?;
    let engine = runtime.engine()?;
    params.address = engine.service_address(&params.address);
    let connector = HttpConnector::create(params, &engine.io)?;
    service::begin(runtime, entity, connector);
    Ok(())
}

/// The parameters, without what depends on other entities.
fn params(a: &Attributes) -> Result<HttpConnectorParams, RouterError> {
    let (version, health) = (http::version(a), health::config(a)?);
    if version == HttpVersion::Http2 && health.path.is_some() {
        let text = format!("{} is for servers of HTTP/1", health::CHECK_PATH.name);
        return Err(RouterError::configuration(text).of_attributes());
    }
    Ok(HttpConnectorParams {
        name: a.string("name"),
        address: service::needed(a, "address")?,
        host: a.string("host"),
        port: service::needed(a, "port")?,
        version,
        tls: None,
        verify_hostname: a.flag("verifyHostname"),
        host_override: host_override(a)?,
        event_channel: http::event_channel(a),
        aggregates: http::aggregation(a).is_some(),
        site: a.owned("siteId"),
        process_id: a.owned("processId"),
        health,
    })
}

/// None if it is empty. What is no host servers would refuse, request by request.
fn host_override(a: &Attributes) -> Result<Option<String>, RouterError> {
    let host = a.owned(HOST_OVERRIDE).filter(|host| !host.is_empty());
    if host.as_ref().is_some_and(|host| !is_authority(host.as_bytes())) {
        return Err(RouterError::configuration(format!("{HOST_OVERRIDE} is a host, or host:port")).of_attributes());
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::testing::completed;

    #[test]
    fn the_host_that_servers_are_told_is_one() {
        let given = |host: &str| {
            let attributes = [("address", "a".into()), ("port", "1".into()), (HOST_OVERRIDE, host.into())];
            params(&completed(EntityType::HttpConnector, &attributes))
        };
        for host in ["example.org", "example.org:8080", "[::1]:80", "127.0.0.1"] {
            assert_eq!(given(host).expect("valid").host_override.as_deref(), Some(host));
        }
        assert_eq!(given("").expect("valid").host_override, None);
        for host in ["a b", "http://x/", "a\r\nX: y", "u@h", "h:p", "::1"] {
            let refused = given(host).expect_err("refused").to_string();
            assert!(refused.ends_with("hostOverride is a host, or host:port"), "{host}: {refused}");
        }
    }
}
