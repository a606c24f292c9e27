//! The views by name.

use super::addresses::{ADDRESSES, AUTO_LINKS};
use super::connections::{CONNECTIONS, EDGES};
use super::links::LINKS;
use super::listing::Listing;
use super::nodes::NODES;
use super::options::Options;
use super::report::Report;
use super::vhosts::{self, VHOSTS};
use super::{facts, log, memory, topology};
use crate::client::Client;
use crate::error::Result;

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the options describe them")]
pub enum View {
    General,
    Connections,
    Links,
    Nodes,
    Edges,
    Addresses,
    Memory,
    Policy,
    AutoLinks,
    Vhosts,
    VhostGroups,
    VhostStats,
    Log,
    Topology,
    All,
}

// === impl View ===

impl View {
    /// The views that are in this one. Groups of vhosts are long, and the log is longer.
    pub fn parts(&self) -> &[Self] {
        const ALL: [View; 9] = [
            View::Links,
            View::Addresses,
            View::Connections,
            View::AutoLinks,
            View::General,
            View::Memory,
            View::Policy,
            View::Vhosts,
            View::VhostStats,
        ];
        match self {
            Self::All => &ALL,
            one => std::slice::from_ref(one),
        }
    }

    /// Whether time and router stand above it.
    pub fn has_frame(self) -> bool {
        !matches!(self, Self::Vhosts | Self::VhostGroups | Self::VhostStats | Self::Log)
    }

    /// Asks the router for what is shown.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn report(self, client: &mut Client, options: &Options) -> Result<Report> {
        let listing: &Listing = match self {
            Self::Connections => &CONNECTIONS,
            Self::Links => &LINKS,
            Self::Nodes => &NODES,
            Self::Edges => &EDGES,
            Self::Addresses => &ADDRESSES,
            Self::AutoLinks => &AUTO_LINKS,
            Self::Vhosts => &VHOSTS,
            Self::General | Self::All => return facts::general(client).await,
            Self::Policy => return facts::policy(client).await,
            Self::Memory => return memory::memory(client).await,
            Self::VhostGroups => return vhosts::groups_report(client).await,
            Self::VhostStats => return vhosts::stats_report(client).await,
            Self::Log => return log::log(client, options.limit()).await,
            Self::Topology => return topology::topology(client).await,
        };
        listing.report(client, options).await
    }
}
