//! Failures at run time, under the names that scripts know.

use std::io;

/// Why a command failed. `Display` is the text behind the name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The router refused the request.
    #[error("{description}")]
    Status {
        /// Code of the reply.
        code: i64,
        /// Description of the reply.
        description: String,
    },
    /// A step took longer than `--timeout`.
    #[error("Connection {url} timed out: {step}")]
    Timeout {
        /// Where to.
        url: String,
        /// What was waited for.
        step: String,
    },
    /// The connection could not be made, or ended.
    #[error("Connection {url} disconnected: Condition('{condition}', '{description}')")]
    Disconnected {
        /// Where to.
        url: String,
        /// The AMQP condition, or one of the transport.
        condition: String,
        /// What is known about it.
        description: String,
    },
    /// The router ended a link or would not make it.
    #[error("{0}")]
    Link(String),
    /// The host has no address.
    #[error("[Errno -2] Name or service not known")]
    UnknownHost,
    /// A certificate or key file is of no use.
    #[error("SSL failure.")]
    Credentials(String),
    /// A value that cannot be what it has to be.
    #[error("{0}")]
    Value(String),
    /// An attribute or type that the schema does not have.
    #[error("{0}")]
    Validation(String),
    /// Text that is not JSON.
    #[error("{0}")]
    Json(String),
    /// An operation that needs attributes got none.
    #[error("'Namespace' object has no attribute 'attributes'")]
    NoAttributes,
    /// A file.
    #[error("[Errno {}] {}: '{path}'", .error.raw_os_error().unwrap_or_default(), os_text(.error))]
    File {
        /// Its path.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// Standard output.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// Words that cannot be understood, for which the usage is shown.
    #[error("{0}")]
    Usage(String),
}

/// What commands return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

// === impl Error ===

impl Error {
    /// What is printed before the text.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { code, .. } => status_name(*code),
            Self::Timeout { .. } => "Timeout",
            Self::Disconnected { .. } => "ConnectionException",
            Self::Link(_) => "LinkException",
            Self::UnknownHost => "gaierror",
            Self::Credentials(_) => "SSLException",
            Self::Value(_) => "ValueError",
            Self::Validation(_) => "ValidationError",
            Self::Json(_) => "JSONDecodeError",
            Self::NoAttributes => "AttributeError",
            Self::File { error, .. } if error.kind() == io::ErrorKind::NotFound => "FileNotFoundError",
            Self::File { .. } | Self::Output(_) => "OSError",
            Self::Usage(_) => "UsageError",
        }
    }

    /// What to try, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Timeout { step, .. } if step.contains("_topo/") || step.contains("_edge/") => {
                "the network has no such router now; skstat -n lists interior routers, skstat --topology edge routers too"
            }
            Self::Timeout { step, .. } if step == "Opening connection" => {
                "something listens there, but does not answer in AMQP: is it the AMQP port, and with TLS an amqps: URL?"
            }
            Self::Timeout { .. } => "a longer limit is set with --timeout SECONDS",
            Self::Disconnected { description, .. } => return disconnected_hint(description).map(str::to_owned),
            Self::UnknownHost => "the URL of --bus is [amqp[s]://][USER[:PASSWORD]@]HOST[:PORT]",
            Self::Credentials(reason) => return Some(reason.clone()),
            Self::NoAttributes => "give attributes as NAME=VALUE, or as JSON on standard input with --stdin",
            Self::Status { code: 404, .. } => "skmanage query --type TYPE name identity lists what there is",
            Self::Status { description, .. } if description.starts_with("No such entity type") => {
                "skmanage get-types lists the types"
            }
            Self::Validation(_) => "skmanage get-types lists the types, get-attributes TYPE the attributes of one",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn status_name(code: i64) -> &'static str {
    match code {
        200..=299 => "ValueError",
        400 => "BadRequestStatus",
        401 => "UnauthorizedStatus",
        403 => "ForbiddenStatus",
        404 => "NotFoundStatus",
        500 => "InternalServerErrorStatus",
        501 => "NotImplementedStatus",
        _ => "ManagementError",
    }
}

fn disconnected_hint(description: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 6] = [
        ("refused", "does the router run, with a listener at that host and port? --bus URL names another"),
        ("CertificateRequired", "the router demands a certificate: --ssl-certificate CERT --ssl-key KEY"),
        ("certificate verify failed", "--ssl-trustfile CA names who vouches for the router's certificate"),
        ("SSL Failure", "the listener may not speak TLS, or demand a certificate (--ssl-certificate, --ssl-key)"),
        ("Expected AMQP protocol header", "the listener may demand TLS (an amqps: URL) or SASL (--sasl-mechanisms)"),
        ("Authentication", "--sasl-username, --sasl-password-file and --sasl-mechanisms say who you are"),
    ];
    HINTS.iter().find(|(part, _)| description.contains(part)).map(|(_, hint)| *hint)
}

/// The operating system's words without the number that Rust appends.
fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
