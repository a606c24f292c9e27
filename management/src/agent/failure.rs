//! Outcomes of requests.

use crate::config::SetError;
use crate::error::{ErrorClass, RouterError};
use crate::schema::validate::SchemaError;

/// The status of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 201
    Created,
    /// 204
    NoContent,
    /// 400
    BadRequest,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 500
    InternalError,
    /// 501
    NotImplemented,
}

/// Why a request, or an entity of a configuration file, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status to answer with.
    pub status: Status,
    /// The class of error, as it shows when a configuration file is refused.
    pub class: &'static str,
    /// The text.
    pub text: String,
}

// === impl Status ===

impl Status {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Ok => 200,
            Self::Created => 201,
            Self::NoContent => 204,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::InternalError => 500,
            Self::NotImplemented => 501,
        }
    }

    /// The description of a reply that has no other.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Created => "Created",
            Self::NoContent => "No Content",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::InternalError => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// The request makes no sense.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self { status: Status::BadRequest, class: "BadRequestStatus", text: text.into() }
    }

    /// An entity does not fit the schema or its peers.
    pub fn validation(text: impl Into<String>) -> Self {
        Self { status: Status::BadRequest, class: "ValidationError", text: text.into() }
    }

    /// What was asked for does not exist.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self { status: Status::NotFound, class: "NotFoundStatus", text: text.into() }
    }

    /// The operation is not offered.
    pub fn not_implemented(text: impl Into<String>) -> Self {
        Self { status: Status::NotImplemented, class: "NotImplementedStatus", text: text.into() }
    }

    /// A failure inside the router; its class is part of what clients are told.
    pub fn internal(class: &'static str, text: impl Into<String>) -> Self {
        Self { status: Status::InternalError, class, text: text.into() }
    }

    /// The status description of the reply.
    #[must_use]
    pub fn description(&self) -> String {
        if self.status == Status::InternalError { self.with_class() } else { self.text.clone() }
    }

    /// The text with the class of error in front.
    #[must_use]
    pub fn with_class(&self) -> String {
        format!("{}: {}", self.class, self.text)
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        Self::validation(error.0)
    }
}

impl From<SetError> for Failure {
    fn from(error: SetError) -> Self {
        Self::validation(error.0)
    }
}

impl From<RouterError> for Failure {
    fn from(error: RouterError) -> Self {
        if error.class == ErrorClass::Policy {
            return Self::internal("PolicyError", error.text);
        }
        let status = if error.invalid { Status::BadRequest } else { Status::InternalError };
        Self { status, class: "CError", text: error.to_string() }
    }
}
