//! YAML documents as trees whose parts know their lines. JSON is read as well, being YAML.
//!
//! What a text can cost is bounded: how deep it nests, and what its aliases make of it.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::{HashMap, HashSet};

/// Lists and maps nest no deeper. Resources need eight.
const MAX_DEPTH: usize = 32;

/// Nodes and octets of scalars of a text with its aliases replaced.
const MAX_COST: usize = 8 * 1024 * 1024;

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What a part of a document is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    /// A scalar; a plain one may be a number or a truth value.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) node: Node,
}

/// Why the rest of a text is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A list or map that has begun.
struct Open {
    line: usize,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    /// The members, and the name of the next one.
    Map(Vec<Member>, Option<(usize, String)>),
}

/// What an anchor stands for.
struct Anchored {
    node: Node,
    cost: usize,
    depth: usize,
}

#[derive(Default)]
struct Reader {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    cost: usize,
}

/// The documents of a text, as far as it can be read.
pub(crate) fn documents(text: &str) -> (Vec<Node>, Option<Fault>) {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let read = match event {
            Ok((event, span)) => reader.read(event, line_of(&span)),
            Err(error) => Err(Fault { line: error.marker().line().max(1), text: error.info().to_owned() }),
        };
        if let Err(fault) = read {
            return (reader.documents, Some(fault));
        }
    }
    (reader.documents, None)
}

fn line_of(span: &Span) -> usize {
    span.start.line().max(1)
}

fn fault<T>(line: usize, text: &str) -> Result<T, Fault> {
    Err(Fault { line, text: text.to_owned() })
}

// === impl Node ===

impl Node {
    /// The same in JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Scalar { text, is_plain } => match (is_plain, &**text, text.parse::<i64>()) {
                (true, "true", _) => true.into(),
                (true, "false", _) => false.into(),
                (true, _, Ok(number)) => number.into(),
                _ => text.as_str().into(),
            },
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(members) => members.iter().map(|member| (member.name.clone(), member.node.json())).collect(),
        }
    }
}

// === impl Reader ===

impl Reader {
    fn read(&mut self, event: Event<'_>, line: usize) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.pay(text.len() + 1, line)?;
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let is_null = is_plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Scalar { text: text.into_owned(), is_plain } };
                self.complete(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Items::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Items::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(Anchored { node, cost, depth }) = self.anchors.get(&anchor) else {
                    return fault(line, "an alias within what it stands for");
                };
                let (node, cost, depth) = (node.clone(), *cost, *depth);
                if self.open.len() + depth > MAX_DEPTH {
                    return fault(line, "nested too deeply");
                }
                self.pay(cost, line)?;
                self.complete(node, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn pay(&mut self, cost: usize, line: usize) -> Result<(), Fault> {
        self.cost += cost;
        if self.cost > MAX_COST { fault(line, "too much, with aliases replaced") } else { Ok(()) }
    }

    fn begin(&mut self, line: usize, anchor: usize, items: Items) -> Result<(), Fault> {
        if self.open.len() == MAX_DEPTH {
            return fault(line, "nested too deeply");
        }
        self.pay(1, line)?;
        self.open.push(Open { line, anchor, items });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(Open { line, anchor, items }) = self.open.pop() else { return Ok(()) };
        let value = match items {
            Items::List(items) => Value::List(items),
            Items::Map(members, _) => Value::Map(merged(members)?),
        };
        self.complete(Node { line, value }, anchor)
    }

    /// Puts a node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            let (cost, depth) = measure(&node);
            // What is kept for aliases is paid as well.
            self.pay(cost, node.line)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost, depth });
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.documents.push(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(members, name)) => match name.take() {
                Some((line, name)) => members.push(Member { line, name, node }),
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        return fault(node.line, "the name of a member is no text");
                    };
                    *name = Some((node.line, text));
                }
            },
        }
        Ok(())
    }
}

/// The cost of a node, and how deep it nests.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::Null => return (1, 0),
        Value::Scalar { text, .. } => return (text.len() + 1, 0),
        Value::List(items) => items.iter().collect(),
        Value::Map(members) => members.iter().map(|member| &member.node).collect(),
    };
    let measured = children.into_iter().map(measure);
    measured.fold((1, 1), |(cost, depth), (more, below)| (cost + more, depth.max(below + 1)))
}

