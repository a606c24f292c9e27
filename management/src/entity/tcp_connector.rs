//! `tcpConnector`: a server that gets the connections of a service address.

use super::needs::{Needs, TlsRole};
use super::refusal::Refusal;
use super::{EntityKind, EntityType, column, health, service, ssl_profile, tcp};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Running;
use crate::schema::attribute::{flag, gauge, one_of, port, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::tcp::{TcpConnector, TcpConnectorParams};
use adaptors::tls::Consumer;
use router_engine::log::LogModule;

pub(super) static DEF: EntityDef = EntityDef {
    name: "tcpConnector",
    operations: &["CREATE", "DELETE"],
    identity: Identity::Attributes("host", "port"),
    origin: Origin::Configured { rank: 12 },
    description: "A server that gets the connections of a service address.",
    attributes: &[
        text("address", "The service address.").create(),
        text("host", "The host of the server.").or_text("127.0.0.1").create(),
        port("port", "The port number or service name of the server.").create(),
        text("siteId", "Not used any more.").create(),
        text("processId", "The process record that stands for the server.").create(),
        gauge("connectionsOpened", "Connections made."),
        gauge("connectionsClosed", "Connections that ended."),
        gauge("bytesIn", "Octets from servers, but for the last of each open connection."),
        gauge("bytesOut", "Octets to servers, but for the last of each open connection."),
        text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create(),
        flag("verifyHostname", "The name in the server's certificate must be its host.").or_flag(true).create(),
        tcp::TIMED_OUT,
        tcp::REFUSED,
        tcp::IDLE_TIMEOUT,
        tcp::HALF_CLOSED_TIMEOUT,
        tcp::KEEP_ALIVE,
        tcp::KEEP_ALIVE_PROBES,
        tcp::MAX_CONNECTIONS,
        tcp::MAX_CONNECTION_RATE,
        tcp::MAX_OCTET_RATE,
        one_of(tcp::PROXY_PROTOCOL, &["none", "send"], "Whether the server gets a PROXY protocol header first.")
            .or_text("none")
            .create(),
        health::CHECK_INTERVAL,
        health::CHECK_TIMEOUT,
        health::CHECK_PATH,
        health::CHECK_FAILURES,
        health::CHECK_SUCCESSES,
        health::EJECT_AFTER,
        health::EJECT_TIME,
        health::STATUS,
        health::REASON,
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
            tls: Some(TlsRole::client(Consumer::Tcp)),
            ..Needs::default()
        })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        create(runtime, entity).map_err(|refusal| {
            let no_profile = format!("tcpConnector {} TLS configuration failed", entity.name());
            refusal.log(LogModule::TcpAdaptor, "tcp connector", &no_profile)
        })
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        service::end::<TcpConnector>(runtime, entity);
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let Some(open) = runtime.objects.get::<Running<TcpConnector>>(entity.identity()) else {
            return Attributes::new();
        };
        let service = open.adaptor.service();
        column::shown(tcp::COLUMNS, service).into_iter().chain(health::shown(service)).collect()
    }
}

fn create(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), Refusal> {
    let a = &entity.attributes;
    let mut params = params(a)?;
    params.tls = ssl_profile::used(runtime, a)?;
    let engine = runtime.engine()?;
    params.address = engine.service_address(&params.address);
    let connector = TcpConnector::create(params, &engine.io)?;
    service::begin(runtime, entity, connector);
    Ok(())
}

/// The parameters, without what depends on other entities.
fn params(a: &Attributes) -> Result<TcpConnectorParams, RouterError> {
    let port = service::needed(a, "port")?;
    let address = a.owned("address");
    Ok(TcpConnectorParams {
        name: a.string("name"),
        address: address.ok_or_else(|| RouterError::configuration("Address must be set").of_attributes())?,
        host: a.string("host"),
        port,
        tls: None,
        verify_hostname: a.flag("verifyHostname"),
        process_id: a.owned("processId"),
        idle: tcp::idle_limits(a),
        limits: tcp::limits(a),
        keep_alive: tcp::keep_alive(a),
        proxy_protocol: a.text(tcp::PROXY_PROTOCOL) == Some("send"),
        health: health::config(a)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::testing::completed;

    #[test]
    fn it_has_an_address_and_a_port() {
        let refused =
            |given: &[_]| params(&completed(EntityType::TcpConnector, given)).expect_err("refused").to_string();
        assert_eq!(refused(&[("port", "1".into())]), "Configuration: Address must be set");
        assert_eq!(refused(&[("address", "a".into())]), "Python: KeyError: ('port',)");
        let params = params(&completed(EntityType::TcpConnector, &[("port", "1".into()), ("address", "a".into())]));
        let params = params.expect("valid");
        assert_eq!((params.host.as_str(), params.verify_hostname), ("127.0.0.1", true));
    }

    #[test]
    fn servers_are_told_of_clients_if_they_want_to_know() {
        let given = [("port", "1".into()), ("address", "a".into())];
        let tells = |more: Option<&str>| {
            let more = more.map(|word| ("proxyProtocol", word.into()));
            let given: Vec<_> = given.iter().cloned().chain(more).collect();
            params(&completed(EntityType::TcpConnector, &given)).expect("valid").proxy_protocol
        };
        assert_eq!([None, Some("none"), Some("send")].map(tells), [false, false, true]);
    }
}
