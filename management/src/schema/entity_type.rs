//! Entity types: names, inheritance, effective attributes and operations.

use super::PREFIX;
use super::attribute::Attribute;
use crate::entity::EntityType;

/// The declaration of an entity type.
#[derive(Debug)]
pub struct EntityDef {
    /// The name without prefix.
    pub name: &'static str,
    /// The type it extends.
    pub extends: Option<EntityType>,
    /// There may be one entity of this type only.
    pub singleton: bool,
    /// Other entities refer to entities of this type by name.
    pub referential: bool,
    /// Own operations.
    pub operations: &'static [&'static str],
    /// What identities are made of.
    pub identity: Identity,
    /// How entities come to be.
    pub origin: Origin,
    /// What it is.
    pub description: &'static str,
    /// Own attributes.
    pub attributes: &'static [Attribute],
}

/// What identities are made of, behind the type (spec `management-protocol.md` 3.7). What is not there is `None` in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A number in the order of creation.
    Number,
    /// An attribute.
    Attribute(&'static str),
    /// An attribute, which also is the name.
    Name(&'static str),
    /// Two attributes, and the name where there is one.
    Attributes(&'static str, &'static str),
    /// Nothing that would tell entities apart.
    None,
    /// This text, without the type.
    Text(&'static str),
}

/// How entities of a type come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Not as entities that the agent keeps: bases of other types, and what only tables show.
    None,
    /// By configuration files and requests.
    Configured {
        /// At the start, entities of a lower rank are made first; those of the same rank in the order of the file.
        rank: u8,
    },
    /// By themselves.
    Reported {
        /// The order in which types are listed.
        rank: u8,
    },
}

/// The rank of what may be made at any time before the sockets. Of a lower rank is what the log and the core are made
/// from, and what is to be there first; of a higher one are the sockets, which come when all that they use is there.
pub(crate) const OTHERS: u8 = 8;

// === impl EntityDef: what declarations begin with ===

impl EntityDef {
    /// A type that extends none.
    pub(crate) const ROOT: Self = Self {
        name: "",
        extends: None,
        singleton: false,
        referential: false,
        operations: &[],
        identity: Identity::Number,
        origin: Origin::None,
        description: "",
        attributes: &[],
    };

    /// A type that configuration files may use.
    pub(crate) const CONFIGURATION: Self = Self {
        extends: Some(EntityType::ConfigurationEntity),
        origin: Origin::Configured { rank: OTHERS },
        ..Self::ROOT
    };

    /// A type that shows live state.
    pub(crate) const OPERATIONAL: Self = Self { extends: Some(EntityType::OperationalEntity), ..Self::ROOT };
}

// === impl EntityType ===

impl EntityType {
    /// The type of that name, full or without prefix.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let find = |name: &str| Self::ALL.iter().copied().find(|t| t.short() == name);
        find(name).or_else(|| find(name.strip_prefix(PREFIX)?.strip_prefix('.')?))
    }

    /// The type with exactly that full name.
    #[must_use]
    pub fn parse_full(name: &str) -> Option<Self> {
        let short = name.strip_prefix(PREFIX)?.strip_prefix('.')?;
        Self::ALL.iter().copied().find(|t| t.short() == short)
    }

    /// The name without prefix.
    #[must_use]
    pub const fn short(self) -> &'static str {
        self.def().name
    }

    /// The full name.
    #[must_use]
    pub fn full(self) -> String {
        format!("{PREFIX}.{}", self.short())
    }

    /// What identities of this type begin with; a slash follows. Also the key in schema listings.
    #[must_use]
    pub fn identity_prefix(self) -> &'static str {
        self.short().strip_prefix("router.config.").unwrap_or(self.short())
    }

    /// The type and its bases, nearest first.
    pub fn lineage(self) -> impl Iterator<Item = Self> + Clone {
        std::iter::successors(Some(self), |t| t.def().extends)
    }

    /// The bases, nearest first.
    pub fn bases(self) -> impl Iterator<Item = Self> + Clone {
        self.lineage().skip(1)
    }

    /// Whether this is the other type or extends it.
    #[must_use]
    pub fn is_a(self, other: Self) -> bool {
        self.lineage().any(|t| t == other)
    }

    /// Effective attributes: own, then those of the bases.
    pub fn attributes(self) -> impl Iterator<Item = &'static Attribute> + Clone {
        self.lineage().flat_map(|t| t.def().attributes)
    }

    /// The attribute of that name.
    #[must_use]
    pub fn attribute(self, name: &str) -> Option<&'static Attribute> {
        self.attributes().find(|a| a.name == name)
    }

    /// Effective operations: own, then those of the bases.
    pub fn operations(self) -> impl Iterator<Item = &'static str> + Clone {
        self.lineage().flat_map(|t| t.def().operations.iter().copied())
    }

    /// Whether the operation, in upper case, is offered.
    #[must_use]
    pub fn offers(self, operation: &str) -> bool {
        self.operations().any(|o| o == operation)
    }
}

impl std::fmt::Display for EntityType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}.{}", self.short())
    }
}
