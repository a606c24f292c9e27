//! The runtime as the agent's backend.

use super::{Runtime, now};
use crate::agent::Backend;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::schema::EntityType;
use router_engine::core::snapshot::{AddressRow, ConnectionRow, LinkKey, LinkRow, Page, RouterRow};
use router_engine::core::{AddressConfig, AutoLinkConfig, AutoLinkStatus};

// === impl Backend for Runtime ===

impl Backend for Runtime {
    fn create(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        // Adaptors spawn tasks.
        let handle = self.handle.clone();
        let _context = handle.enter();
        if self.keep_waiting(entity) {
            return Ok(());
        }
        entity.ty.kind().create(self, entity)
    }

    fn update(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let handle = self.handle.clone();
        let _context = handle.enter();
        if self.update_waiting(entity) {
            return Ok(());
        }
        entity.ty.kind().update(self, entity)?;
        if entity.ty == EntityType::SslProfile {
            self.retry_waiting();
        }
        Ok(())
    }

    fn delete(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let handle = self.handle.clone();
        let _context = handle.enter();
        entity.ty.kind().delete(self, entity)?;
        self.forget_waiting(entity);
        Ok(())
    }

    fn retry(&mut self) -> bool {
        let handle = self.handle.clone();
        let _context = handle.enter();
        self.retry_waiting()
    }

    fn live(&self, entity: &EntityConfig) -> Attributes {
        self.live_waiting(entity).unwrap_or_else(|| entity.ty.kind().live(self, entity))
    }

    fn instances(&self, ty: EntityType) -> Vec<Attributes> {
        ty.kind().instances(self)
    }

    fn add_address(&mut self, pattern: &str, config: AddressConfig) -> bool {
        self.router().is_some_and(|router| router.add_address_config(pattern, config).is_ok())
    }

    fn remove_address(&mut self, pattern: &str) {
        if let Some(router) = self.router() {
            router.remove_address_config(pattern);
        }
    }

    fn add_auto_link(&mut self, number: u64, link: AutoLinkConfig) {
        if let Some(router) = self.router() {
            router.add_auto_link(number, link);
        }
    }

    fn remove_auto_link(&mut self, number: u64) {
        if let Some(router) = self.router() {
            router.remove_auto_link(number);
        }
    }

    fn auto_link_status(&self, number: u64) -> AutoLinkStatus {
        self.router().map(|router| router.auto_link_status(number)).unwrap_or_default()
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
        self.router().map(|router| router.router_row(now())).unwrap_or_default()
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
