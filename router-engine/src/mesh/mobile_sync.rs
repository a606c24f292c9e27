//! Which router has consumers for which address (spec `inter-router-protocol.md` section 8).

use super::fields::{Fields, Malformed};
use super::node::RoundTrip;
use super::throttle::{Pace, Throttle};
use super::wire::Descriptor;
use super::{MOBILE_VERSION, Mesh, MeshNode, MeshOutput, NO_HINT, wire};
use crate::index::NodeIndex;
use crate::log;
use crate::log::{Level, LogModule};
use crate::memory::BUDGET;
use amqp_core::{Instant, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Without a scheme, unlike all other destinations.
const MAU_ALL_TO: &str = "_topo/0/all/qdrouter.ma";

/// Addresses that are kept per router; what it advertises beyond is ignored.
const MAX_ADDRESSES: usize = 1 << 18;

/// What an address takes beside its text, of which there are copies; octets.
const ADDRESS_OCTETS: usize = 1024;

/// Octets for the addresses of all routers where memory has no ceiling.
const ROOM: usize = 1 << 30;

/// The part of a ceiling that they may take.
const SHARE: usize = 4;

/// Octets of the longest identifier of an edge mesh.
const MAX_MESH_ID: usize = 64;

/// Own addresses, and what the others were not told yet.
#[derive(Debug)]
pub(super) struct MobileSync {
    pub(super) seq: i64,
    local: HashMap<String, Local>,
    /// Keys of addresses with pending changes, in the order of the changes.
    pending: BTreeMap<u64, String>,
    next_stamp: u64,
    /// When to tell the others.
    pub(super) changes: Throttle,
    /// Not before then.
    hold_until: Instant,
    /// Octets that the addresses of all other routers may take, if memory does not say it.
    pub(super) room: Option<usize>,
}

/// An address with consumers here, or that had some when the others were told last.
#[derive(Debug)]
struct Local {
    /// Orders addresses by their first appearance.
    born: u64,
    treatment: u8,
    in_links: u32,
    mesh_id: Option<String>,
    /// The mesh id that the others were told.
    told_mesh_id: Option<String>,
    /// The change that the others were not told, and its place in [`MobileSync::pending`].
    change: Option<(Change, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Update,
    Delete,
}

/// An address as another router advertises it.
#[derive(Debug)]
struct Advertised<'a> {
    key: &'a str,
    hint: u8,
    mesh_id: Option<&'a str>,
}

/// The address lists of a MAU.
enum Update<'a> {
    Absolute(&'a [Value]),
    Differential { add: &'a [Value], delete: &'a [Value] },
}

// === local addresses ===

impl Mesh {
    /// An address got its first local destination. `treatment` is a code 0..=4, `in_links` the
    /// number of local incoming links. Keys of other classes than M, N and H are not advertised.
    pub fn local_added(&mut self, key: &str, treatment: u8, in_links: u32, now: Instant) {
        if !is_mobile(key) {
            return;
        }
        log!(LogModule::RouterMa, Level::Debug, "Became Local Dest: {key}");
        let sync = &mut self.mobile;
        match sync.local.get_mut(key) {
            None => {
                let born = sync.next_stamp;
                let local = Local { born, treatment, in_links, mesh_id: None, told_mesh_id: None, change: None };
                sync.local.insert(key.to_owned(), local);
                sync.change(key, Change::Add, now);
            }
            Some(local) => {
                (local.treatment, local.in_links) = (treatment, in_links);
                if matches!(local.change, Some((Change::Delete, _))) {
                    sync.unchange(key);
                    sync.check_mesh_id(key, now);
                }
            }
        }
    }

    /// An address lost its last local destination.
    pub fn local_removed(&mut self, key: &str, now: Instant) {
        if is_mobile(key) {
            log!(LogModule::RouterMa, Level::Debug, "No Longer Local Dest: {key}");
        }
        match self.mobile.local.get(key).map(|local| local.change) {
            Some(Some((Change::Add, _))) => {
                self.mobile.unchange(key);
                self.mobile.local.remove(key);
            }
            Some(None | Some((Change::Update, _))) => self.mobile.change(key, Change::Delete, now),
            Some(Some((Change::Delete, _))) | None => {}
        }
    }

    /// Tells what is advertised of an address beside its key. Only another `mesh_id` (the edge mesh
    /// that all local destinations lead to) makes others be told; the rest goes with the next message.
    pub fn local_updated(&mut self, key: &str, treatment: u8, in_links: u32, mesh_id: Option<&str>, now: Instant) {
        let Some(local) = self.mobile.local.get_mut(key) else { return };
        (local.treatment, local.in_links) = (treatment, in_links);
        if local.mesh_id.as_deref() != mesh_id {
            local.mesh_id = mesh_id.map(str::to_owned);
            self.mobile.check_mesh_id(key, now);
        }
    }

    /// What is, or is about to be, advertised, in order.
    #[cfg(test)]
    pub(crate) fn advertised(&self) -> Vec<String> {
        let goes = |local: &Local| matches!(local.change, Some((Change::Delete, _)));
        let mut keys: Vec<_> =
            self.mobile.local.iter().filter(|(_, local)| !goes(local)).map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys
    }

    /// The edge mesh that all consumers of an address at a remote router are in, if they are in one.
    #[must_use]
    pub fn edge_mesh(&self, node: NodeIndex, key: &str) -> Option<&str> {
        self.nodes.get(node)?.addresses.get(key)?.as_deref()
    }

    /// Advertises what changed. Returns whether anything did.
    ///
    /// The first addresses of a life are not told: the advertisement that follows has the others ask for them, and whoever
    /// knows an earlier life notices the restart before it asks (see also `ADOPTION`).
    pub(super) fn send_address_changes(&mut self) -> bool {
        let sync = &mut self.mobile;
        if sync.pending.is_empty() {
            return false;
        }
        sync.seq += 1;
        let first = sync.seq == 1;
        let (mut add, mut updated, mut delete) = (Vec::new(), Vec::new(), Vec::new());
        for key in std::mem::take(&mut sync.pending).into_values() {
            let Some(local) = sync.local.get_mut(&key) else { continue };
            match local.change.take() {
                Some((Change::Delete, _)) => {
                    drop(sync.local.remove(&key));
                    delete.push(Descriptor { key, details: None, mesh_id: None });
                }
                Some((Change::Update, _)) => updated.push(local.tell(key)),
                _ => add.push(local.tell(key)),
            }
        }
        add.append(&mut updated);
        if !first {
            self.send_differential_mau(&add, &delete);
        }
        log!(
            LogModule::RouterMa,
            Level::Debug,
            "New mobile sequence: mobile_seq={}, addrs_synced={}, fanout={}",
            self.mobile.seq,
            add.len() + delete.len(),
            self.ls.peers.len()
        );
        true
    }

    fn send_differential_mau(&mut self, add: &[Descriptor], delete: &[Descriptor]) {
        let body = wire::Body::mobile(&self.id, MOBILE_VERSION)
            .number("mobile_seq", self.mobile.seq)
            .addresses("add", add)
            .addresses("del", delete);
        self.send(MAU_ALL_TO.to_owned(), "MAU", body);
    }
}

// === messages ===

impl Mesh {
    pub(super) fn send_mar(&mut self, target: &str, have_seq: i64, now: Instant) {
        if let Some(node) = self.nodes.by_id_mut(target) {
            node.asks_for_addresses(now);
            let retry = node.mar_retry;
            self.want_retry(retry);
        }
        let body = wire::Body::mobile(&self.id, MOBILE_VERSION).number("have_seq", have_seq);
        self.send(format!("amqp:/_topo/0/{target}/qdrouter.ma"), "MAR", body);
        log!(LogModule::RouterMa, Level::Debug, "Send MAR request to router {target}, have_seq={have_seq}, fanout=1");
    }

    fn send_absolute_mau(&mut self, target: &str) {
        let body = wire::Body::mobile(&self.id, MOBILE_VERSION)
            .number("mobile_seq", self.mobile.seq)
            .addresses("exist", &self.mobile.told());
        self.send(format!("amqp:/_topo/0/{target}/qdrouter.ma"), "MAU", body);
        log!(LogModule::RouterMa, Level::Debug, "Sent MAU to requestor: mobile_seq={}", self.mobile.seq);
    }

    /// The sender of a mobile address message, which must be a known router; `None` when the
    /// message is to be ignored.
    fn mobile_sender<'a>(
        &mut self,
        opcode: &str,
        fields: Fields<'a>,
        now: Instant,
    ) -> Result<Option<(&'a str, NodeIndex)>, Malformed> {
        let id = fields.id()?;
        let version = fields.int_or_zero("pv")?;
        if id == self.id || !self.version_is_known(opcode, id, version, MOBILE_VERSION, LogModule::RouterMa) {
            return Ok(None);
        }
        let index = self.nodes.index_of(id);
        if index.is_none() && self.complains(now) {
            let what = "from an unknown router with router id";
            log!(LogModule::RouterMa, Level::Warning, "Received {opcode} {what} {id}");
        }
        Ok(index.map(|index| (id, index)))
    }

    pub(super) fn on_mar(&mut self, fields: Fields<'_>, now: Instant) -> Result<(), Malformed> {
        let log_here = |malformed: Malformed| malformed.log_to(LogModule::RouterMa);
        let Some((id, _)) = self.mobile_sender("MAR", fields, now).map_err(log_here)? else { return Ok(()) };
        let have_seq = fields.int("have_seq").map_err(log_here)?;
        log!(LogModule::RouterMa, Level::Debug, "Received MAR from {id}, have_seq={have_seq}");
        if have_seq < self.mobile.seq {
            self.send_absolute_mau(id);
        }
        Ok(())
    }

    /// An absolute update for another router, if it is newer than what is known here.
    pub(super) fn overhear_mau(&mut self, fields: Fields<'_>, now: Instant) {
        let node = fields.id().ok().and_then(|id| self.nodes.index_of(id)).and_then(|index| self.nodes.get(index));
        let seq = fields.int("mobile_seq").unwrap_or_default();
        if node.is_some_and(|node| node.mobile_seq < seq) && matches!(fields.list("exist"), Ok(Some(_))) {
            // Whoever it is for complains of what is wrong with it.
            let _ = self.on_mau(fields, false, now);
        }
    }

    /// An update for this router, or (not `mine`) an absolute one on its way to another one.
    pub(super) fn on_mau(&mut self, fields: Fields<'_>, mine: bool, now: Instant) -> Result<(), Malformed> {
        // The text of this complaint names no field.
        let malformed = Malformed { module: LogModule::RouterMa, what: None };
        let Some((id, index)) = self.mobile_sender("MAU", fields, now).map_err(|_| malformed)? else { return Ok(()) };
        let seq = fields.int("mobile_seq").map_err(|_| malformed)?;
        let lists = [fields.list("exist"), fields.list("add"), fields.list("del")];
        let update = match lists {
            [Ok(Some(exist)), Ok(None), Ok(None)] => Update::Absolute(exist),
            [Ok(None), Ok(Some(add)), Ok(Some(delete))] => Update::Differential { add, delete },
            _ => return Err(malformed),
        };
        let kind = if matches!(update, Update::Absolute(_)) { "absolute" } else { "differential" };
        log!(LogModule::RouterMa, Level::Debug, "Received MAU ({kind}) from {id}, mobile_seq={seq}");
        let mut room = self.room();
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        if matches!(update, Update::Differential { .. }) && node.mobile_seq.checked_add(1) != Some(seq) {
            let have_seq = node.mobile_seq;
            if !std::mem::replace(&mut node.mar_sent, true) {
                self.send_mar(id, have_seq, now);
            }
            return Ok(());
        }
        self.unpublished = true;
        if seq <= 0 {
            // Nothing was ever advertised under such a number, so nothing may be kept under it.
            if node.forget_addresses() {
                self.output.push_back(MeshOutput::FlushNode { node: index });
            }
            return Ok(());
        }
        node.mobile_seq = seq;
        node.mar_sent = false;
        node.mar_retry.reset(now);
        // Only requests are answered with absolute ones.
        if mine && matches!(update, Update::Absolute(_)) && node.trip == RoundTrip::Asked {
            node.trip = RoundTrip::Answered;
        }
        let full = match update {
            Update::Absolute(exist) => {
                node.is_cut = false;
                room += node.unmap_others(exist, &mut self.output);
                node.map_all(exist, room, &mut self.output)
            }
            Update::Differential { add, delete } => {
                let full = node.map_all(add, room, &mut self.output);
                node.unmap_all(delete, &mut self.output);
                full
            }
        };
        node.is_cut |= full;
        let untried = node.is_to_be_tried().then(|| node.have_seq());
        let retry = node.mar_retry;
        self.want_retry(retry);
        if let Some(have_seq) = untried {
            self.send_mar(id, have_seq, now);
        }
        if full && self.complains(now) {
            let text = "advertises more addresses than there is room for, ignoring the rest";
            log!(LogModule::RouterMa, Level::Error, "Router {id} {text}");
        }
        Ok(())
    }
}

