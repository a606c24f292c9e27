//! `router.config.address`: how messages to a family of addresses are treated.

use super::column::Column;
use super::numbered::{self, Config, Copied, Copies};
use super::table::{Core, Key, Rows, Table, not_implemented, paged};
use super::{EntityKind, EntityType};
use crate::agent::{Backend, Failure, Request, Response};
use crate::attributes::Attributes;
use crate::schema::attribute::{number, one_of, text};
use crate::schema::{EntityDef, Origin};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::AddressConfig;
use router_engine::core::snapshot::Page;
use router_engine::forward::Treatment;
use router_engine::log::{Level, LogModule};
use std::marker::PhantomData;

/// Distributions an operator can choose.
pub(super) const DISTRIBUTIONS: &[&str] = &["multicast", "closest", "balanced", "unavailable"];

pub(super) static DEF: EntityDef = EntityDef {
    name: "router.config.address",
    operations: &["CREATE", "DELETE"],
    origin: Origin::Configured { rank: 5 },
    description: "How messages to a family of addresses are treated.",
    attributes: &[
        text("prefix", "Covers the address and all below it.").create(),
        text("pattern", "Covers addresses that match, with * for one token and # for any number.").create(),
        one_of("distribution", DISTRIBUTIONS, "Which consumers get a message.").or_text("balanced").create(),
        number("priority", "The priority of messages that carry none.").create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// Highest priority of messages.
const MAX_PRIORITY: i64 = 9;

/// An address configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigAddress {
    /// The name, when one was given.
    name: Option<String>,
    /// The pattern; a prefix `p` is the pattern `p/#`.
    pattern: String,
    /// Given as a prefix.
    is_prefix: bool,
    distribution: Treatment,
    /// Priority of messages without one; negative is none.
    priority: i64,
}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn table(&self) -> Option<&'static dyn Table> {
        Some(&Self)
    }

    fn copied(&self) -> Option<&'static dyn Copied> {
        Some(&Copies::<ConfigAddress>(PhantomData))
    }
}

impl Rows for Kind {
    type Row = (u64, ConfigAddress);

    const TYPE: EntityType = EntityType::ConfigAddress;

    const COLUMNS: &'static [Column<Self::Row>] = &[
        ("name", |(_, a)| a.name.as_deref().into()),
        ("identity", |(number, _)| number.to_string().into()),
        ("type", |_| Self::TYPE.full().into()),
        ("prefix", |(_, a)| a.prefix().into()),
        ("distribution", |(_, a)| a.distribution().into()),
        ("pattern", |(_, a)| (!a.is_prefix).then_some(a.pattern.as_str()).into()),
        ("priority", |(_, a)| Value::Int(i32::try_from(a.priority).unwrap_or(-1))),
    ];

    fn page(&self, core: &Core<'_>, page: Page) -> Vec<Self::Row> {
        paged(core.numbered.all::<ConfigAddress>().map(|(number, a)| (number, a.clone())), page)
    }

    fn find(&self, core: &Core<'_>, key: Key<'_>) -> Option<Self::Row> {
        core.numbered.find::<ConfigAddress>(key).map(|(number, a)| (number, a.clone()))
    }

    fn create_row(&self, core: &mut Core<'_>, request: &Request) -> Response {
        numbered::create::<ConfigAddress, Self>(self, core, request)
    }

    fn update_row(&self, _: &mut Core<'_>, _: &Request) -> Response {
        not_implemented(Self::TYPE, "UPDATE")
    }

    fn delete_row(&self, core: &mut Core<'_>, request: &Request) -> Response {
        numbered::delete::<ConfigAddress>(core, request)
    }
}

impl Config for ConfigAddress {
    const TYPE: EntityType = EntityType::ConfigAddress;

