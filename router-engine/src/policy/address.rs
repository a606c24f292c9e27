//! The addresses that the links of a group may name (spec `security-and-policy.md` 10.6).

use crate::address::name::node_text;
use crate::address::pattern::PatternTree;

/// Stands for the name of the user in the rules.
const USER: &str = "${user}";

/// What stands between the tokens of an address.
const SEPARATORS: [char; 2] = ['.', '/'];

/// The addresses that links may name: none, before any is added. Compiled when rules are read; asked per link, and per
/// message on links without an address.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    /// As they were written.
    items: Vec<String>,
    compiled: Compiled,
    /// What is left of literal rules that begin with a separator or a scheme when such addresses are routed.
    routed: Vec<Literal>,
}

#[derive(Debug, Clone)]
enum Compiled {
    Literals(Vec<Literal>),
    Patterns(Box<Patterns>),
}

/// An address as it is, or what addresses begin with.
#[derive(Debug, Clone)]
struct Literal {
    head: String,
    /// What follows the name of the user, if that follows the head.
    tail: Option<String>,
    /// Anything may follow. Not a matter of the user's name, even if that ends like such a rule.
    open_ended: bool,
}

/// Patterns by where the name of the user stands in them. Those with one are matched with [`USER`] as a token in the
/// place of the name, which may have any number of tokens.
#[derive(Debug, Clone, Default)]
struct Patterns {
    plain: PatternTree<()>,
    user_first: PatternTree<()>,
    user_last: PatternTree<()>,
}

/// Why a rule is refused; the text is what the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The name of the user stands in it twice.
    #[error("contains multiple user substitution tokens")]
    TwoUsers,
    /// The name of the user stands inside a pattern.
    #[error("may contain match pattern '${{user}}' as a prefix or a suffix only.")]
    UserWithin,
}

// === impl AddressRules ===

impl AddressRules {
    /// Rules that are addresses, with `*` at the end where anything may follow.
    #[must_use]
    pub fn literals() -> Self {
        Self::default()
    }

    /// Rules that are patterns of tokens.
    #[must_use]
    pub fn patterns() -> Self {
        Self { compiled: Compiled::Patterns(Box::default()), ..Self::default() }
    }

    /// Adds a rule. An empty one is none.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn add(&mut self, item: &str) -> Result<(), AddressError> {
        if item.matches(USER).count() > 1 {
            return Err(AddressError::TwoUsers);
        }
        if item.is_empty() {
            return Ok(());
        }
        match &mut self.compiled {
            Compiled::Literals(literals) => {
                literals.push(Literal::new(item));
                // The same rule for what is left of such an address when it is routed.
                let routed = node_text(item);
                if routed.len() < item.len() && ["/", "amqp:", "amqps:"].iter().any(|start| item.starts_with(start)) {
                    self.routed.push(Literal::new(routed));
                }
            }
            Compiled::Patterns(patterns) => patterns.add(item)?,
        }
        self.items.push(item.to_owned());
        Ok(())
    }

    /// Whether a user may name an address, as it is and without scheme and host, which routing does not look at.
    #[must_use]
    pub fn admit(&self, user: &str, address: &str) -> bool {
        let routed = node_text(address);
        self.matches(user, address)
            && (routed.len() == address.len()
                || self.matches(user, routed)
                || self.routed.iter().any(|literal| literal.matches(user, routed)))
    }

    /// Whether a text is one of these addresses. Nobody may name one that is empty.
    pub(super) fn matches(&self, user: &str, address: &str) -> bool {
        !address.is_empty()
            && match &self.compiled {
                Compiled::Literals(literals) => literals.iter().any(|literal| literal.matches(user, address)),
                Compiled::Patterns(patterns) => patterns.match_any(user, address),
            }
    }
}

impl PartialEq for AddressRules {
    fn eq(&self, other: &Self) -> bool {
        let kind = |rules: &Self| std::mem::discriminant(&rules.compiled);
        self.items == other.items && kind(self) == kind(other)
    }
}

impl Eq for AddressRules {}

// === impl Compiled ===

impl Default for Compiled {
    fn default() -> Self {
        Self::Literals(Vec::new())
    }
}

// === impl Literal ===

impl Literal {
    fn new(item: &str) -> Self {
        let (text, open_ended) = item.strip_suffix('*').map_or((item, false), |text| (text, true));
        let (head, tail) = text.split_once(USER).map_or((text, None), |(head, tail)| (head, Some(tail.to_owned())));
        Self { head: head.to_owned(), tail, open_ended }
    }

    fn matches(&self, user: &str, address: &str) -> bool {
        let behind_head = address.strip_prefix(self.head.as_str());
        let rest = match &self.tail {
            None => behind_head,
            Some(tail) => {
                behind_head.and_then(|rest| rest.strip_prefix(user)).and_then(|rest| rest.strip_prefix(tail.as_str()))
            }
        };
        rest.is_some_and(|rest| self.open_ended || rest.is_empty())
    }
}

// === impl Patterns ===

impl Patterns {
    fn add(&mut self, item: &str) -> Result<(), AddressError> {
        let tree = match item.find(USER) {
            None => &mut self.plain,
            Some(0) => &mut self.user_first,
            Some(at) if at + USER.len() == item.len() => &mut self.user_last,
            Some(_) => return Err(AddressError::UserWithin),
        };
        // Whether it was there already makes no difference.
        tree.insert(item, ()).unwrap_or_default();
        Ok(())
    }

    fn match_any(&self, user: &str, address: &str) -> bool {
        self.plain.best_match(address).is_some()
            || self.match_user_first(user, address)
            || self.match_user_last(user, address)
    }

    fn match_user_first(&self, user: &str, address: &str) -> bool {
        let rest = if self.user_first.is_empty() { None } else { address.strip_prefix(user) };
        // The name is not the beginning of a longer one.
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with(SEPARATORS));
        rest.is_some_and(|rest| self.user_first.best_match(&format!("{USER}{rest}")).is_some())
    }

    fn match_user_last(&self, user: &str, address: &str) -> bool {
        let front = if self.user_last.is_empty() { None } else { address.strip_suffix(user) };
        let front = front.filter(|front| front.ends_with(SEPARATORS));
        front.is_some_and(|front| self.user_last.best_match(&format!("{front}{USER}")).is_some())
    }
}