// === room ===

impl Mesh {
    /// Octets that there are for more addresses of other routers.
    fn room(&self) -> usize {
        let used: usize = self.nodes.iter().map(|node| node.octets).sum();
        self.all_room().saturating_sub(used)
    }

    /// Has routers be asked again that had not found room for all their addresses, when there is some.
    pub(super) fn use_room(&mut self, now: Instant) {
        if !self.nodes.iter().any(|node| node.is_cut) || self.room() < self.all_room() / 2 {
            return;
        }
        for node in self.nodes.iter_mut().filter(|node| node.is_cut) {
            node.advertised_addresses(now);
        }
        self.want_requests(now);
    }

    /// Octets that the addresses of all other routers may take.
    fn all_room(&self) -> usize {
        let by_memory = match BUDGET.ceiling() {
            0 => ROOM,
            ceiling => ceiling / SHARE,
        };
        self.mobile.room.unwrap_or(by_memory)
    }
}

/// What an address takes of the room.
const fn octets_of(key: &str) -> usize {
    ADDRESS_OCTETS + 2 * key.len()
}

// === impl MeshNode ===

impl MeshNode {
    /// Maps what is not mapped yet, as far as there is room. Returns whether there was too little.
    fn map_all(
        &mut self,
        advertised: &[Value],
        mut room: usize,
        output: &mut std::collections::VecDeque<MeshOutput>,
    ) -> bool {
        let index = self.index();
        let mut full = false;
        for Advertised { key, hint, mesh_id } in advertised.iter().filter_map(Advertised::parse) {
            let octets = octets_of(key);
            let has_room = self.addresses.len() < MAX_ADDRESSES && octets <= room;
            match self.addresses.get_mut(key) {
                Some(known) if known.as_deref() == mesh_id => continue,
                Some(known) => *known = mesh_id.map(str::to_owned),
                None if has_room => {
                    self.addresses.insert(key.to_owned(), mesh_id.map(str::to_owned));
                    self.octets += octets;
                    room -= octets;
                }
                None => {
                    full = true;
                    continue;
                }
            }
            output.push_back(MeshOutput::MapAddress { node: index, key: key.to_owned(), treatment: hint });
        }
        full
    }

