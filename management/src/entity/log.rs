//! `log`: what a log module writes, and where.

use super::EntityKind;
use super::needs::{FileKind, Needs};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::log::{Format, logger};
use crate::runtime::Runtime;
use crate::schema::attribute::{flag, one_of, text};
use crate::schema::{EntityDef, EntityType, Identity, Origin};
use amqp_core::Value;
use router_engine::log::LogModule;

/// Names of the log modules; a test holds them against [`router_engine::log::LogModule`].
const MODULES: &[&str] = &[
    "ROUTER",
    "ROUTER_CORE",
    "ROUTER_HELLO",
    "ROUTER_LS",
    "ROUTER_MA",
    "MESSAGE",
    "SERVER",
    "AGENT",
    "CONTAINER",
    "ERROR",
    "POLICY",
    "HTTP",
    "CONN_MGR",
    "PYTHON",
    "PROTOCOL",
    "TCP_ADAPTOR",
    "HTTP_ADAPTOR",
    "FLOW_LOG",
    "ADDRESS_WATCH",
    "HTTP1_OBSERVER",
    "HTTP2_OBSERVER",
    "HTTP2_DECODER",
    "DEFAULT",
];

pub(super) static DEF: EntityDef = EntityDef {
    name: "log",
    operations: &["UPDATE"],
    identity: Identity::Attribute("module"),
    origin: Origin::Configured { rank: 0 },
    description: "What a log module writes, and where.",
    attributes: &[
        one_of("module", MODULES, "The module; DEFAULT stands for what others leave open.").required(),
        text("enable", "Levels to write: names, with + for a level and all above; none; default.").update(),
        flag("includeTimestamp", "Begin lines with the time.").update(),
        flag("includeSource", "End lines with the place in the source.").update(),
        text("outputFile", "stdout, stderr, syslog, or a file to append to.").update(),
        one_of("format", &["text", "json"], "How lines look: the known text, or an object of JSON each.").update(),
    ],
    ..EntityDef::CONFIGURATION
};

/// Settings of a log module. What is `None` follows the default module.
#[derive(Debug, Clone)]
pub struct LogParams {
    /// The module.
    pub module: LogModule,
    /// Levels to write.
    pub enable: Option<String>,
    /// Begin lines with the time.
    pub include_timestamp: Option<bool>,
    /// End lines with the place in the source.
    pub include_source: Option<bool>,
    /// Where lines go.
    pub output_file: Option<String>,
    /// How lines look.
    pub format: Option<Format>,
}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn needs(&self, a: &Attributes) -> Result<Needs, RouterError> {
        let named = a.text("outputFile").is_some_and(|name| !matches!(name, "stdout" | "stderr" | "syslog"));
        let files: &[_] = if named { &[("outputFile", FileKind::Writable)] } else { &[] };
        Ok(Needs { files, ..Needs::default() })
    }

    /// At the start of the router, which does not depend on its log.
    fn create(&self, _: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        logger().configure_at_start(&LogParams::new(&entity.attributes)?)
    }

    fn update(&self, _: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        logger().configure(&LogParams::new(&entity.attributes)?)
    }
}

impl LogParams {
    fn new(a: &Attributes) -> Result<Self, RouterError> {
        let flag = |name| a.get(name).and_then(Value::as_bool);
        let module = a.text("module").and_then(LogModule::from_name);
        Ok(Self {
            module: module.ok_or_else(|| RouterError::value("no such log module"))?,
            enable: a.owned("enable"),
            include_timestamp: flag("includeTimestamp"),
            include_source: flag("includeSource"),
            output_file: a.owned("outputFile"),
            format: a.text("format").and_then(Format::from_name),
        })
    }
}

/// Every log module has an entity; the default module's says what holds when nothing is configured.
pub(crate) fn with_all_modules(mut entities: Vec<EntityConfig>) -> Vec<EntityConfig> {
    for module in LogModule::ALL {
        let is_module =
            |e: &EntityConfig| e.ty == EntityType::Log && e.attributes.text("module") == Some(module.name());
        let at = match entities.iter().position(is_module) {
            Some(at) => at,
            None => {
                let ty = EntityType::Log;
                let attributes = Attributes::new().with("type", ty.full()).with("module", module.name());
                entities.push(EntityConfig { ty, attributes });
                entities.len() - 1
            }
        };
        if module == LogModule::Default {
            let attributes = &mut entities[at].attributes;
            for (name, value) in [
                ("enable", "info+".into()),
                ("includeTimestamp", true.into()),
                ("includeSource", false.into()),
                ("outputFile", "stderr".into()),
            ] {
                if attributes.get(name).is_none() {
                    attributes.set(name, Value::clone(&value));
                }
            }
        }
    }
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_modules_agree_with_the_facade() {
        assert!(LogModule::ALL.iter().map(|m| m.name()).eq(MODULES.iter().copied()));
    }

    fn log(module: &str) -> EntityConfig {
        let ty = EntityType::Log;
        EntityConfig { ty, attributes: Attributes::new().with("type", ty.full()).with("module", module) }
    }

    #[test]
    fn every_module_has_an_entity_once() {
        let all = with_all_modules(vec![log("AGENT"), log("DEFAULT")]);
        assert_eq!(all.len(), LogModule::ALL.len());
        assert_eq!(all[0].attributes.text("module"), Some("AGENT"));
        assert_eq!(all[0].attributes.text("enable"), None);
    }

    #[test]
    fn the_default_module_says_what_holds_when_nothing_is_configured() {
        let mut given = log("DEFAULT");
        given.attributes.set("enable", "debug+");
        let all = with_all_modules(vec![given]);
        let a = &all[0].attributes;
        assert_eq!((a.text("enable"), a.text("outputFile")), (Some("debug+"), Some("stderr")));
        assert_eq!(["includeTimestamp", "includeSource"].map(|name| a.flag(name)), [true, false]);
    }

    #[test]
    fn what_is_not_given_is_left_to_the_default_module() {
        let params = LogParams::new(&log("AGENT").attributes).expect("a module");
        assert_eq!((params.module, params.enable, params.output_file), (LogModule::Agent, None, None));
        assert_eq!((params.include_timestamp, params.include_source), (None, None));
        let given = log("AGENT").attributes.with("includeSource", false).with("outputFile", "x");
        let params = LogParams::new(&given).expect("a module");
        assert_eq!((params.include_source, params.output_file.as_deref()), (Some(false), Some("x")));
        let error = LogParams::new(&log("NONE").attributes).expect_err("no module");
        assert_eq!(error.to_string(), "Value: no such log module");
    }
}
