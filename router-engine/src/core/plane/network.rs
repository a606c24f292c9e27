//! Other networks (spec `inter-router-protocol.md` section 13): connections to them carry what auto-links name, and nothing
//! of the routing protocols.
//!
//! ```text
//!  this network                                      the other one
//!  auto-link in, address `inside` <==== link ====  consumer of `outside`     whole messages: the link says where they go
//!                                 <== streaming ==  to-override `outside`     streams: they say it themselves
//! ```
//!
//! A stream leaves the link that was chosen for it for one of its own, which has no address. So it carries the name that the
//! auto-link has where it arrives: the sender writes that of an auto-link `out`, the receiver reads that of one `in`.

use crate::annotations::Annotations;
use crate::core::ids::LinkId;
use crate::core::objects::{Address, Conn};
use crate::core::table::Slot;
use crate::core::{Core, Router};
use bytes::Bytes;

// === impl Core ===

impl Core {
    /// Where a delivery goes that has come on a link without an address.
    pub(in crate::core) fn destination(
        &mut self,
        conn: Slot<Conn>,
        to: Option<&[u8]>,
        annotations: &mut Annotations,
    ) -> Option<Slot<Address>> {
        let to = std::str::from_utf8(to?).ok()?;
        let Conn { id, role, .. } = self.conns[conn];
        if role.is_inter_network()
            && let Some((address, name)) = self.auto_links.named_outside(id, to)
        {
            annotations.to_override = Some(name);
            return Some(address);
        }
        self.addresses.lookup(to)
    }

    /// The name at the peer of what goes out on an auto-link, if it is another one there.
    pub(in crate::core) fn external_name(&self, link: LinkId) -> Option<Bytes> {
        self.auto_links.external_name(link).map(|name| Bytes::copy_from_slice(name.as_bytes()))
    }
}

// === impl Router ===

impl Router {
    /// Changes the network id. Addresses that are made from now on carry it, and those that carry the former one are in
    /// another network.
    pub fn set_network_id(&self, id: Option<&str>) {
        self.with(|core| {
            core.config.network_id = id.map(str::to_owned);
            core.addresses.names.set_network(id);
        });
    }
}
