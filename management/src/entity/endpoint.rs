//! What `listener` and `connector` have in common.

use crate::schema::Attribute;
use crate::schema::attribute::{number, one_of, port, properties, text};

const ROLES: &[&str] = &["normal", "inter-router", "route-container", "edge", "inter-edge", "inter-network"];
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const STRIP: &[&str] = &["in", "out", "both", "no"];

// Attributes that listeners and connectors share.
pub(super) const PORT: Attribute = port("port", "A port number or service name.").or_text("amqp").create();
pub(super) const FAMILY: Attribute = one_of("socketAddressFamily", FAMILIES, "Use only this version of IP.").create();
pub(super) const ROLE: Attribute = one_of("role", ROLES, "What the connections are for.").or_text("normal").create();
pub(super) const COST: Attribute =
    number("cost", "What a message pays for crossing the connection.").or_number(1).create();
pub(super) const SSL_PROFILE_NAME: Attribute =
    text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create();
pub(super) const MAX_FRAME_SIZE: Attribute =
    number("maxFrameSize", "Octets in the largest frame that is accepted.").or_number(16384).create();
pub(super) const MAX_SESSIONS: Attribute =
    number("maxSessions", "Sessions on one connection.").or_number(32768).create();
pub(super) const MAX_SESSION_FRAMES: Attribute =
    number("maxSessionFrames", "Frames that one session may have under way to the router.").create();
pub(super) const IDLE_TIMEOUT: Attribute =
    number("idleTimeoutSeconds", "A peer silent for this long is cut off; 0 never.").natural().or_number(16).create();
pub(super) const STRIP_ANNOTATIONS: Attribute =
    one_of("stripAnnotations", STRIP, "Where router annotations are taken off messages.").or_text("both").create();
pub(super) const LINK_CAPACITY: Attribute =
    number("linkCapacity", "The credit that a sending peer gets per link.").natural().create();
pub(super) const MESSAGE_LOGGING: Attribute =
    text("messageLoggingComponents", "Message properties to show in the MESSAGE log: none, all, or a list.")
        .or_text("none")
        .create();
pub(super) const OPEN_PROPERTIES: Attribute =
    properties("openProperties", "Properties to add when a connection opens.").create();
