//! `--topology`: the network as a tree of cheapest ways from the router that is asked.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Report;
use crate::cli::interior_address;
use crate::client::Client;
use crate::display::{Cell, Table};
use crate::error::{Error, Result};
use crate::network::{Node, edges, nodes, own_id, uplink};

/// What each router says: its table of routers, and the edge routers at it. None: it did not answer.
type Answers = BTreeMap<String, Option<(Vec<Node>, Vec<String>)>>;

/// A place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: String,
    parent: Option<String>,
    edge: bool,
    /// Cost of the link to the parent.
    cost: Option<i64>,
    answered: bool,
}

/// Asks every router of the network, and draws what they say.
///
/// # Errors
/// Those of [`Client::query`] for the first router. Others that do not answer are shown as such.
pub(super) async fn topology(client: &mut Client) -> Result<Report> {
    let asked = client.address().to_owned();
    let own = own_id(client).await?;
    let root = match (nodes(client).await?.is_empty(), uplink(client).await?) {
        (true, None) => return Ok(Report::note("Router is Standalone - No Router List")),
        (true, Some(interior)) => interior,
        (false, _) => own.clone(),
    };
    let answers = ask_all(client, &root).await;
    client.set_address(&asked);
    let answers = answers?;
    let places = tree(&root, &answers);
    let others = other_links(&places, &answers);
    let mut drawing = vec!["Network".to_owned()];
    draw(&places, &root, "  ", "  ", &own, &mut drawing);
    if !others.is_empty() {
        drawing.extend([String::new(), "Other Links".to_owned()]);
        drawing.extend(others.iter().map(|(one, other, cost)| format!("  {one} -- {other}{}", cost_text(*cost))));
    }
    Ok(Report { tables: vec![places_table(&places), links_table(&others)], drawing: Some(drawing), note: None })
}

async fn ask_all(client: &mut Client, root: &str) -> Result<Answers> {
    client.set_address(&interior_address(root));
    let table = nodes(client).await?;
    let mut answers = Answers::new();
    for node in &table {
        client.set_address(&interior_address(&node.id));
        let answer = match ask(client).await {
            Ok(answer) => Some(answer),
            // It may have gone since it was listed; the others still count.
            Err(Error::Timeout { .. } | Error::Link(_)) => None,
            Err(error) => return Err(error),
        };
        answers.insert(node.id.clone(), answer);
    }
    Ok(answers)
}

async fn ask(client: &mut Client) -> Result<(Vec<Node>, Vec<String>)> {
    Ok((nodes(client).await?, edges(client).await?))
}

/// Each router below the last one on the cheapest way to it, each edge router below its interior router.
fn tree(root: &str, answers: &Answers) -> Vec<Place> {
    let mut places = Vec::new();
    for (id, answer) in answers {
        let parent = parent_of(root, id, answers);
        let cost = parent.as_deref().and_then(|parent| link_cost(parent, id, answers));
        places.push(Place { id: id.clone(), parent, edge: false, cost, answered: answer.is_some() });
        let edges = answer.iter().flat_map(|(_, edges)| edges);
        places.extend(edges.map(|edge| Place {
            id: edge.clone(),
            parent: Some(id.clone()),
            edge: true,
            cost: None,
            answered: true,
        }));
    }
    places
}

/// Goes from router to router as their tables say, until the next one would be the destination.
fn parent_of(root: &str, destination: &str, answers: &Answers) -> Option<String> {
    if root == destination {
        return None;
    }
    let mut here = root.to_owned();
    let mut seen = BTreeSet::new();
    while seen.insert(here.clone()) {
        let table = answers.get(&here).and_then(Option::as_ref).map(|(table, _)| table);
        let row = table.and_then(|table| table.iter().find(|node| node.id == destination));
        match row.and_then(|row| row.next_hop.clone()) {
            Some(next) => here = next,
            None => return Some(here),
        }
    }
    // The tables are on their way to a new topology.
    Some(root.to_owned())
}

/// The cost of the link between neighbours, if it is on the cheapest way between them: else none of them tells.
fn link_cost(one: &str, other: &str, answers: &Answers) -> Option<i64> {
    let cost = |from: &str, to: &str| {
        let (table, _) = answers.get(from)?.as_ref()?;
        table.iter().find(|node| node.id == to && node.next_hop.is_none())?.cost
    };
    cost(one, other).or_else(|| cost(other, one))
}

