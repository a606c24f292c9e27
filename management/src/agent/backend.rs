//! What the agent needs of the router it manages.

use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::schema::EntityType;
use router_engine::core::snapshot::{AddressRow, ConnectionRow, LinkKey, LinkRow, Page, RouterRow};
use router_engine::core::{AddressConfig, AutoLinkConfig, AutoLinkStatus};

/// The router behind the agent. Calls come one at a time, on a thread that moves no traffic: they may take locks and
/// read files, but must not wait for the network, since other requests wait meanwhile.
pub trait Backend: Send {
    /// Makes what a configuration entity stands for.
    ///
    /// # Errors
    /// When a subsystem refuses; then nothing was made.
    fn create(&mut self, entity: &EntityConfig) -> Result<(), RouterError>;

    /// Applies changed attributes.
    ///
    /// # Errors
    /// When a subsystem refuses; then nothing has changed.
    fn update(&mut self, entity: &EntityConfig) -> Result<(), RouterError>;

    /// Removes what an entity stands for.
    ///
    /// # Errors
    /// When a subsystem refuses; then it stays.
    fn delete(&mut self, entity: &EntityConfig) -> Result<(), RouterError>;

    /// Makes what waits for something outside of the router, such as files. True while something waits: then it is to be
    /// called again in a while.
    fn retry(&mut self) -> bool {
        false
    }

    /// Live attributes of a configuration entity, set over the configured ones.
    fn live(&self, entity: &EntityConfig) -> Attributes;

    /// The entities of a type that come and go by themselves. Without name and identity.
    fn instances(&self, ty: EntityType) -> Vec<Attributes>;

    /// Adds an address configuration. False: there is one for the pattern already.
    fn add_address(&mut self, pattern: &str, config: AddressConfig) -> bool;

    /// Removes an address configuration.
    fn remove_address(&mut self, pattern: &str);

    /// Adds an auto-link under a number.
    fn add_auto_link(&mut self, number: u64, link: AutoLinkConfig);

    /// Removes an auto-link.
    fn remove_auto_link(&mut self, number: u64);

    /// How an auto-link stands.
    fn auto_link_status(&self, number: u64) -> AutoLinkStatus;

    /// Connections, oldest first.
    fn connections(&self, page: Page) -> Vec<ConnectionRow>;

    /// The connection with that number.
    fn connection(&self, number: u32) -> Option<ConnectionRow>;

    /// Links, oldest first.
    fn links(&self, page: Page) -> Vec<LinkRow>;

    /// One link.
    fn link(&self, key: LinkKey<'_>) -> Option<LinkRow>;

    /// Addresses, oldest first.
    fn addresses(&self, page: Page) -> Vec<AddressRow>;

    /// The address with that key.
    fn address(&self, key: &str) -> Option<AddressRow>;

    /// Figures of the router.
    fn totals(&self) -> RouterRow;

    /// The id of the router.
    fn router_id(&self) -> String;

    /// Whether the connection that a request came over may cut connections.
    fn may_update_admin_status(&self, requester: u32) -> bool;

    /// Cuts a connection.
    fn cut_connection(&mut self, number: u32);

    /// Switches the frame trace of a connection.
    fn trace_connection(&mut self, number: u32, on: bool);
}
