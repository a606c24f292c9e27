//! The routing core with neighbour routers, and what happens when links and connections go.

mod auto_links;
mod counters;
mod credit;
mod edge;
mod edge_peers;
mod edges;
mod figures;
mod groups;
mod lines;
mod links;
mod loss;
mod multicast;
mod networks;
mod reach;
mod resend;
mod served;
mod streams;
mod stuck;
mod time;
mod unavailable;
mod withdraw;
mod world;
