//! From configured parameters to those of the adaptors.

use crate::error::RouterError;
use crate::params::{
    ConnectorParams, ListenerParams, MultiAddressStrategy, PeerParams, SocketFamily, SslProfileParams,
    TcpConnectorParams, TcpListenerParams,
};
use adaptors::amqp::EndpointParams;
use adaptors::files;
use adaptors::net::Family;
use adaptors::sasl::SaslConfig;
use adaptors::tcp::Strategy;
use adaptors::tls::secret::{SecretKind, resolve};
use adaptors::tls::{TlsProfile, UidFormat};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::log::{Level, LogModule};
use router_engine::port::MessageFields;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn tcp_listener(
    params: &TcpListenerParams,
    address: String,
    tls: Option<TlsProfile>,
) -> adaptors::tcp::TcpListenerParams {
    adaptors::tcp::TcpListenerParams {
        name: params.name.clone(),
        address,
        strategy: match params.strategy {
            MultiAddressStrategy::None => Strategy::None,
            MultiAddressStrategy::Priority => Strategy::Priority,
            MultiAddressStrategy::Weighted => Strategy::Weighted,
        },
        host: params.host.clone(),
        port: params.port.clone(),
        // Out of range is the system's limit, for which zero stands.
        backlog: u32::try_from(params.backlog).unwrap_or(0),
        tls,
        authenticate_peer: params.authenticate_peer,
    }
}

pub(super) fn tcp_connector(
    params: &TcpConnectorParams,
    address: String,
    tls: Option<TlsProfile>,
) -> adaptors::tcp::TcpConnectorParams {
    adaptors::tcp::TcpConnectorParams {
        name: params.name.clone(),
        address,
        host: params.host.clone(),
        port: params.port.clone(),
        tls,
        verify_hostname: params.verify_hostname,
    }
}

pub(super) fn tls_profile(params: &SslProfileParams) -> Result<TlsProfile, RouterError> {
    let display_names = Arc::new(display_names(params)?);
    Ok(TlsProfile { display_names, ..profile_without_names(params)? })
}

/// As [`tls_profile`], for a profile that nobody uses yet: the file with names for user ids is not read.
pub(super) fn profile_without_names(params: &SslProfileParams) -> Result<TlsProfile, RouterError> {
    let password = params.password.as_deref().map(|p| resolve(p, SecretKind::Profile)).transpose();
    let uid_format = params.uid_format.as_deref().and_then(|format| {
        let parsed = UidFormat::parse(format);
        if parsed.is_none() {
            router_engine::log!(
                LogModule::Agent,
                Level::Error,
                "Invalid format for uidFormat field in sslProfile '{}': {format}",
                params.name
            );
        }
        parsed
    });
    Ok(TlsProfile {
        name: params.name.clone(),
        ca_cert_file: params.ca_cert_file.clone(),
        cert_file: params.cert_file.clone(),
        private_key_file: params.private_key_file.clone(),
        password: password.map_err(|e| RouterError::not_found(e.to_string()))?,
        ciphers: params.ciphers.clone(),
        protocols: params.protocols.clone(),
        uid_format,
        display_names: Arc::default(),
        ordinal: params.ordinal,
        oldest_valid_ordinal: params.oldest_valid_ordinal,
    })
}

fn display_names(params: &SslProfileParams) -> Result<HashMap<String, String>, RouterError> {
    let Some(file) = &params.uid_name_mapping_file else { return Ok(HashMap::new()) };
    let broken = |text: String| RouterError::configuration(format!("Cannot read uidNameMappingFile '{file}': {text}"));
    let octets = files::read(file).map_err(|e| broken(e.to_string()))?;
    serde_json::from_slice(&octets).map_err(|e| broken(e.to_string()))
}

fn endpoint(peer: PeerParams, tls: Option<TlsProfile>) -> EndpointParams {
    EndpointParams {
        name: peer.name,
        host: peer.host,
        port: peer.port,
        family: peer.family.map(|family| match family {
            SocketFamily::V4 => Family::V4,
            SocketFamily::V6 => Family::V6,
        }),
        role: peer.role,
        cost: peer.cost,
        max_frame_size: peer.max_frame_size,
        max_sessions: peer.max_sessions,
        max_session_frames: peer.max_session_frames,
        idle_timeout: peer.idle_timeout,
        link_capacity: peer.link_capacity,
        message_fields: MessageFields::parse(&peer.message_logging),
        strip_in: peer.strip_in,
        strip_out: peer.strip_out,
        open_properties: peer.open_properties,
        policy_vhost: peer.policy_vhost,
        tls,
    }
}

pub(super) fn listener(
    params: ListenerParams,
    tls: Option<TlsProfile>,
    sasl: &SaslConfig,
) -> Result<adaptors::amqp::ListenerParams, RouterError> {
    let asked = params.peer.sasl_mechanisms.clone();
    let failover_list = params.failover_urls.as_deref().map(failover_list).transpose()?;
    Ok(adaptors::amqp::ListenerParams {
        authenticate_peer: params.authenticate_peer,
        require_encryption: params.require_encryption,
        require_ssl: params.require_ssl,
        mechanisms: sasl.mechanisms(asked.as_deref()),
        demand_certificate: asked.as_ref().is_some_and(|a| a.iter().any(|m| m.contains("EXTERNAL"))),
        handshake_timeout: params.handshake_timeout,
        failover_list,
        access_id: None,
        authenticator: Some(Arc::new(sasl.users())),
        endpoint: endpoint(params.peer, tls),
    })
}

pub(super) fn connector(
    params: ConnectorParams,
    tls: Option<TlsProfile>,
    data_connections: adaptors::amqp::DataConnections,
) -> Result<adaptors::amqp::ConnectorParams, RouterError> {
    let password = params.sasl_password.as_deref().map(|p| resolve(p, SecretKind::Sasl)).transpose();
    Ok(adaptors::amqp::ConnectorParams {
        verify_hostname: params.verify_hostname,
        mechanisms: params.peer.sasl_mechanisms.clone(),
        sasl_username: params.sasl_username,
        sasl_password: password.map_err(|e| RouterError::not_found(e.to_string()))?,
        data_connections,
        endpoint: endpoint(params.peer, tls),
    })
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