    fn unmap_all(&mut self, gone: &[Value], output: &mut std::collections::VecDeque<MeshOutput>) {
        let index = self.index();
        for Advertised { key, .. } in gone.iter().filter_map(Advertised::parse) {
            if self.addresses.remove(key).is_some() {
                self.octets = self.octets.saturating_sub(octets_of(key));
                output.push_back(MeshOutput::UnmapAddress { node: index, key: key.to_owned() });
            }
        }
    }

    /// Returns how much room that makes.
    fn unmap_others(&mut self, kept: &[Value], output: &mut std::collections::VecDeque<MeshOutput>) -> usize {
        let before = self.octets;
        let index = self.index();
        let kept: HashSet<&str> = kept.iter().filter_map(Advertised::parse).map(|a| a.key).collect();
        for (key, _) in self.addresses.extract_if(|key, _| !kept.contains(key.as_str())) {
            self.octets = self.octets.saturating_sub(octets_of(&key));
            output.push_back(MeshOutput::UnmapAddress { node: index, key });
        }
        before - self.octets
    }
}

// === impl Advertised ===

impl<'a> Advertised<'a> {
    /// Reads an address descriptor of any length, or a bare key. Other things, and keys that are
    /// not advertised by rights, are skipped.
    fn parse(value: &'a Value) -> Option<Self> {
        let items = match value.as_list() {
            Some(items) => items,
            None => std::slice::from_ref(value),
        };
        let key = items.first()?.as_str().filter(|key| is_mobile(key))?;
        let hint = items.get(1).and_then(Value::as_i64).and_then(|hint| u8::try_from(hint).ok());
        Some(Self {
            key,
            hint: hint.filter(|hint| *hint <= 4).unwrap_or(NO_HINT),
            mesh_id: items.get(4).and_then(Value::as_str).filter(|id| id.len() <= MAX_MESH_ID),
        })
    }
}