/// Links between neighbours that are not in the tree.
fn other_links(places: &[Place], answers: &Answers) -> Vec<(String, String, Option<i64>)> {
    let in_tree: BTreeSet<(&str, &str)> =
        places.iter().filter_map(|place| Some(ordered(&place.id, place.parent.as_deref()?))).collect();
    let tables = answers.values().flatten().flat_map(|(table, _)| table);
    let links = tables.flat_map(|node| node.neighbours.iter().map(|other| ordered(&node.id, other)));
    let links: BTreeSet<_> = links.filter(|link| !in_tree.contains(link)).collect();
    links.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned(), link_cost(a, b, answers))).collect()
}

fn ordered<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    if one <= other { (one, other) } else { (other, one) }
}

fn draw(places: &[Place], id: &str, first: &str, rest: &str, own: &str, lines: &mut Vec<String>) {
    let Some(place) = places.iter().find(|place| place.id == id) else { return };
    let kind = if place.edge { "  edge" } else { "" };
    let here = if id == own { "  (this router)" } else { "" };
    let silent = if place.answered { "" } else { "  (no answer)" };
    lines.push(format!("{first}{id}{kind}{}{here}{silent}", cost_text(place.cost)));
    let below: Vec<&Place> = places.iter().filter(|place| place.parent.as_deref() == Some(id)).collect();
    for (at, child) in below.iter().enumerate() {
        let (branch, trunk) = if at + 1 == below.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        draw(places, &child.id, &format!("{rest}{branch}"), &format!("{rest}{trunk}"), own, lines);
    }
}

fn cost_text(cost: Option<i64>) -> String {
    cost.map(|cost| format!("  cost {cost}")).unwrap_or_default()
}

fn places_table(places: &[Place]) -> Table {
    let cells = |place: &Place| {
        vec![
            Cell::text(&place.id),
            Cell::text(if place.edge { "edge" } else { "interior" }),
            place.parent.clone().map_or(Cell::Empty, Cell::Text),
            place.cost.map_or(Cell::Empty, Cell::Number),
        ]
    };
    let heads = vec!["router", "mode", "parent", "cost"];
    Table { title: "Network".to_owned(), heads, rows: places.iter().map(cells).collect() }
}

fn links_table(links: &[(String, String, Option<i64>)]) -> Table {
    let cells = |(one, other, cost): &(String, String, Option<i64>)| {
        vec![Cell::text(one), Cell::text(other), cost.map_or(Cell::Empty, Cell::Number)]
    };
    let heads = vec!["router", "neighbor", "cost"];
    Table { title: "Other Links".to_owned(), heads, rows: links.iter().map(cells).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, next_hop: Option<&str>, cost: i64, neighbours: &[&str]) -> Node {
        let neighbours = neighbours.iter().map(|id| (*id).to_owned()).collect();
        Node { id: id.into(), next_hop: next_hop.map(Into::into), cost: Some(cost), neighbours }
    }

    /// A and B are joined at cost 1, B and C at 2, C and A at 10; an edge router is at C.
    fn triangle() -> Answers {
        let [a, b, c]: [&[&str]; 3] = [&["B", "C"], &["A", "C"], &["A", "B"]];
        let of_a = vec![node("A", Some("(self)"), 0, a), node("B", None, 1, b), node("C", Some("B"), 3, c)];
        let of_b = vec![node("A", None, 1, a), node("B", Some("(self)"), 0, b), node("C", None, 2, c)];
        let of_c = vec![node("A", Some("B"), 3, a), node("B", None, 2, b), node("C", Some("(self)"), 0, c)];
        let answer = |table, edges: &[&str]| Some((table, edges.iter().map(|id| (*id).to_owned()).collect()));
        [("A", answer(of_a, &[])), ("B", answer(of_b, &[])), ("C", answer(of_c, &["E"]))]
            .map(|(id, answer)| (id.to_owned(), answer))
            .into()
    }

    #[test]
    fn the_tree_follows_the_cheapest_ways() {
        let answers = triangle();
        let places = tree("A", &answers);
        let mut lines = Vec::new();
        draw(&places, "A", "", "", "A", &mut lines);
        assert_eq!(lines, ["A  (this router)", "└── B  cost 1", "    └── C  cost 2", "        └── E  edge"]);
        assert_eq!(other_links(&places, &answers), [("A".to_owned(), "C".to_owned(), None)]);
    }

    #[test]
    fn silent_routers_and_circles_do_not_hurt() {
        let mut answers = triangle();
        answers.insert("B".to_owned(), None);
        let places = tree("A", &answers);
        let parent = |id| places.iter().find(|place| place.id == id).and_then(|place| place.parent.as_deref());
        assert_eq!((parent("B"), parent("C")), (Some("A"), Some("B")));
        let circle = vec![node("C", Some("A"), 3, &[])];
        answers.insert("B".to_owned(), Some((circle, Vec::new())));
        assert_eq!(parent_of("A", "C", &answers).as_deref(), Some("A"));
    }
}
