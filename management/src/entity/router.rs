//! `router`: who the router is and how it is tuned.

use super::EntityKind;
use super::config_address::{DISTRIBUTIONS, treatment};
use crate::agent::Failure;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::log::{TimeFormat, logger};
use crate::runtime::Runtime;
use crate::schema::attribute::{flag, number, number_text, one_of, path, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::amqp::DataConnections;
use adaptors::random;
use router_engine::core::{Mode, RouterConfig};
use router_engine::log::{Level, LogModule};
use router_engine::mesh::Timing;
use router_engine::rng::SecretRng;
use std::time::Duration;

pub(super) static DEF: EntityDef = EntityDef {
    name: "router",
    singleton: true,
    identity: Identity::Attribute("id"),
    origin: Origin::Configured { rank: 1 },
    description: "Who the router is and how it is tuned as a whole.",
    attributes: &[
        text("id", "The router id; no two routers of a network may share one. Generated when absent.").create(),
        text("vanId", "Older name of the tenantId of the network entity.").create(),
        one_of(
            "mode",
            &["standalone", "interior", "edge"],
            "Alone, part of the interior mesh, or attached to it from the edge.",
        )
        .or_text("standalone")
        .create(),
        number_text("area", "Reserved.").or_number(0),
        text("version", "The release that runs."),
        text("hostName", "The name of the host that the router runs on."),
        number("helloIntervalSeconds", "How often neighbours are greeted.").natural().or_number(1).create(),
        number("helloMaxAgeSeconds", "A neighbour silent for this long is lost.").natural().or_number(3).create(),
        number("raIntervalSeconds", "How often the router advertises itself when nothing changes.")
            .natural()
            .or_number(30)
            .create(),
        number("raIntervalFluxSeconds", "How often the router advertises itself while the topology changes.")
            .natural()
            .or_number(4)
            .create(),
        number("remoteLsMaxAgeSeconds", "Link state of a router not heard of for this long is dropped.")
            .natural()
            .or_number(60)
            .create(),
        number("unreachableHoldoffSeconds", "How long addresses of a router are kept after it became unreachable.")
            .natural()
            .or_number(1)
            .create(),
        number("workerThreads", "Threads that do the work.").natural().or_number(4).create(),
        // Not read: nothing is dumped.
        path("debugDumpFile", "Where debug dumps go.").create(),
        path("saslConfigDir", "The directory of the SASL configuration.").create(),
        text("saslConfigName", "The name of the SASL configuration, without its extension.")
            .or_text("skrouterd")
            .create(),
        flag("timestampsInUTC", "Log in UTC, not in local time.").create(),
        text("timestampFormat", "The strftime pattern of times in logs.").create(),
        one_of("defaultDistribution", DISTRIBUTIONS, "The distribution of addresses that no address entity covers.")
            .or_text("balanced")
            .create(),
        text("metadata", "Text that the router shows but does not use.").create(),
        number_text(
            "dataConnectionCount",
            "Connections that carry streams beside each inter-router connection; auto chooses.",
        )
        .or_text("auto")
        .create(),
        number(
            "streamRetryMilliseconds",
            "How long a TCP client's stream that failed before it reached a server is sent again, a tcpListener or \
             httpListener stays open after its last consumer went, and an HTTP request waits for one; 0 not at all.",
        )
        .within(0, 60_000)
        .or_number(2000)
        .create(),
        flag("dropTcpConnections", "Cut the connections of a service when its listener or connector is deleted.")
            .or_flag(true)
            .create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// No router does more with more threads than this.
const MAX_WORKERS: usize = 1024;

/// What the router entity says of the router as a whole.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What the core is made from. The network entity has its part, too.
    pub(crate) core: RouterConfig,
    /// Threads that do the work, at least one.
    pub(crate) worker_threads: usize,
    /// Directory of the SASL configuration.
    pub(crate) sasl_config_dir: Option<String>,
    /// Name of the SASL configuration.
    pub(crate) sasl_config_name: String,
    /// Connections that carry streams beside each inter-router connection.
    pub(crate) data_connections: DataConnections,
    /// Cut TCP flows when their listener or connector is deleted.
    pub(crate) drop_tcp_connections: bool,
}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn check(&self, attributes: &Attributes) -> Result<(), Failure> {
        let id = attributes.text("id").unwrap_or_default();
        match id.chars().find(|c| c.is_control() || c.is_whitespace()) {
            None => Ok(()),
            Some(c) => Err(Failure::internal(
                "AttributeError",
                format!("Router id attribute containing character '{c}' in id '{id}' is disallowed."),
            )),
        }
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let a = &entity.attributes;
        logger().set_time(TimeFormat::new(a.text("timestampFormat"), a.flag("timestampsInUTC")));
        runtime.settings = Some(Settings::new(a));
        Ok(())
    }

    fn live(&self, _: &Runtime, _: &EntityConfig) -> Attributes {
        Attributes::new().with("hostName", host_name())
    }
}

/// Threads that do the work, at least one.
pub(crate) fn worker_threads(attributes: &Attributes) -> usize {
    usize::try_from(attributes.count("workerThreads")).unwrap_or(1).clamp(1, MAX_WORKERS)
}

impl Settings {
    fn new(a: &Attributes) -> Self {
        Self {
            core: core_config(a),
            worker_threads: worker_threads(a),
            sasl_config_dir: a.owned("saslConfigDir"),
            sasl_config_name: a.string("saslConfigName"),
            data_connections: data_connections(a.text("dataConnectionCount").unwrap_or("auto")),
            drop_tcp_connections: a.flag("dropTcpConnections"),
        }
    }
}

/// The variable that has balanced distribution not count streams that have links of their own.
const IGNORE_MOVED_STREAMS: &str = "SKUPPER_ROUTER_DISABLE_867_FIX";

fn core_config(a: &Attributes) -> RouterConfig {
    let mode = match a.text("mode") {
        Some("interior") => Mode::Interior,
        Some("edge") => Mode::Edge,
        _ => Mode::Standalone,
    };
    RouterConfig {
        ignore_moved_streams: std::env::var_os(IGNORE_MOVED_STREAMS).is_some(),
        id: a.owned("id").unwrap_or_else(|| generated_id(mode)),
        mode,
        default_treatment: treatment(a.text("defaultDistribution")),
        network_id: None,
        tenant_id: a.owned("vanId"),
        timing: Timing {
            hello_interval: a.seconds("helloIntervalSeconds"),
            hello_max_age: a.seconds("helloMaxAgeSeconds"),
            ra_interval: a.seconds("raIntervalSeconds"),
            ra_interval_flux: a.seconds("raIntervalFluxSeconds"),
            link_state_max_age: a.seconds("remoteLsMaxAgeSeconds"),
            unreachable_hold_off: a.seconds("unreachableHoldoffSeconds"),
            ..Timing::default()
        },
        stream_retry: Duration::from_millis(a.count("streamRetryMilliseconds")),
    }
}

/// Letters and digits behind the mode in a generated router id.
const GENERATED: usize = 15;

fn generated_id(mode: Mode) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = SecretRng::new(random::seed());
    let letter = |_| char::from(LETTERS[(rng.next_u64() % LETTERS.len() as u64) as usize]);
    let random: String = (0..GENERATED).map(letter).collect();
    format!("{}_{random}", mode_name(mode))
}

