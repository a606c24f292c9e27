//! How one attribute is declared.

/// The kind of value an attribute takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    String,
    /// Text that is often a number, and may be given as one.
    NumberText,
    /// Text that is a port number or the name of a service; numbers are converted.
    Port,
    /// Text that names a file or directory.
    Path,
    /// Text that names another entity.
    EntityId,
    /// A whole number; decimal text is converted.
    Integer,
    /// A truth value; `yes`, `no`, `on`, `off`, `true`, `false` are converted.
    Boolean,
    /// A list.
    List,
    /// A map.
    Map,
    /// A map with ASCII text keys.
    Properties,
    /// One of the given words.
    Enum(&'static [&'static str]),
}

/// The value of an attribute that was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// Text, or the word of an enumeration.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// A truth value.
    Flag(bool),
}

/// The declaration of an attribute.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub ty: ValueType,
    /// What it is for.
    pub description: &'static str,
    /// Its value when not given.
    pub default: Option<Default>,
    /// Must have a value once defaults are applied.
    pub required: bool,
    /// No two entities of any type may share a value.
    pub unique: bool,
    /// May be given in CREATE.
    pub create: bool,
    /// May be changed by UPDATE.
    pub update: bool,
    /// Shown as stars in logs and error texts.
    pub hidden: bool,
    /// A number that makes sense in a chart.
    pub graph: bool,
    /// The least and the greatest number, when there are bounds.
    pub range: Option<(i64, i64)>,
}

// === impl ValueType ===

impl ValueType {
    /// The name in schema listings; enumerations list their words instead.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String | Self::NumberText | Self::Port => "string",
            Self::Path => "path",
            Self::EntityId => "entityId",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Map => "map",
            Self::Properties => "properties",
            Self::Enum(_) => "enum",
        }
    }
}

// === impl Attribute: the vocabulary of the tables ===

impl Attribute {
    const fn new(name: &'static str, ty: ValueType, description: &'static str) -> Self {
        Self {
            name,
            ty,
            description,
            default: None,
            required: false,
            unique: false,
            create: false,
            update: false,
            hidden: false,
            graph: false,
            range: None,
        }
    }

    pub(crate) const fn create(mut self) -> Self {
        self.create = true;
        self
    }

    pub(crate) const fn update(mut self) -> Self {
        self.update = true;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) const fn within(mut self, least: i64, most: i64) -> Self {
        self.range = Some((least, most));
        self
    }

    /// No negative number.
    pub(crate) const fn natural(self) -> Self {
        self.within(0, i64::MAX)
    }

    pub(crate) const fn default(mut self, value: Default) -> Self {
        self.default = Some(value);
        self
    }

    pub(crate) const fn or_text(self, value: &'static str) -> Self {
        self.default(Default::Text(value))
    }

    pub(crate) const fn or_number(self, value: i64) -> Self {
        self.default(Default::Number(value))
    }

    pub(crate) const fn or_flag(self, value: bool) -> Self {
        self.default(Default::Flag(value))
    }
}

pub(crate) const fn text(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::String, description)
}

/// Text that may also be given as a number.
pub(crate) const fn number_text(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::NumberText, description)
}

pub(crate) const fn port(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Port, description)
}

pub(crate) const fn path(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Path, description)
}

pub(crate) const fn entity_id(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::EntityId, description)
}

pub(crate) const fn number(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Integer, description)
}

/// A number that makes sense in a chart.
pub(crate) const fn gauge(name: &'static str, description: &'static str) -> Attribute {
    let mut attribute = Attribute::new(name, ValueType::Integer, description);
    attribute.graph = true;
    attribute
}

pub(crate) const fn flag(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Boolean, description)
}

pub(crate) const fn list(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::List, description)
}

pub(crate) const fn map(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Map, description)
}

pub(crate) const fn properties(name: &'static str, description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Properties, description)
}

pub(crate) const fn one_of(name: &'static str, words: &'static [&'static str], description: &'static str) -> Attribute {
    Attribute::new(name, ValueType::Enum(words), description)
}