    /// Spec `management-protocol.md` 4.4.
    fn from_body(name: Option<&str>, body: &Map) -> Result<Self, String> {
        let given = |key| body.get(key).filter(|v| !v.is_null());
        let (key, label, value) = match (given("prefix"), given("pattern")) {
            (None, None) => return Err("Either a 'prefix' or 'pattern' attribute must be provided".to_owned()),
            (Some(_), Some(_)) => return Err("Cannot specify both a 'prefix' and a 'pattern' attribute".to_owned()),
            (Some(prefix), None) => ("prefix", "Prefix", prefix),
            (None, Some(pattern)) => ("pattern", "Pattern", pattern),
        };
        let text = value.as_str().filter(|t| !t.is_empty());
        let text = text.ok_or_else(|| format!("{label} must be a non-empty string type"))?;
        let text = text.trim_matches(['.', '/']);
        if text.is_empty() {
            return Err(format!("{label} invalid - no tokens"));
        }
        let priority = given("priority").map_or(Some(-1), Value::as_i64).unwrap_or(-1);
        if priority > MAX_PRIORITY {
            return Err("Priority value, if present, must be between 0 and QDR_MAX_PRIORITY".to_owned());
        }
        let is_prefix = key == "prefix";
        Ok(Self {
            name: name.map(str::to_owned),
            pattern: if is_prefix { format!("{text}/#") } else { text.to_owned() },
            is_prefix,
            distribution: treatment(given("distribution").and_then(Value::as_str)),
            priority,
        })
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn apply(&self, _: u64, backend: &mut dyn Backend) -> Result<(), Failure> {
        let config = AddressConfig { treatment: self.distribution, priority: u8::try_from(self.priority).ok() };
        if !backend.add_address(&self.pattern, config) {
            return Err(Failure::bad_request(TAKEN));
        }
        self.log("Created");
        Ok(())
    }

    fn withdraw(&self, _: u64, backend: &mut dyn Backend) {
        backend.remove_address(&self.pattern);
        self.log("Deleted");
    }

    fn load(a: &Attributes, core: &mut Core<'_>) {
        let warn = |text: &str| router_engine::log!(LogModule::Router, Level::Warning, "{text}");
        match (a.text("prefix"), a.text("pattern")) {
            (Some(prefix), Some(pattern)) => warn(&format!(
                "Cannot set both 'prefix' and 'pattern': ignoring configured address {prefix}, {pattern}"
            )),
            (None, None) => warn("Must set either 'prefix' or 'pattern' attribute: ignoring configured address"),
            (prefix, pattern) => {
                let made = Self::from_body(a.text("name"), &a.clone().into_map()).map_err(Failure::bad_request);
                if let Err(failure) = made.and_then(|config| core.add(config)) {
                    log_failure(&failure, prefix, pattern);
                }
            }
        }
    }
}

/// There is one for the pattern already.
const TAKEN: &str = "Already exists";

fn log_failure(failure: &Failure, prefix: Option<&str>, pattern: Option<&str>) {
    let shown = prefix.map(|p| format!("{p}/#")).or_else(|| pattern.map(str::to_owned)).unwrap_or_default();
    if failure.text == TAKEN {
        let text = format!("{TAKEN}: Duplicate pattern '{shown}' not added to parse tree");
        router_engine::log!(LogModule::Error, Level::Error, "{text}");
    } else {
        router_engine::log!(LogModule::Agent, Level::Error, "{}", failure.text);
    }
}

impl ConfigAddress {
    /// The prefix, when given as one.
    fn prefix(&self) -> Option<&str> {
        self.pattern.strip_suffix("/#").filter(|_| self.is_prefix)
    }

    /// The word for the distribution; unavailable shows as nothing.
    fn distribution(&self) -> Option<&'static str> {
        Some(self.distribution.as_str()).filter(|_| self.distribution != Treatment::Unavailable)
    }

    fn log(&self, what: &str) {
        let label = if self.is_prefix { "Prefix" } else { "Pattern" };
        let distribution = self.distribution().unwrap_or("(null)");
        router_engine::log!(
            LogModule::ConnMgr,
            Level::Info,
            "{what} address with {label}={} and distribution={distribution}",
            self.pattern
        );
    }
}

