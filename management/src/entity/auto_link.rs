//! `router.config.autoLink`: a link that is attached whenever a certain peer is connected.

use super::column::Column;
use super::numbered::{self, Config, Copied, Copies};
use super::table::{Core, Key, Rows, Table, not_implemented, paged};
use super::{EntityKind, EntityType};
use crate::agent::{Backend, Failure, Request, Response};
use crate::attributes::Attributes;
use crate::schema::attribute::{one_of, text};
use crate::schema::{EntityDef, Origin};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::action::Direction;
use router_engine::core::snapshot::Page;
use router_engine::core::{AutoLinkConfig, AutoLinkPeer, AutoLinkState, AutoLinkStatus};
use router_engine::log::{Level, LogModule};
use std::marker::PhantomData;

pub(super) static DEF: EntityDef = EntityDef {
    name: "router.config.autoLink",
    operations: &["CREATE", "DELETE"],
    origin: Origin::Configured { rank: 6 },
    description: "A link that the router attaches whenever a certain peer is connected.",
    attributes: &[
        text("address", "The address inside the network.").create(),
        one_of("direction", &["in", "out"], "Whether the router receives or sends.").required().create(),
        text("containerId", "The container id of the peer.").create(),
        text("connection", "The name of the listener or connector of the peer.").create(),
        text("externalAddress", "The address at the peer, when another.").create(),
        text("linkRef", "The link that is attached."),
        one_of(
            "operStatus",
            &["inactive", "attaching", "failed", "active", "quiescing", "idle"],
            "How the link stands.",
        ),
        text("lastError", "Why the last attempt failed."),
    ],
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn table(&self) -> Option<&'static dyn Table> {
        Some(&Self)
    }

    fn copied(&self) -> Option<&'static dyn Copied> {
        Some(&Copies::<AutoLinkConfig>(PhantomData))
    }
}

impl Rows for Kind {
    type Row = (u64, AutoLinkConfig, AutoLinkStatus);

    const TYPE: EntityType = EntityType::AutoLink;

    const COLUMNS: &'static [Column<Self::Row>] = &[
        ("name", |(_, link, _)| link.name.as_deref().into()),
        ("identity", |(number, ..)| number.to_string().into()),
        ("type", |_| Self::TYPE.full().into()),
        ("address", |(_, link, _)| link.address.as_deref().into()),
        ("direction", |(_, link, _)| direction(link).into()),
        ("connection", |(_, link, _)| connection(link).into()),
        ("containerId", |(_, link, _)| container_id(link).into()),
        ("externalAddress", |(_, link, _)| link.external_address.as_deref().into()),
        ("linkRef", |(.., status)| status.link.map(|link| link.to_string()).into()),
        ("operStatus", |(.., status)| state(status.state).into()),
        ("lastError", |(.., status)| status.last_error.as_deref().into()),
    ];

    fn page(&self, core: &Core<'_>, page: Page) -> Vec<Self::Row> {
        paged(core.numbered.all::<AutoLinkConfig>().map(|link| row(core, link)), page)
    }

    fn find(&self, core: &Core<'_>, key: Key<'_>) -> Option<Self::Row> {
        core.numbered.find::<AutoLinkConfig>(key).map(|link| row(core, link))
    }

    fn create_row(&self, core: &mut Core<'_>, request: &Request) -> Response {
        numbered::create::<AutoLinkConfig, Self>(self, core, request)
    }

    fn update_row(&self, _: &mut Core<'_>, _: &Request) -> Response {
        not_implemented(Self::TYPE, "UPDATE")
    }

    fn delete_row(&self, core: &mut Core<'_>, request: &Request) -> Response {
        numbered::delete::<AutoLinkConfig>(core, request)
    }
}

fn row(core: &Core<'_>, (number, link): (u64, &AutoLinkConfig)) -> (u64, AutoLinkConfig, AutoLinkStatus) {
    (number, link.clone(), core.backend.auto_link_status(number))
}

impl Config for AutoLinkConfig {
    const TYPE: EntityType = EntityType::AutoLink;

