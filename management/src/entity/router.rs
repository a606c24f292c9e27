//! `router`: who the router is and how it is tuned.

use super::config_address::DISTRIBUTIONS;
use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, number, number_text, one_of, path, text};

static DEF: EntityDef = EntityDef {
    name: "router",
    singleton: true,
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
        flag("dropTcpConnections", "Cut TCP flows when their listener or connector is deleted.").or_flag(true).create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn boot_rank(&self) -> Option<u8> {
        Some(1)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "id"))
    }
}