/// The mode in texts.
pub(crate) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Standalone => "Standalone",
        Mode::Interior => "Interior",
        Mode::Edge => "Edge",
    }
}

fn data_connections(text: &str) -> DataConnections {
    let number: Option<i64> = text.trim().parse().ok();
    if number.is_none() && text != "auto" {
        let about = "for dataConnectionCount";
        router_engine::log!(LogModule::Router, Level::Info, "Bad value \"{text}\" {about}");
    }
    // Fewer than none is none.
    number.map_or(DataConnections::Auto, |n| DataConnections::Count(u32::try_from(n).unwrap_or(0)))
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType;
    use crate::entity::testing::completed;
    use amqp_core::Value;

    #[test]
    fn timing_of_the_routing_protocols() {
        let params = |given: &[(&'static str, Value)]| Settings::new(&completed(EntityType::Router, given)).core.timing;
        assert_eq!(params(&[]), Timing::default());
        let given = [
            ("helloIntervalSeconds", 2),
            ("helloMaxAgeSeconds", 10),
            ("raIntervalSeconds", 20),
            ("raIntervalFluxSeconds", 5),
            ("remoteLsMaxAgeSeconds", 90),
            ("unreachableHoldoffSeconds", 7),
        ];
        let timing = params(&given.map(|(name, n)| (name, Value::from(n))));
        let ages = [timing.hello_max_age, timing.link_state_max_age, timing.unreachable_hold_off];
        let periods = [timing.hello_interval, timing.ra_interval, timing.ra_interval_flux];
        assert_eq!(periods.map(|p| p.as_secs()), [2, 20, 5]);
        assert_eq!(ages.map(|a| a.as_secs()), [10, 90, 7]);
    }

    fn settings(given: &[(&'static str, Value)]) -> Settings {
        Settings::new(&completed(EntityType::Router, given))
    }

    #[test]
    fn streams_are_sent_again_for_two_seconds_unless_told_otherwise() {
        let retry = |given: &[(&'static str, Value)]| settings(given).core.stream_retry.as_millis();
        assert_eq!(retry(&[]), 2000);
        assert_eq!(retry(&[("streamRetryMilliseconds", 0.into())]), 0);
        assert_eq!(retry(&[("streamRetryMilliseconds", 150.into())]), 150);
    }

    #[test]
    fn modes_and_distributions() {
        for (word, mode) in [("standalone", Mode::Standalone), ("interior", Mode::Interior), ("edge", Mode::Edge)] {
            assert_eq!(settings(&[("mode", word.into())]).core.mode, mode);
        }
        for word in DISTRIBUTIONS {
            let treatment = settings(&[("defaultDistribution", (*word).into())]).core.default_treatment;
            assert_eq!(treatment.as_str(), *word);
        }
    }

    #[test]
    fn a_router_without_an_id_gets_one() {
        let id = |mode: &str| settings(&[("mode", mode.into())]).core.id;
        let (first, second) = (id("interior"), id("interior"));
        assert_ne!(first, second);
        let random = first.strip_prefix("Interior_").expect("the mode in front");
        assert!(random.len() == GENERATED && random.chars().all(|c| c.is_ascii_alphanumeric()), "{first}");
        assert_eq!(settings(&[("id", "R".into())]).core.id, "R");
    }

    #[test]
    fn threads_and_data_connections_are_bounded() {
        let threads = |n: i64| settings(&[("workerThreads", n.into())]).worker_threads;
        assert_eq!([0, 1, 7, 1_000_000].map(threads), [1, 1, 7, MAX_WORKERS]);
        let count = |text: &str| settings(&[("dataConnectionCount", text.into())]).data_connections;
        use DataConnections::{Auto, Count};
        assert_eq!(
            ["auto", "3", " 4 ", "0", "-1", "many"].map(count),
            [Auto, Count(3), Count(4), Count(0), Count(0), Auto]
        );
    }

    #[test]
    fn ids_with_blanks_are_refused_when_the_entity_is_made() {
        let check = |id: &str| Kind.check(&completed(EntityType::Router, &[("id", id.into())]));
        assert_eq!((check("R-1.a"), check("")), (Ok(()), Ok(())));
        for id in ["a b", "a\tb", "a\u{0}"] {
            let failure = check(id).expect_err("must be refused");
            assert_eq!(failure.class, "AttributeError");
            assert!(failure.text.contains(&format!("in id '{id}' is disallowed")), "{}", failure.text);
        }
    }

    #[test]
    fn the_older_name_of_the_tenant_is_kept_for_the_network() {
        assert_eq!(settings(&[("vanId", "v".into())]).core.tenant_id.as_deref(), Some("v"));
        assert_eq!(settings(&[]).core.tenant_id, None);
    }
}