    /// Spec `management-protocol.md` 4.5.
    fn from_body(name: Option<&str>, body: &Map) -> Result<Self, String> {
        let text = |key| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let peer = match (text("connection"), text("containerId")) {
            (Some(_), Some(_)) => {
                return Err("Both connection and containerId cannot be specified. Specify only one".to_owned());
            }
            (connection, None) => connection.map(AutoLinkPeer::Connection),
            (None, container) => container.map(AutoLinkPeer::Container),
        };
        let direction = body.get("direction").filter(|v| !v.is_null());
        let direction = match direction.ok_or("direction field is mandatory")?.as_str() {
            Some("in") => Direction::In,
            Some("out") => Direction::Out,
            _ => return Err("Invalid value for 'direction'".to_owned()),
        };
        let address = text("address");
        if address.is_none() && direction == Direction::Out {
            return Err("address field is only optional if direction is incoming".to_owned());
        }
        let external_address = text("externalAddress");
        Ok(Self { name: name.map(str::to_owned), direction, address, external_address, peer })
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn apply(&self, number: u64, backend: &mut dyn Backend) -> Result<(), Failure> {
        backend.add_auto_link(number, self.clone());
        router_engine::log!(
            LogModule::ConnMgr,
            Level::Info,
            "Configured autolink with address={}, direction={} and {}",
            self.address.as_deref().unwrap_or("<anonymous>"),
            direction(self),
            peer(self)
        );
        Ok(())
    }

    fn withdraw(&self, number: u64, backend: &mut dyn Backend) {
        backend.remove_auto_link(number);
        router_engine::log!(
            LogModule::ConnMgr,
            Level::Info,
            "Deleted autolink with address={}, external_address={}, direction={} and {}",
            self.address.as_deref().unwrap_or(NOTHING),
            self.external_address.as_deref().unwrap_or(NOTHING),
            direction(self),
            peer(self)
        );
    }

    fn load(a: &Attributes, core: &mut Core<'_>) {
        let made = Self::from_body(a.text("name"), &a.clone().into_map());
        let made = made.and_then(|link| core.add(link).map_err(|failure| failure.text));
        if let Err(text) = made {
            router_engine::log!(LogModule::RouterCore, Level::Error, "Error configuring autoLink: {text}");
        }
    }
}

/// Stands in the log for what an auto-link does not have.
const NOTHING: &str = "(null)";

const fn direction(link: &AutoLinkConfig) -> &'static str {
    match link.direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

fn connection(link: &AutoLinkConfig) -> Option<&str> {
    match &link.peer {
        Some(AutoLinkPeer::Connection(name)) => Some(name),
        _ => None,
    }
}

fn container_id(link: &AutoLinkConfig) -> Option<&str> {
    match &link.peer {
        Some(AutoLinkPeer::Container(id)) => Some(id),
        _ => None,
    }
}

/// How the log tells whom it is for.
fn peer(link: &AutoLinkConfig) -> String {
    match connection(link) {
        Some(connection) => format!("connection={connection}"),
        None => format!("containerId={}", container_id(link).unwrap_or(NOTHING)),
    }
}

const fn state(state: AutoLinkState) -> &'static str {
    match state {
        AutoLinkState::Inactive => "inactive",
        AutoLinkState::Attaching => "attaching",
        AutoLinkState::Active => "active",
        AutoLinkState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_make_no_sense() {
        let refused = |body: Map| AutoLinkConfig::from_body(None, &body).expect_err("must be refused");
        assert_eq!(refused(Map::new()), "direction field is mandatory");
        assert_eq!(refused(Map::new().with("direction", "up")), "Invalid value for 'direction'");
        assert_eq!(
            refused(Map::new().with("direction", "out")),
            "address field is only optional if direction is incoming"
        );
        assert_eq!(
            refused(Map::new().with("connection", "a").with("containerId", "b")),
            "Both connection and containerId cannot be specified. Specify only one"
        );
    }

    use crate::agent::Status;
    use crate::agent::fake::{agent, agent_of, call, field, refused};
    use crate::entity::table::row_map;
    use crate::notation::Literal;

    #[test]
    fn all_columns() {
        let body = Map::new().with("direction", "out").with("address", "a").with("containerId", "c");
        let link = AutoLinkConfig::from_body(Some("n"), &body.with("externalAddress", "e")).expect("valid");
        let status =
            AutoLinkStatus { link: Some(9), state: AutoLinkState::Failed, last_error: Some("because".to_owned()) };
        assert_eq!(
            Literal(&row_map::<Kind>(&(4, link, status)).into()).to_string(),
            "{'name': 'n', 'identity': '4', 'type': 'io.skupper.router.router.config.autoLink', 'address': 'a', \
             'direction': 'out', 'connection': None, 'containerId': 'c', 'externalAddress': 'e', 'linkRef': '9', \
             'operStatus': 'failed', 'lastError': 'because'}"
        );
    }

    #[test]
    fn they_come_and_go_by_their_full_type_name() {
        let mut agent = agent();
        let ty = Kind::TYPE.full();
        let request = |operation, name| [("operation", operation), ("type", ty.as_str()), ("name", name)];
        let body = || Map::new().with("direction", "in").with("connection", "c0");
        let created = call(&mut agent, &request("CREATE", "a"), body());
        // The address in the file has the first number.
        assert_eq!((created.status, field(&created, "identity").as_str()), (Status::Created, Some("2")));
        assert_eq!(field(&created, "operStatus").as_str(), Some("inactive"));
        let taken = (400, "Name conflicts with an existing entity".to_owned());
        assert_eq!(refused(&mut agent, &request("CREATE", "a"), body()), taken);
        let metrics = [("operation", "QUERY"), ("entityType", "io.skupper.router.routerMetrics")];
        let count = Map::new().with("attributeNames", vec!["autoLinkCount".into()]);
        assert_eq!(Literal(field(&call(&mut agent, &metrics, count), "results")).to_string(), "[[1]]");
        assert_eq!(call(&mut agent, &request("DELETE", "a"), Map::new()).status, Status::NoContent);
        assert_eq!(refused(&mut agent, &request("DELETE", "a"), Map::new()), (404, "Not Found".to_owned()));
        let nameless = [("operation", "DELETE"), ("type", ty.as_str())];
        assert_eq!(refused(&mut agent, &nameless, Map::new()), (400, "No name or identity provided".to_owned()));
    }

    #[test]
    fn one_of_a_file_that_makes_no_sense_leaves_only_its_copy() {
        let mut agent = agent_of("autoLink {\n direction: out\n}\nautoLink {\n direction: in\n address: a\n}\n");
        let query = |ty| [("operation", "QUERY"), ("entityType", ty)];
        let columns = || Map::new().with("attributeNames", vec!["identity".into(), "address".into()]);
        let table = call(&mut agent, &query("io.skupper.router.router.config.autoLink"), columns());
        assert_eq!(Literal(field(&table, "results")).to_string(), "[['1', 'a']]");
        let copies = call(&mut agent, &query("router.config.autoLink"), columns());
        assert_eq!(Literal(field(&copies, "results")).to_string(), "[['autoLink/0', None], ['autoLink/1', 'a']]");
    }
}
