//! The runtime as the agent's backend.

use super::entities::Refusal;
use super::{Runtime, now};
use crate::agent::{AutoLinkStatus, Backend};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::log::logger;
use crate::params::{AddressParams, AutoLinkParams, LogParams, NetworkParams, PolicyParams, RouterParams};
use crate::schema::EntityType;
use router_engine::core::AddressConfig;
use router_engine::core::Totals;
use router_engine::core::snapshot::{AddressRow, ConnectionRow, LinkKey, LinkRow, Page, RouterRow};
use router_engine::log::{Level, LogModule};
use std::time::Duration;

// === impl Backend for Runtime ===

impl Backend for Runtime {
    fn create(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        // Adaptors spawn tasks.
        let handle = self.handle.clone();
        let _context = handle.enter();
        let (module, what, result) = match entity.ty {
            EntityType::Log => return logger().configure_at_start(&LogParams::try_from(entity)?),
            EntityType::Router => {
                self.set_router(RouterParams::try_from(entity)?);
                return Ok(());
            }
            EntityType::Network => return self.start(NetworkParams::try_from(entity)?),
            EntityType::Policy => return self.set_policy(PolicyParams::try_from(entity)?),
            EntityType::Vhost => return self.put_vhost(entity),
            EntityType::SslProfile => return self.create_profile(entity),
            EntityType::ProxyProfile => return self.create_proxy(entity),
            EntityType::Listener => (LogModule::ConnMgr, "listener", self.create_listener(entity)),
            EntityType::Connector => (LogModule::ConnMgr, "connector", self.create_connector(entity)),
            EntityType::TcpListener => (LogModule::TcpAdaptor, "tcp listener", self.create_tcp_listener(entity)),
            EntityType::TcpConnector => (LogModule::TcpAdaptor, "tcp connector", self.create_tcp_connector(entity)),
            EntityType::ListenerAddress => {
                (LogModule::TcpAdaptor, "tcp listener address", self.create_listener_address(entity))
            }
            // Nothing stands behind the others.
            _ => return Ok(()),
        };
        result.map_err(|refusal| {
            log_refusal(entity, module, what, &refusal);
            refusal.into_error()
        })
    }

    fn update(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let handle = self.handle.clone();
        let _context = handle.enter();
        match entity.ty {
            EntityType::Log => logger().configure(&LogParams::try_from(entity)?),
            EntityType::SslProfile => self.update_profile(entity),
            EntityType::ProxyProfile => self.update_proxy(entity),
            EntityType::Vhost => self.put_vhost(entity),
            EntityType::Network => {
                let id = NetworkParams::try_from(entity)?.network_id;
                if let Some(router) = self.router() {
                    router.set_network_id(id.as_deref());
                }
                let shown = id.as_deref().unwrap_or("0");
                router_engine::log!(LogModule::RouterCore, Level::Info, "Router's network-id updated to {shown}");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delete(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let handle = self.handle.clone();
        let _context = handle.enter();
        let name = entity.attributes.text("name").unwrap_or_default();
        match entity.ty {
            EntityType::SslProfile => self.delete_profile(name),
            EntityType::ProxyProfile => self.delete_proxy(name),
            EntityType::Vhost => self.remove_vhost(entity),
            EntityType::Listener => self.delete_listener(entity),
            EntityType::Connector => self.delete_connector(entity),
            EntityType::TcpListener => {
                return self.delete_tcp_listener(entity).inspect_err(|error| {
                    router_engine::log!(LogModule::TcpAdaptor, Level::Error, "Cannot delete tcp listener: {error}");
                });
            }
            EntityType::TcpConnector => self.delete_tcp_connector(entity),
            EntityType::ListenerAddress => self.delete_listener_address(entity),
            _ => {}
        }
        Ok(())
    }

    fn live(&self, entity: &EntityConfig) -> Attributes {
        self.live_attributes(entity)
    }

    fn instances(&self, ty: EntityType) -> Vec<Attributes> {
        match ty {
            EntityType::Node => self.nodes(),
            EntityType::Allocator => self.allocators(),
            EntityType::VhostStats => self.vhost_stats(),
            _ => Vec::new(),
        }
    }

    fn add_address(&mut self, params: &AddressParams) -> bool {
        let config = AddressConfig { treatment: params.distribution, priority: u8::try_from(params.priority).ok() };
        self.router().is_some_and(|router| router.add_address_config(&params.pattern, config).is_ok())
    }

    fn remove_address(&mut self, params: &AddressParams) {
        if let Some(router) = self.router() {
            router.remove_address_config(&params.pattern);
        }
    }

    // Auto-links wait for the core.
    fn add_auto_link(&mut self, _number: u64, _params: &AutoLinkParams) {}

    fn remove_auto_link(&mut self, _number: u64) {}

    fn auto_link_status(&self, _number: u64) -> AutoLinkStatus {
        AutoLinkStatus::default()
    }

    fn connections(&self, page: Page) -> Vec<ConnectionRow> {
        self.router().map(|r| r.connection_page(page, now())).unwrap_or_default()
    }

    fn connection(&self, number: u32) -> Option<ConnectionRow> {
        self.router()?.connection_row(number, now())
    }

    fn links(&self, page: Page) -> Vec<LinkRow> {
        self.router().map(|r| r.link_page(page, now())).unwrap_or_default()
    }

    fn link(&self, key: LinkKey<'_>) -> Option<LinkRow> {
        self.router()?.link_row(key, now())
    }

    fn addresses(&self, page: Page) -> Vec<AddressRow> {
        self.router().map(|r| r.address_page(page)).unwrap_or_default()
    }

    fn address(&self, key: &str) -> Option<AddressRow> {
        self.router()?.address_row(key)
    }

    fn totals(&self) -> RouterRow {
        match self.router() {
            Some(router) => router.router_row(now()),
            None => RouterRow {
                connections: 0,
                services: Vec::new(),
                links: 0,
                addresses: 0,
                nodes: 0,
                totals: Totals::default(),
                uptime: Duration::ZERO,
            },
        }
    }

    fn router_id(&self) -> String {
        self.router().map(|r| r.id().to_owned()).unwrap_or_default()
    }

    fn may_update_admin_status(&self, requester: u32) -> bool {
        let peer = self.connection(requester).and_then(|row| row.peer);
        peer.is_some_and(|peer| peer.policy.allows_admin_status_update())
    }

    fn cut_connection(&mut self, number: u32) {
        if let Some(router) = self.router()
            && let Some(conn) = router.connection_id(number)
        {
            router.close_connection(conn, None, true);
        }
    }

    fn trace_connection(&mut self, number: u32, on: bool) {
        if let Some(router) = self.router()
            && let Some(conn) = router.connection_id(number)
        {
            router.trace_connection(conn, on);
        }
    }
}

fn log_refusal(entity: &EntityConfig, module: LogModule, what: &str, refusal: &Refusal) {
    let name = entity.attributes.text("name").unwrap_or_default();
    match (refusal, entity.ty) {
        (Refusal::NoProfile(error), EntityType::Listener) => {
            router_engine::log!(module, Level::Error, "Failed to configure TLS for Listener {name}: {error}");
        }
        (Refusal::NoProfile(error), EntityType::TcpListener | EntityType::TcpConnector) => {
            let kind = entity.ty.short();
            router_engine::log!(module, Level::Error, "{kind} {name} TLS configuration failed: {error}");
        }
        (Refusal::Plain(error) | Refusal::NoProfile(error), _) => {
            router_engine::log!(module, Level::Error, "Unable to create {what}: {error}");
        }
        (Refusal::Tls(_), _) => {}
    }
}
