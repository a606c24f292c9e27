//! Parameters of `log`.

use super::owned;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use amqp_core::Value;
use router_engine::log::LogModule;

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
}

impl TryFrom<&EntityConfig> for LogParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        let flag = |a: &Attributes, name| a.get(name).and_then(Value::as_bool);
        let module = a.text("module").and_then(LogModule::from_name);
        Ok(Self {
            module: module.ok_or_else(|| RouterError::value("no such log module"))?,
            enable: owned(a, "enable"),
            include_timestamp: flag(a, "includeTimestamp"),
            include_source: flag(a, "includeSource"),
            output_file: owned(a, "outputFile"),
        })
    }
}
