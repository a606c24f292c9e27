//! The health of servers, in the attributes of their connectors.

use super::column::{self, Column};
use crate::attributes::Attributes;
use crate::error::RouterError;
use crate::schema::Attribute;
use crate::schema::attribute::{number, one_of, text};
use adaptors::health::{Checks, Config, Ejections, Params, View};
use adaptors::tcp::Service;
use std::time::Duration;

pub(super) const CHECK_INTERVAL: Attribute =
    number("healthCheckIntervalMilliseconds", "From one check of the server to the next; 0 makes none.")
        .within(0, LONGEST)
        .or_number(0)
        .create();

pub(super) const CHECK_TIMEOUT: Attribute =
    number("healthCheckTimeoutMilliseconds", "Within this time a check has to succeed.")
        .within(1, LONGEST)
        .or_number(2000)
        .create();

pub(super) const CHECK_PATH: Attribute = text(
    "healthCheckPath",
    "The path that the server has to answer a GET request (HTTP/1.1) for with a status of 200 to 399; if empty, it need \
     only take connections.",
)
.or_text("")
.create();

pub(super) const CHECK_FAILURES: Attribute =
    number("healthCheckFailures", "Checks that fail in a row until the server gets nothing new.")
        .within(1, MOST)
        .or_number(2)
        .create();

pub(super) const CHECK_SUCCESSES: Attribute =
    number("healthCheckSuccesses", "Checks that succeed in a row until it does again.")
        .within(1, MOST)
        .or_number(1)
        .create();

pub(super) const EJECT_AFTER: Attribute = number(
    "ejectAfterFailures",
    "Connections to the server that fail in a row until it gets nothing new for a while; 0 never.",
)
.within(0, MOST)
.or_number(0)
.create();

pub(super) const EJECT_TIME: Attribute =
    number("ejectSeconds", "How long that is the first time; up to ten times as long when connections fail again.")
        .within(1, LONGEST / 1000)
        .or_number(30)
        .create();

pub(super) const STATUS: Attribute =
    one_of("healthStatus", &["unknown", "up", "down", "ejected"], "What checks and connections tell of the server.");

pub(super) const REASON: Attribute = text("healthReason", "Why the server gets nothing new.");

/// A day, in milliseconds.
const LONGEST: i64 = 86_400_000;

/// The most that is counted to.
const MOST: i64 = 1000;

/// The shortest interval. What is quicker tells nothing more, and is most of what such a server does.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest path.
const PATH_MAX: usize = 1000;

/// Live attributes.
const COLUMNS: &[Column<View>] =
    &[(STATUS.name, |view| view.status.name().into()), (REASON.name, |view| view.reason.as_str().into())];

/// Live attributes of a connector.
pub(super) fn shown(service: &Service) -> Attributes {
    column::shown(COLUMNS, &service.health().map(|health| health.view()).unwrap_or_default())
}

/// How it is told whether the server is well.
pub(super) fn config(a: &Attributes) -> Result<Config, RouterError> {
    let milliseconds = |attribute: Attribute| Duration::from_millis(a.count(attribute.name));
    let number = |attribute: Attribute| u32::try_from(a.count(attribute.name)).unwrap_or(u32::MAX);
    let interval = Some(milliseconds(CHECK_INTERVAL)).filter(|interval| !interval.is_zero());
    let ejects_after = Some(number(EJECT_AFTER)).filter(|failures| *failures > 0);
    let params = Params {
        checks: interval.map(|interval| Checks {
            interval: interval.max(SHORTEST),
            failures: number(CHECK_FAILURES),
            successes: number(CHECK_SUCCESSES),
        }),
        ejections: ejects_after.map(|failures| Ejections { failures, time: a.seconds(EJECT_TIME.name) }),
    };
    let path = a.owned(CHECK_PATH.name).filter(|path| !path.is_empty());
    if let Some(path) = &path {
        check_path(path, params.checks.is_some())?;
    }
    Ok(Config { params, timeout: milliseconds(CHECK_TIMEOUT), path })
}

/// Nothing but a path of this server gets into a request; and a path that is asked for is meant to be.
fn check_path(path: &str, has_checks: bool) -> Result<(), RouterError> {
    let refused = |text: String| Err(RouterError::configuration(text).of_attributes());
    let is_path = path.starts_with('/') && path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#');
    if !is_path || path.len() > PATH_MAX {
        let what = format!("begins with '/' and has {PATH_MAX} visible ASCII characters at most, '#' not among them");
        return refused(format!("{} {what}", CHECK_PATH.name));
    }
    if !has_checks {
        return refused(format!("{} is for checks, which need {}", CHECK_PATH.name, CHECK_INTERVAL.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType;
    use crate::entity::testing::completed;
    use amqp_core::Value;

    fn read(given: &[(&'static str, Value)]) -> Result<Config, String> {
        config(&completed(EntityType::TcpConnector, given)).map_err(|error| error.to_string())
    }

    #[test]
    fn nobody_looks_unless_told_to() {
        assert!(read(&[]).expect("valid").params.is_off());
        assert!(read(&[("healthCheckFailures", 3.into()), ("ejectSeconds", 3.into())]).expect("valid").params.is_off());
    }

    #[test]
    fn checks_and_ejections_have_defaults() {
        let given = [("healthCheckIntervalMilliseconds", 500.into()), ("ejectAfterFailures", 3.into())];
        let config = read(&given).expect("valid");
        let interval = Duration::from_millis(500);
        let params = Params {
            checks: Some(Checks { interval, failures: 2, successes: 1 }),
            ejections: Some(Ejections { failures: 3, time: Duration::from_secs(30) }),
        };
        assert_eq!(config, Config { params, timeout: Duration::from_secs(2), path: None });
        let quick = read(&[("healthCheckIntervalMilliseconds", 1.into())]).expect("valid");
        assert_eq!(quick.params.checks.expect("checks").interval, SHORTEST);
    }

    #[test]
    fn a_path_is_one() {
        let of = |path: &str, interval: i64| {
            let given = [("healthCheckPath", path.into()), ("healthCheckIntervalMilliseconds", interval.into())];
            read(&given).map(|config| config.path)
        };
        assert_eq!(of("/healthz?full=1&x=%20", 1000), Ok(Some("/healthz?full=1&x=%20".to_owned())));
        assert_eq!(of("", 0), Ok(None));
        for path in ["healthz", "http://h/", "/a b", "/a\r\nX: y", "/ä", "/a#b", &format!("/{}", "a".repeat(1000))] {
            let refused = of(path, 1000).expect_err(path);
            assert!(refused.starts_with("Configuration: healthCheckPath begins with"), "{refused}");
        }
        let refused = of("/healthz", 0).expect_err("no checks");
        assert!(refused.ends_with("which need healthCheckIntervalMilliseconds"), "{refused}");
    }
}
