//! Errors of the router's subsystems.

use router_engine::log::{Level, LogModule};
use std::fmt;

/// The kind of an error. Its name is part of texts that clients and operators see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Something named does not exist.
    NotFound,
    /// Something would be there twice.
    AlreadyExists,
    /// Memory or another resource ran out.
    Allocation,
    /// A message that makes no sense.
    InvalidMessage,
    /// An error of the layer that upstream wrote in Python; kept because texts begin with it.
    Python,
    /// A setting that is out of range or contradicts another.
    Configuration,
    /// A value of the wrong type.
    Type,
    /// A value that is wrong.
    Value,
    /// The environment does not allow what was asked for.
    RunTime,
    /// The operating system refused.
    System,
    /// Rules of policy that make no sense.
    Policy,
}

/// An error of a subsystem: shows as `<class>: <text>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {text}")]
pub struct RouterError {
    /// The class.
    pub class: ErrorClass,
    /// The text.
    pub text: String,
    /// What was asked for makes no sense, whatever the state of the router.
    pub invalid: bool,
}

// === impl ErrorClass ===

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "Not found",
            Self::AlreadyExists => "Already exists",
            Self::Allocation => "Allocation",
            Self::InvalidMessage => "Invalid message",
            Self::Python => "Python",
            Self::Configuration => "Configuration",
            Self::Type => "Type",
            Self::Value => "Value",
            Self::RunTime => "Run Time",
            Self::System => "System",
            Self::Policy => "PolicyError",
        })
    }
}

// === impl RouterError ===

impl RouterError {
    /// An error, logged under module ERROR as every error of a subsystem is.
    pub fn new(class: ErrorClass, text: impl Into<String>) -> Self {
        let error = Self { class, text: text.into(), invalid: false };
        router_engine::log!(LogModule::Error, Level::Error, "{error}");
        error
    }

    /// The attributes make no sense.
    #[must_use]
    pub fn of_attributes(self) -> Self {
        Self { invalid: true, ..self }
    }

    /// [`ErrorClass::Configuration`].
    pub fn configuration(text: impl Into<String>) -> Self {
        Self::new(ErrorClass::Configuration, text)
    }

    /// [`ErrorClass::NotFound`].
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(ErrorClass::NotFound, text)
    }

    /// [`ErrorClass::Python`].
    pub fn python(text: impl Into<String>) -> Self {
        Self::new(ErrorClass::Python, text)
    }

    /// [`ErrorClass::Policy`]. Whoever refuses the rules logs it.
    pub fn policy(text: impl Into<String>) -> Self {
        Self { class: ErrorClass::Policy, text: text.into(), invalid: false }
    }

    /// [`ErrorClass::Value`].
    pub fn value(text: impl Into<String>) -> Self {
        Self::new(ErrorClass::Value, text)
    }
}
