//! `connector`: an AMQP connection that the router opens and keeps open.

use super::column::{self, Column};
use super::needs::{Needs, TlsRole};
use super::proxy_profile::Proxy;
use super::refusal::Refusal;
use super::{EntityKind, EntityType, endpoint, ssl_profile};
use crate::agent::Failure;
use crate::attributes::Attributes;
use crate::config::{EntityConfig, SetError};
use crate::error::RouterError;
use crate::runtime::objects::{Running, TlsUser};
use crate::runtime::{Boot, Runtime};
use crate::schema::attribute::{flag, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::amqp::{Connector, ConnectorParams, ConnectorStatus, DataConnections, EndpointParams, ViaProxy};
use adaptors::tls::secret::{SecretKind, resolve};
use adaptors::tls::{Consumer, TlsConfigError, TlsProfile, TlsUpdate};
use router_engine::log::LogModule;
use router_engine::port::Secret;

pub(super) static DEF: EntityDef = EntityDef {
    name: "connector",
    operations: &["CREATE", "DELETE"],
    identity: Identity::Attributes("host", "port"),
    origin: Origin::Configured { rank: 9 },
    description: "An AMQP connection that the router opens and keeps open.",
    attributes: &[
        text("host", "The host to connect to.").or_text("127.0.0.1").create(),
        endpoint::PORT,
        endpoint::FAMILY,
        endpoint::ROLE,
        endpoint::COST,
        endpoint::SSL_PROFILE_NAME,
        text("proxyProfile", "The name of the proxyProfile to use.").create(),
        text("saslMechanisms", "SASL mechanisms to use, separated by blanks.").create(),
        // Not read.
        flag("allowRedirect", "Accepted for compatibility; redirects are never followed.").or_flag(true).create(),
        endpoint::MAX_FRAME_SIZE,
        endpoint::MAX_SESSIONS,
        endpoint::MAX_SESSION_FRAMES,
        endpoint::IDLE_TIMEOUT,
        endpoint::LIVENESS_INTERVAL,
        endpoint::LIVENESS_MULTIPLIER,
        endpoint::STRIP_ANNOTATIONS,
        endpoint::LINK_CAPACITY,
        flag("verifyHostname", "The name in the peer's certificate must be its host.").or_flag(true).create(),
        text("saslUsername", "The user to authenticate as.").create(),
        text("saslPassword", "The user's password: the text itself, or env:, file: or pass: and where it is.")
            .create()
            .hidden(),
        endpoint::MESSAGE_LOGGING,
        text("failoverUrls", "Where the connector tries to connect, next first."),
        text("connectionStatus", "How the connection stands."),
        text("connectionMsg", "What happened last."),
        text("policyVhost", "The vhost with the policy of the connection, in its group $connector.").create(),
        endpoint::OPEN_PROPERTIES,
    ],
    ..EntityDef::CONFIGURATION
};

/// Live attributes.
const COLUMNS: &[Column<ConnectorStatus>] = &[
    ("failoverUrls", |status| status.failover_urls.as_str().into()),
    ("connectionStatus", |status| status.state.name().into()),
    ("connectionMsg", |status| status.message.as_str().into()),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn misplaced(&self, attributes: &Attributes, mode: &str, show: &dyn Fn() -> String) -> Option<SetError> {
        endpoint::misplaced(attributes, mode, false, show)
    }

    fn check(&self, attributes: &Attributes) -> Result<(), Failure> {
        Ok(endpoint::check_open_properties(attributes)?)
    }

    fn needs(&self, a: &Attributes) -> Result<Needs, RouterError> {
        params(a, endpoint::params(a)?, DataConnections::Auto)?;
        Ok(Needs {
            entities: &[("sslProfile", EntityType::SslProfile), ("proxyProfile", EntityType::ProxyProfile)],
            tls: Some(TlsRole::client(Consumer::Amqp)),
            ..Needs::default()
        })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let no_profile = "Unable to create connector";
        create(runtime, entity).map_err(|refusal| refusal.log(LogModule::ConnMgr, "connector", no_profile))
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        if let Some(open) = runtime.objects.remove::<Running<Connector>>(entity.identity()) {
            open.adaptor.delete();
        }
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let open = runtime.objects.get::<Running<Connector>>(entity.identity());
        open.map(|open| column::shown(COLUMNS, &open.adaptor.status())).unwrap_or_default()
    }
}

impl TlsUser for Connector {
    fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
        self.prepare_tls(profile)
    }
}

fn create(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), Refusal> {
    let a = &entity.attributes;
    let mut endpoint = endpoint::params(a)?;
    endpoint.tls = ssl_profile::used(runtime, a)?;
    let proxy = a.text("proxyProfile").map(|name| used_proxy(runtime, name)).transpose()?;
    let data = runtime.settings.as_ref().map_or(DataConnections::Auto, |settings| settings.data_connections);
    let params = ConnectorParams { proxy, ..params(a, endpoint, data)? };
    let connector = Connector::create(params, &runtime.engine()?.io)?;
    connector.activate();
    if runtime.boot == Boot::First {
        runtime.boot = Boot::Done;
    }
    runtime.objects.run(entity, connector);
    Ok(())
}

fn used_proxy(runtime: &Runtime, name: &str) -> Result<ViaProxy, RouterError> {
    if runtime.objects.get::<Proxy>(name).is_none() {
        return Err(RouterError::not_found(format!("proxyProfile '{name}' not found")));
    }
    Ok(ViaProxy { name: name.to_owned(), profiles: runtime.proxies.clone() })
}

fn params(a: &Attributes, endpoint: EndpointParams, data: DataConnections) -> Result<ConnectorParams, RouterError> {
    let password = a.text("saslPassword").map(|p| resolve(p, SecretKind::Sasl)).transpose();
    Ok(ConnectorParams {
        verify_hostname: a.flag("verifyHostname"),
        mechanisms: endpoint::mechanisms(a),
        sasl_username: a.owned("saslUsername"),
        sasl_password: password.map_err(|e| RouterError::not_found(e.to_string()))?.map(Secret::from),
        data_connections: data,
        proxy: None,
        endpoint,
    })
}
