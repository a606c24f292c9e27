//! Routers as management shows them: who is there, who is next to whom, at what cost.

use serde_json::Value as Json;

use crate::cli::{edge_address, interior_address};
use crate::client::{Client, Request, Row};
use crate::error::{Error, Result};

const PREFIX: &str = "io.skupper.router.";

/// A row of an interior router's table of routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The router's id.
    pub id: String,
    /// The neighbour on the way to it; none for neighbours.
    pub next_hop: Option<String>,
    /// Cost of the way to it; none for the router itself.
    pub cost: Option<i64>,
    /// Ids of its neighbours.
    pub neighbours: Vec<String>,
}

/// A router on the way to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The router's id.
    pub id: String,
    /// The address of its management node.
    pub address: String,
    /// Cost of the link to it, where it is known.
    pub cost: Option<i64>,
}

/// The id of the router that requests go to.
///
/// # Errors
/// Those of [`Client::call`].
pub async fn own_id(client: &mut Client) -> Result<String> {
    let rows = client.query(Some(&format!("{PREFIX}routerMetrics")), &[], 0).await?;
    Ok(rows.first().map(|row| row.text("id").to_owned()).unwrap_or_default())
}

/// The routers that the router knows which requests go to: none, unless it is an interior router.
///
/// # Errors
/// Those of [`Client::call`].
pub async fn nodes(client: &mut Client) -> Result<Vec<Node>> {
    let rows = client.query(Some(&format!("{PREFIX}router.node")), &[], 0).await?;
    Ok(rows.iter().map(Node::read).collect())
}

/// The edge routers at the router that requests go to.
///
/// # Errors
/// Those of [`Client::call`].
pub async fn edges(client: &mut Client) -> Result<Vec<String>> {
    edge_peers(client, "in").await
}

/// The interior router that an edge router is attached to.
///
/// # Errors
/// Those of [`Client::call`].
pub async fn uplink(client: &mut Client) -> Result<Option<String>> {
    Ok(edge_peers(client, "out").await?.into_iter().next())
}

/// The router after `here`, which requests go to, on the way to `destination`.
///
/// # Errors
/// [`Error::Value`] if there is no way, and those of [`Client::call`].
pub async fn next_hop(client: &mut Client, here: &str, destination: &str) -> Result<Hop> {
    let nodes = nodes(client).await?;
    if nodes.is_empty() {
        let uplink = uplink(client).await?.ok_or_else(|| no_way(here, destination))?;
        return Ok(Hop::interior(&uplink, None));
    }
    if let Some(hop) = toward(&nodes, destination) {
        return Ok(hop);
    }
    match edge_host(client, destination).await? {
        Host::Here => Ok(Hop { id: destination.to_owned(), address: edge_address(destination), cost: None }),
        Host::There(router) => toward(&nodes, &router).ok_or_else(|| no_way(here, destination)),
        Host::Nowhere => Err(no_way(here, destination)),
    }
}

/// The address of a router's management node, whichever kind of router it is.
///
/// # Errors
/// Those of [`Client::call`].
pub async fn management_address(client: &mut Client, router: &str) -> Result<String> {
    if own_id(client).await? == router {
        return Ok(client.address().to_owned());
    }
    let mut nodes = nodes(client).await?;
    if nodes.is_empty()
        && let Some(uplink) = uplink(client).await?
    {
        let own = client.set_address(&interior_address(&uplink));
        let asked = self::nodes(client).await;
        client.set_address(&own);
        nodes = asked?;
    }
    let interior = nodes.iter().any(|node| node.id == router);
    Ok(if interior { interior_address(router) } else { edge_address(router) })
}

/// The router next on the way, as the table says.
fn toward(nodes: &[Node], destination: &str) -> Option<Hop> {
    let row = nodes.iter().find(|node| node.id == destination)?;
    let next = row.next_hop.as_deref().unwrap_or(destination);
    let cost = nodes.iter().find(|node| node.id == next && node.next_hop.is_none()).and_then(|node| node.cost);
    Some(Hop::interior(next, cost))
}

fn no_way(here: &str, destination: &str) -> Error {
    Error::Value(format!("router {here} knows no way to {destination}"))
}

async fn edge_peers(client: &mut Client, direction: &str) -> Result<Vec<String>> {
    let rows = client.query(Some(&format!("{PREFIX}connection")), &[], 0).await?;
    let edge = |row: &Row<'_>| row.text("role") == "edge" && row.text("dir") == direction;
    let active = |row: &Row<'_>| row.get("active") != &Json::Bool(false);
    let found = rows.iter().filter(|row| edge(row) && active(row));
    let mut found: Vec<_> = found.map(|row| row.text("container").to_owned()).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Where an edge router is attached.
enum Host {
    Here,
    There(String),
    Nowhere,
}

async fn edge_host(client: &mut Client, edge: &str) -> Result<Host> {
    let request = Request::new("READ").with("type", format!("{PREFIX}router.address")).with("name", format!("H{edge}"));
    let row = match client.call(request, 200).await {
        Ok(row) => row,
        Err(Error::Status { code: 404, .. }) => return Ok(Host::Nowhere),
        Err(error) => return Err(error),
    };
    let remote = row["remoteHostRouters"].as_array().and_then(|routers| routers.first()).and_then(Json::as_str);
    Ok(match remote {
        _ if row["subscriberCount"].as_i64().unwrap_or(0) > 0 => Host::Here,
        Some(router) => Host::There(router.to_owned()),
        None => Host::Nowhere,
    })
}

// === impl Node ===

impl Node {
    fn read(row: Row<'_>) -> Self {
        let neighbours = row.get("linkState").as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: row.text("id").to_owned(),
            next_hop: row.get("nextHop").as_str().map(str::to_owned),
            cost: row.number("cost"),
            neighbours: neighbours.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        }
    }
}

// === impl Hop ===

impl Hop {
    fn interior(id: &str, cost: Option<i64>) -> Self {
        Self { id: id.to_owned(), address: interior_address(id), cost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, next_hop: Option<&str>, cost: i64) -> Node {
        Node { id: id.into(), next_hop: next_hop.map(Into::into), cost: Some(cost), neighbours: Vec::new() }
    }

    #[test]
    fn the_table_tells_the_next_hop_and_its_cost() {
        let table = [node("A", Some("(self)"), 0), node("B", None, 3), node("C", Some("B"), 5)];
        let hop = Hop { id: "B".into(), address: "_topo/0/B/$management".into(), cost: Some(3) };
        assert_eq!(toward(&table, "B"), Some(hop.clone()));
        assert_eq!(toward(&table, "C"), Some(hop));
        assert_eq!(toward(&table, "D"), None);
    }
}
