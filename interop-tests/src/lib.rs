//! Interoperability tests of the router with third-party AMQP peers and with the C router.
//!
//! ```text
//!   tests/*.rs          one file per theme; each test names a topology and a scenario
//!       |
//!   scenarios           what is checked, independent of which routers carry it
//!       |        \
//!   peers       tcp     foreign AMQP clients as processes or libraries; TCP servers and clients
//!       |      apps     real servers and clients of other protocols
//!       |    raw_http   HTTP as octets: clients that break every rule, a server that writes down what comes
//!       |   controller  a management client as particular as those of controllers
//!       |        /
//!   topology            lines of routers, their links and services, started and waited for
//!  http_services        HTTP listeners and connectors of such routers, or another proxy in their place
//!       |
//!   harness             one router process, its log, ports, certificates, waiting
//! ```
//!
//! Nothing here knows the internals of the router: it is a process with a configuration file, a log and sockets, so
//! the same tests drive any implementation. `README.md` beside the manifest lists the environment variables.

pub mod apps;
pub mod browser;
pub mod collector;
pub mod controller;
pub mod harness;
pub mod hostile;
pub mod http;
pub mod http_services;
pub mod peers;
pub mod raw_http;
pub mod sasldb;
pub mod scenarios;
pub mod tcp;
pub mod topology;