/// Keys of classes that are synchronised (spec 8.1).
fn is_mobile(key: &str) -> bool {
    key.len() > 1 && key.starts_with(['M', 'N', 'H'])
}

// === impl MobileSync ===

impl MobileSync {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            seq: 0,
            local: HashMap::new(),
            pending: BTreeMap::new(),
            next_stamp: 0,
            changes: Throttle::new(pace),
            hold_until: Instant::default(),
            room: None,
        }
    }

    /// Tells nothing before then.
    pub(super) fn hold(&mut self, until: Instant) {
        self.hold_until = until;
        self.changes.hold(until);
    }

    /// Notes a change of a known address, in place of one that was noted before.
    fn change(&mut self, key: &str, change: Change, now: Instant) {
        self.unchange(key);
        let Some(local) = self.local.get_mut(key) else { return };
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        local.change = Some((change, stamp));
        self.pending.insert(stamp, key.to_owned());
        self.changes.note(now);
        self.changes.hold(self.hold_until);
    }

    fn unchange(&mut self, key: &str) {
        if let Some((_, stamp)) = self.local.get_mut(key).and_then(|local| local.change.take()) {
            self.pending.remove(&stamp);
        }
    }

    /// Has others told of a mesh id that they do not know, unless they are told of the address anyway.
    fn check_mesh_id(&mut self, key: &str, now: Instant) {
        let Some(local) = self.local.get(key) else { return };
        let news = local.mesh_id != local.told_mesh_id;
        match local.change {
            None if news => self.change(key, Change::Update, now),
            Some((Change::Update, _)) if !news => self.unchange(key),
            _ => {}
        }
    }

    /// What the others know after the last differential: with what is about to be deleted,
    /// without what is about to be added.
    fn told(&self) -> Vec<Descriptor> {
        let mut told: Vec<_> =
            self.local.iter().filter(|(_, local)| !matches!(local.change, Some((Change::Add, _)))).collect();
        told.sort_unstable_by_key(|(_, local)| local.born);
        told.into_iter().map(|(key, local)| local.describe(key.clone())).collect()
    }

    pub(super) fn check_invariants(&self) {
        debug_assert_eq!(self.pending.len(), self.local.values().filter(|l| l.change.is_some()).count());
    }
}

// === impl Local ===

impl Local {
    /// Describes the address for a differential.
    fn tell(&mut self, key: String) -> Descriptor {
        self.told_mesh_id.clone_from(&self.mesh_id);
        self.describe(key)
    }

    fn describe(&self, key: String) -> Descriptor {
        Descriptor { key, details: Some((self.treatment, self.in_links)), mesh_id: self.mesh_id.clone() }
    }
}
