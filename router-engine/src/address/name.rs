//! Textual addresses and the keys they are looked up by
//! (spec `inter-router-protocol.md` section 5, `amqp-endpoint.md` 8.1).
//!
//! A key is one class character followed by text. Building a key allocates nothing beyond what the
//! caller's string lacks.

use crate::mode::Mode;
use crate::rng::SecretRng;

#[cfg(test)]
mod tests;

/// The area of every router.
pub const AREA: &str = "0";

/// Length of a discriminator in characters.
pub const DISCRIMINATOR_LEN: usize = 15;

/// Key of the address whose only destination is the uplink of an edge router.
pub const EDGE_UPLINK_KEY: &str = "L_edge";

const SEPARATORS: [char; 2] = ['.', '/'];
const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_";

/// What a router must know of itself to make keys of addresses.
#[derive(Debug, Clone)]
pub struct AddressContext {
    router_id: String,
    mode: Mode,
    /// `None` also when it is configured empty or `0`: then network elements in addresses are skipped.
    network: Option<String>,
    /// Container ids of connected inter-edge peers (edge mode only).
    edge_peers: Vec<String>,
    /// Known remote routers whose ids have slashes: mostly none.
    slashed: Vec<String>,
}

// === impl AddressContext ===

impl AddressContext {
    /// The context of the router `router_id`. An empty network id and `0` count as none.
    #[must_use]
    pub fn new(router_id: &str, mode: Mode, network: Option<&str>) -> Self {
        Self {
            router_id: router_id.to_owned(),
            mode,
            network: network.and_then(network_id),
            edge_peers: Vec::new(),
            slashed: Vec::new(),
        }
    }

    /// Changes the network id, as in [`Self::new`].
    pub fn set_network(&mut self, network: Option<&str>) {
        self.network = network.and_then(network_id);
    }

    /// Notes that a remote router is known.
    pub fn add_router(&mut self, id: &str) {
        if id.contains('/') {
            self.slashed.push(id.to_owned());
        }
    }

    /// Notes that a remote router is forgotten.
    pub fn remove_router(&mut self, id: &str) {
        self.slashed.retain(|known| known != id);
    }

    /// Notes that an inter-edge peer is connected. Connections are counted: two need two removals.
    pub fn add_edge_peer(&mut self, id: &str) {
        self.edge_peers.push(id.to_owned());
    }

    /// Notes that an inter-edge connection to `id` is gone.
    pub fn remove_edge_peer(&mut self, id: &str) {
        if let Some(i) = self.edge_peers.iter().position(|p| p == id) {
            self.edge_peers.swap_remove(i);
        }
    }

    /// Replaces `out` by the key of the textual address `text`.
    pub fn key_of(&self, text: &str, out: &mut String) {
        out.clear();
        let (class, rest) = self.classify(bare(text));
        out.push(class);
        out.push_str(rest);
    }

