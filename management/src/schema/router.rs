//! The router itself: settings, network, site, totals.

use super::attribute::{flag, gauge, map, number, number_text, one_of, path, text};
use super::entity_type::{EntityDef, EntityType};

/// Distributions an operator can choose.
pub(super) const DISTRIBUTIONS: &[&str] = &["multicast", "closest", "balanced", "unavailable"];

pub(super) static ROUTER_METRICS: EntityDef = EntityDef {
    name: "routerMetrics",
    extends: Some(EntityType::OperationalEntity),
    singleton: false,
    referential: false,
    operations: &[],
    description: "Totals of the running router.",
    attributes: &[
        text("id", "The router id, configured or generated.").create(),
        text("version", "The release that runs."),
        gauge("addrCount", "Addresses in the table."),
        gauge("linkCount", "Attached links."),
        gauge("nodeCount", "Other routers that can be reached."),
        gauge("autoLinkCount", "Auto-links in the configuration."),
        gauge("connectionCount", "Open connections."),
        gauge("presettledDeliveries", "Deliveries that came settled."),
        gauge("droppedPresettledDeliveries", "Settled deliveries thrown away because a receiver was slow."),
        gauge("acceptedDeliveries", "Deliveries that ended accepted."),
        gauge("rejectedDeliveries", "Deliveries that ended rejected."),
        gauge("releasedDeliveries", "Deliveries that ended released."),
        gauge("modifiedDeliveries", "Deliveries that ended modified."),
        gauge("deliveriesIngress", "Deliveries that entered the network at this router."),
        gauge("deliveriesEgress", "Deliveries that left the network at this router."),
        gauge("deliveriesTransit", "Deliveries handed on to another router."),
        gauge("deliveriesIngressRouteContainer", "Deliveries that entered from route containers."),
        gauge("deliveriesEgressRouteContainer", "Deliveries that left to route containers."),
        gauge("deliveriesIngressInterNetwork", "Deliveries that entered from another network."),
        gauge("deliveriesEgressInterNetwork", "Deliveries that left to another network."),
        gauge("residentMemoryUsage", "Resident memory of the process in octets."),
        gauge("memoryUsage", "Virtual memory of the process in octets."),
        gauge("uptimeSeconds", "Seconds since the router started."),
        gauge("deliveriesStuck", "Deliveries that wait for settlement for more than 10 seconds now."),
        gauge("deliveriesDelayed10Sec", "Deliveries whose settlement took more than 10 seconds."),
        gauge("deliveriesDelayed1Sec", "Deliveries whose settlement took from 1 to 10 seconds."),
        map("connectionCounters", "Open service connections by protocol."),
    ],
};

pub(super) static ROUTER: EntityDef = EntityDef {
    name: "router",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: true,
    referential: false,
    operations: &[],
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
};

pub(super) static NETWORK: EntityDef = EntityDef {
    name: "network",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: true,
    referential: false,
    operations: &["UPDATE"],
    description: "Which network and tenant the router belongs to.",
    attributes: &[
        text("networkId", "The id of the network.").create().update(),
        text("tenantId", "The id of the tenant on a shared network.").create(),
    ],
};

pub(super) static SITE: EntityDef = EntityDef {
    name: "site",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &[],
    description: "Has the router publish a site record of its own.",
    attributes: &[
        text("location", "The place of the site.").create(),
        text("provider", "Who hosts the site.").create(),
        text("version", "The version of the control plane.").create(),
        text("platform", "The platform of the site.").create(),
        text("namespace", "The namespace or user of the site.").create(),
    ],
};
