//! What the role of a connection lets it do, and what the router does on it: one table for every part of the router.

/// The role of a connection (spec `inter-router-protocol.md` section 1, codes of `qd.inter-router-role`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConnectionRole {
    /// An ordinary peer.
    #[default]
    Normal,
    /// A neighbour router's control connection.
    InterRouter,
    /// A container that auto-links apply to.
    RouteContainer,
    /// Between an edge router and its interior router.
    Edge,
    /// Carries streams beside an inter-router connection.
    InterRouterData,
    /// Between two edge routers.
    InterEdge,
    /// Between two networks.
    InterNetwork,
}

/// A row of the table. What a field means is said at the method that reads it.
#[derive(Debug, Clone, Copy)]
struct Traits {
    name: &'static str,
    client: bool,
    router: bool,
    inter_router: bool,
    joins_network: bool,
    attaches_for_others: bool,
    connector_policed: bool,
    access_id: bool,
    annotations_version: bool,
    path: bool,
}

/// A peer that is no router.
const PEER: Traits = Traits {
    name: "",
    client: false,
    router: false,
    inter_router: false,
    joins_network: false,
    attaches_for_others: false,
    connector_policed: false,
    access_id: false,
    annotations_version: false,
    path: true,
};

const ROUTER: Traits = Traits { router: true, ..PEER };

/// A router of this network.
const INTER_ROUTER: Traits = Traits { inter_router: true, annotations_version: true, ..ROUTER };

// === impl ConnectionRole ===

impl ConnectionRole {
    const fn traits(self) -> Traits {
        match self {
            Self::Normal => Traits { name: "normal", client: true, connector_policed: true, ..PEER },
            Self::RouteContainer => Traits { name: "route-container", connector_policed: true, ..PEER },
            Self::InterRouter => Traits { name: "inter-router", joins_network: true, access_id: true, ..INTER_ROUTER },
            Self::InterRouterData => Traits { name: "inter-router-data", ..INTER_ROUTER },
            Self::Edge => {
                let edge = Traits { joins_network: true, access_id: true, annotations_version: true, ..ROUTER };
                Traits { name: "edge", attaches_for_others: true, ..edge }
            }
            Self::InterEdge => Traits { name: "inter-edge", attaches_for_others: true, access_id: true, ..ROUTER },
            Self::InterNetwork => Traits { name: "inter-network", connector_policed: true, path: false, ..ROUTER },
        }
    }

    /// The name in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.traits().name
    }

    /// Of many that come and go: it is counted as using a service, has the smaller session window, and is not worth a line
    /// in the log.
    #[must_use]
    pub const fn is_client(self) -> bool {
        self.traits().client
    }

    /// The peer is a router of any kind: it is trusted to send no more than it should, carries what belongs to others and is
    /// not shed for it, and its links carry router annotations whatever is configured.
    #[must_use]
    pub const fn is_router(self) -> bool {
        self.traits().router
    }

    /// The peer is a router of this network: streams and complete messages are routed by `to` on it and are in transit,
    /// the protocol of connection groups applies, policy does not. On other connections, those of edge routers among
    /// them, messages enter and leave the network.
    #[must_use]
    pub const fn is_inter_router(self) -> bool {
        self.traits().inter_router
    }

    /// Both ends are routers of this network, whichever part they have in it.
    #[must_use]
    pub const fn is_within_network(self) -> bool {
        self.is_router() && !self.is_inter_network()
    }

    /// It has control links beside its data links.
    #[must_use]
    pub const fn has_control_links(self) -> bool {
        matches!(self, Self::InterRouter)
    }

    /// It carries streams for the connection with the control links.
    #[must_use]
    pub const fn is_data_only(self) -> bool {
        matches!(self, Self::InterRouterData)
    }

    /// Between an edge router and its interior router.
    #[must_use]
    pub const fn is_edge(self) -> bool {
        matches!(self, Self::Edge)
    }

    /// Between two edge routers, which tell each other that they can do that.
    #[must_use]
    pub const fn is_inter_edge(self) -> bool {
        matches!(self, Self::InterEdge)
    }

    /// Counters tell its deliveries apart.
    #[must_use]
    pub const fn is_route_container(self) -> bool {
        matches!(self, Self::RouteContainer)
    }

    /// Between two networks: counters tell its deliveries apart, and what goes by the name that an auto-link has there goes
    /// by the name that it has here.
    #[must_use]
    pub const fn is_inter_network(self) -> bool {
        matches!(self, Self::InterNetwork)
    }

    /// The router attaches the auto-links that are meant for it.
    #[must_use]
    pub const fn takes_auto_links(self) -> bool {
        matches!(self, Self::RouteContainer | Self::InterNetwork)
    }

    /// It joins routers to a network: operators cannot delete it, and its connector
    /// makes another when the credentials change.
    #[must_use]
    pub const fn joins_network(self) -> bool {
        self.traits().joins_network
    }

    /// Its links are attached on behalf of clients of the router at the other end.
    #[must_use]
    pub const fn attaches_for_others(self) -> bool {
        self.traits().attaches_for_others
    }

    /// Policy for connectors applies where it is configured (spec `security-and-policy.md` 10.7).
    #[must_use]
    pub const fn is_policed_as_connector(self) -> bool {
        self.traits().connector_policed
    }

    /// A listener of the role tells its access id.
    #[must_use]
    pub const fn tells_access_id(self) -> bool {
        self.traits().access_id
    }

    /// The open tells the version of router annotations.
    #[must_use]
    pub const fn tells_annotations_version(self) -> bool {
        self.traits().annotations_version
    }

    /// Messages on it tell where they entered the network and which way they took.
    #[must_use]
    pub const fn tells_path(self) -> bool {
        self.traits().path
    }
}