    /// Class and remaining text of a node text.
    fn classify<'a>(&self, text: &'a str) -> (char, &'a str) {
        let Some(reserved) = text.strip_prefix('_') else { return ('M', text) };
        if let Some(rest) = reserved.strip_prefix("local/") {
            return ('L', rest);
        }
        let (network_given, form) = match reserved.strip_prefix('x') {
            Some(form) => (true, form),
            None => (false, reserved),
        };
        let (topo, rest) = if let Some(rest) = form.strip_prefix("topo/") {
            (true, rest)
        } else if let Some(rest) = form.strip_prefix("edge/") {
            (false, rest)
        } else {
            return ('M', text);
        };
        let rest = if network_given {
            let (network, rest) = element(rest);
            if self.network.as_deref().is_some_and(|own| network != own && network != "0") {
                return self.elsewhere('N', network);
            }
            rest
        } else {
            rest
        };
        if topo { self.classify_router(rest) } else { self.classify_edge(rest) }
    }

    /// `<area>/<router>/...`
    fn classify_router<'a>(&self, text: &'a str) -> (char, &'a str) {
        let (area, rest) = element(text);
        if area != "all" && area != AREA {
            return self.elsewhere('A', area);
        }
        if let Some(rest) = rest.strip_prefix("all/") {
            return ('T', rest);
        }
        let remote = self.slashed_router(rest);
        match self.strip_own_id(rest) {
            Some(local) if remote.is_none_or(|remote| remote.len() < self.router_id.len()) => ('L', local),
            _ => self.elsewhere('R', remote.unwrap_or_else(|| element(rest).0)),
        }
    }

    /// The longest known router id with slashes that `text` begins with.
    fn slashed_router<'a>(&self, text: &'a str) -> Option<&'a str> {
        let named = |id: &&String| text.strip_prefix(id.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        let longest = self.slashed.iter().filter(named).map(String::len).max()?;
        text.get(..longest)
    }

    /// `<edge router>/...`
    fn classify_edge<'a>(&self, text: &'a str) -> (char, &'a str) {
        if let Some(rest) = self.strip_own_id(text) {
            return ('L', rest);
        }
        if self.mode == Mode::Edge
            && let Some(peer) = self.edge_peers.iter().find(|peer| element(text).0 == **peer)
        {
            return ('H', &text[..peer.len()]);
        }
        self.elsewhere('H', element(text).0)
    }

    /// What is not on this router: an edge router leaves it to its uplink.
    fn elsewhere<'a>(&self, class: char, text: &'a str) -> (char, &'a str) {
        if self.mode == Mode::Edge { ('L', "_edge") } else { (class, text) }
    }

    fn strip_own_id<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_prefix(self.router_id.as_str())?.strip_prefix('/')
    }

    /// The text of a dynamic source (reply address), unique by its discriminator
    /// (spec `inter-router-protocol.md` 5.3).
    #[must_use]
    pub fn dynamic_source(&self, tenant: Option<&str>, discriminator: &str) -> String {
        let mut text = String::from("amqp:/_");
        let (plain, crossing) = if self.mode == Mode::Edge { ("edge", "xedge") } else { ("topo", "xtopo") };
        match &self.network {
            None => text.push_str(plain),
            Some(network) => {
                text.push_str(crossing);
                text.push('/');
                text.push_str(network);
            }
        }
        if self.mode != Mode::Edge {
            text.push('/');
            text.push_str(AREA);
        }
        text.push('/');
        text.push_str(&self.router_id);
        if let Some(tenant) = tenant.filter(|t| !t.is_empty()) {
            text.push('/');
            text.push_str(tenant);
        }
        text.push_str("/temp.");
        text.push_str(discriminator);
        text
    }
}

/// The text of a dynamic target: a mobile address.
#[must_use]
pub fn dynamic_target(discriminator: &str) -> String {
    format!("amqp:/_$temp.{discriminator}")
}

/// Fifteen characters of `a-z A-Z 0-9 + _`.
pub fn discriminator(rng: &mut SecretRng) -> String {
    let mut text = String::with_capacity(DISCRIMINATOR_LEN);
    push_discriminator(rng, &mut text);
    text
}

/// A name for a link that this router initiates.
pub fn link_name(rng: &mut SecretRng) -> String {
    let mut text = String::from("qdlink.");
    push_discriminator(rng, &mut text);
    text
}

fn push_discriminator(rng: &mut SecretRng, text: &mut String) {
    let mut bits = 0;
    for i in 0..DISCRIMINATOR_LEN {
        // Ten characters of six bits fit in one draw.
        if i % 10 == 0 {
            bits = rng.next_u64();
        }
        text.push(char::from(ALPHABET[(bits & 0x3f) as usize]));
        bits >>= 6;
    }
}

/// Replaces `out` by the key of a router as named by ingress and trace annotations: `0/<id>`
/// becomes `R<id>`, another area `A<area>`.
pub fn node_key(text: &str, out: &mut String) {
    out.clear();
    let (area, router) = element(text);
    let (class, rest) = if area == AREA { ('R', router) } else { ('A', area) };
    out.push(class);
    out.push_str(rest);
}

/// The router id in an ingress or trace annotation, if it is of our area.
#[must_use]
pub fn node_router(text: &str) -> Option<&str> {
    text.strip_prefix(AREA)?.strip_prefix('/')
}

/// The address without scheme and host; the whole text when it has neither. A scheme is anything
/// up to `:/`.
#[must_use]
pub fn node_text(text: &str) -> &str {
    let path = if text.starts_with('/') {
        text
    } else if let Some(colon) = text.find(":/") {
        &text[colon + 1..]
    } else {
        return text;
    };
    let rest = match path.strip_prefix("//") {
        Some(authority) => authority.split_once('/').map_or("", |(_, rest)| rest),
        None => &path[1..],
    };
    // Nothing is left of `amqp://host`: such a text is no address in this syntax, so it is taken whole.
    if rest.is_empty() { text } else { rest }
}

/// What of an address tells it from others: neither scheme and host nor one separator at the end do.
pub(crate) fn bare(text: &str) -> &str {
    let text = node_text(text);
    text.strip_suffix(SEPARATORS).unwrap_or(text)
}

/// An empty network id and `0` count as none.
fn network_id(text: &str) -> Option<String> {
    Some(text).filter(|n| !n.is_empty() && *n != "0").map(str::to_owned)
}

/// The text up to the first slash, and what follows the slash.
fn element(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or((text, ""))
}