/// The treatment that a word stands for; balanced when it is none.
pub(crate) fn treatment(word: Option<&str>) -> Treatment {
    match word {
        Some("multicast") => Treatment::Multicast,
        Some("closest") => Treatment::Closest,
        Some("unavailable") => Treatment::Unavailable,
        _ => Treatment::Balanced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Status;
    use crate::agent::fake::{agent, agent_of, call, field, refused};
    use crate::entity::table::row_map;
    use crate::notation::Literal;

    #[test]
    fn bodies_that_make_no_sense() {
        let refused = |body: Map| ConfigAddress::from_body(None, &body).expect_err("must be refused");
        assert_eq!(refused(Map::new()), "Either a 'prefix' or 'pattern' attribute must be provided");
        assert_eq!(
            refused(Map::new().with("prefix", "a").with("pattern", "b")),
            "Cannot specify both a 'prefix' and a 'pattern' attribute"
        );
        assert_eq!(refused(Map::new().with("prefix", "")), "Prefix must be a non-empty string type");
        assert_eq!(refused(Map::new().with("pattern", "./.")), "Pattern invalid - no tokens");
        assert_eq!(
            refused(Map::new().with("pattern", "a").with("priority", 10)),
            "Priority value, if present, must be between 0 and QDR_MAX_PRIORITY"
        );
        let params = ConfigAddress::from_body(None, &Map::new().with("prefix", "/a.b/")).expect("valid");
        assert_eq!((params.pattern.as_str(), params.prefix(), params.priority), ("a.b/#", Some("a.b"), -1));
    }

    #[test]
    fn addresses_are_configured() {
        let mut agent = agent();
        let ty = Kind::TYPE.full();
        let request = |operation, name| [("operation", operation), ("type", ty.as_str()), ("name", name)];
        let created = call(&mut agent, &request("CREATE", "a"), Map::new().with("pattern", "x.*"));
        assert_eq!(created.status, Status::Created);
        assert_eq!(field(&created, "identity").as_str(), Some("2"));
        assert_eq!((field(&created, "prefix"), field(&created, "priority")), (&Value::Null, &Value::Int(-1)));
        let duplicate = call(&mut agent, &request("CREATE", "b"), Map::new().with("pattern", "x.*"));
        assert_eq!((duplicate.status.code(), duplicate.description.as_str()), (400, "Already exists"));
        assert_eq!(duplicate.body, Value::Null);
        assert_eq!(
            refused(&mut agent, &request("CREATE", "a"), Value::Null),
            (400, "Name conflicts with an existing entity".to_owned())
        );
        assert_eq!(
            refused(&mut agent, &request("CREATE", "c"), Value::Null),
            (400, "Body of request must be a map".to_owned())
        );
        assert_eq!(call(&mut agent, &request("DELETE", "a"), Value::Null).status, Status::NoContent);
        assert_eq!(refused(&mut agent, &request("READ", "a"), Value::Null), (404, "Not Found".to_owned()));
        // The entry of the file is in the table, by its file name, and as a copy among the other entities.
        assert_eq!(call(&mut agent, &request("READ", "address/0"), Value::Null).status, Status::Ok);
        let copy = call(&mut agent, &[("operation", "READ"), ("identity", "address/0")], Value::Null);
        assert_eq!(field(&copy, "prefix").as_str(), Some("multicast"));
    }

    #[test]
    fn all_columns() {
        let shown = |body: Map| {
            let config = ConfigAddress::from_body(None, &body).expect("valid");
            Literal(&row_map::<Kind>(&(1, config)).into()).to_string()
        };
        assert_eq!(
            shown(Map::new().with("prefix", "a").with("distribution", "closest").with("priority", 9)),
            "{'name': None, 'identity': '1', 'type': 'io.skupper.router.router.config.address', 'prefix': 'a', \
             'distribution': 'closest', 'pattern': None, 'priority': 9}"
        );
        assert_eq!(
            shown(Map::new().with("pattern", "a.#").with("distribution", "unavailable")),
            "{'name': None, 'identity': '1', 'type': 'io.skupper.router.router.config.address', 'prefix': None, \
             'distribution': None, 'pattern': 'a.#', 'priority': -1}"
        );
    }

    #[test]
    fn every_distribution_has_its_treatment() {
        for word in DISTRIBUTIONS {
            assert_eq!(treatment(Some(word)).as_str(), *word);
        }
        assert_eq!(treatment(None), Treatment::Balanced);
    }

    #[test]
    fn those_of_a_file_that_make_no_sense_leave_only_copies() {
        let file = "address {\n prefix: a\n}\naddress {\n prefix: a\n}\naddress {\n}\naddress {\n prefix: b\n \
                    pattern: c\n}\naddress {\n pattern: /\n}\naddress {\n prefix: d\n priority: 10\n}\n";
        let mut agent = agent_of(file);
        let query = |ty| [("operation", "QUERY"), ("entityType", ty)];
        let columns = || Map::new().with("attributeNames", vec!["identity".into(), "prefix".into()]);
        let table = call(&mut agent, &query("io.skupper.router.router.config.address"), columns());
        assert_eq!(Literal(field(&table, "results")).to_string(), "[['1', 'a']]");
        let copies = call(&mut agent, &query("router.config.address"), columns());
        assert_eq!(field(&copies, "results").as_list().map(<[_]>::len), Some(6));
        assert_eq!(agent.backend().patterns.iter().collect::<Vec<_>>(), ["a/#"]);
    }

    #[test]
    fn what_is_deleted_may_come_again() {
        let mut agent = agent();
        let ty = Kind::TYPE.full();
        let request = |operation, key, value| [("operation", operation), ("type", ty.as_str()), (key, value)];
        for number in ["2", "3"] {
            let created = call(&mut agent, &request("CREATE", "name", "a"), Map::new().with("pattern", "x"));
            assert_eq!((created.status, field(&created, "identity").as_str()), (Status::Created, Some(number)));
            let deleted = call(&mut agent, &request("DELETE", "identity", number), Map::new());
            assert_eq!((deleted.status, agent.backend().patterns.contains("x")), (Status::NoContent, false));
        }
    }
}