/// The members with those that `<<` brings; each name once.
fn merged(members: Vec<Member>) -> Result<Vec<Member>, Fault> {
    let (merges, mut own): (Vec<Member>, Vec<Member>) = members.into_iter().partition(|m| m.name == "<<");
    let mut names = HashSet::new();
    if let Some(twice) = own.iter().find(|member| !names.insert(member.name.clone())) {
        return fault(twice.line, &format!("'{}' is there twice", shown(&twice.name)));
    }
    let brought = merges.into_iter().flat_map(|merge| match merge.node.value {
        Value::List(maps) => maps,
        value => vec![Node { line: merge.line, value }],
    });
    for map in brought {
        let Value::Map(members) = map.value else { return fault(map.line, "what '<<' brings is no map") };
        own.extend(members.into_iter().filter(|member| names.insert(member.name.clone())));
    }
    Ok(own)
}

/// A text of somebody else, cut to what fits into a message.
pub(crate) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect();
    if cut.len() < text.len() { cut + "..." } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member<'a>(node: &'a Node, name: &str) -> &'a Node {
        let Value::Map(members) = &node.value else { panic!("no map: {node:?}") };
        &members.iter().find(|member| member.name == name).expect("it is there").node
    }

    fn refused(text: &str) -> Fault {
        documents(text).1.expect("it is refused")
    }

    #[test]
    fn documents_know_their_lines() {
        let (documents, fault) = documents("---\na: 1\nb:\n  - x\n  - \"1\"\n---\n{\"c\": null}\n");
        assert_eq!((documents.len(), fault), (2, None));
        assert_eq!(member(&documents[0], "b").line, 4);
        let one = Value::Scalar { text: "1".to_owned(), is_plain: true };
        assert_eq!(member(&documents[0], "a"), &Node { line: 2, value: one });
        assert_eq!(member(&documents[1], "c"), &Node { line: 7, value: Value::Null });
    }

    #[test]
    fn what_was_read_before_a_fault_is_there() {
        let (documents, fault) = documents("a: 1\n---\nb: [1\n---\nc: 2\n");
        assert_eq!(documents.len(), 1);
        assert_eq!(fault.expect("a fault").line, 4);
    }

    #[test]
    fn aliases_are_replaced_and_merged() {
        let (documents, fault) = documents("x: &x {a: 1, b: 2}\ny: *x\nz:\n  <<: *x\n  b: 3\n");
        assert_eq!(fault, None);
        assert_eq!(member(&documents[0], "y"), member(&documents[0], "x"));
        let three = Value::Scalar { text: "3".to_owned(), is_plain: true };
        assert_eq!(member(member(&documents[0], "z"), "b").value, three);
        let one = Value::Scalar { text: "1".to_owned(), is_plain: true };
        assert_eq!(member(member(&documents[0], "z"), "a").value, one);
    }

    #[test]
    fn what_grows_or_nests_without_end_is_refused() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..30 {
            let last = level - 1;
            laughs.push_str(&format!("a{level}: &a{level} [{}*a{last}]\n", format!("*a{last}, ").repeat(9)));
        }
        assert_eq!(refused(&laughs).text, "too much, with aliases replaced");
        assert_eq!(refused(&format!("{}{}", "[".repeat(40), "]".repeat(40))).text, "nested too deeply");
        assert!(documents(&"[".repeat(100_000)).1.is_some());
        assert!(documents(&"- ".repeat(100_000)).1.is_some());
        assert!(documents(&"? ".repeat(100_000)).1.is_some());
        let deep: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
        assert_eq!(refused(&format!("a0: &a0 x\n{deep}")).text, "nested too deeply");
        assert_eq!(refused("a: &a [*a]").text, "an alias within what it stands for");
    }

    #[test]
    fn a_name_is_there_once() {
        assert_eq!(refused("a: 1\nb: 2\na: 3\n"), Fault { line: 3, text: "'a' is there twice".to_owned() });
    }
}
