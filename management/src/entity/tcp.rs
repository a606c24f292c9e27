//! What `tcpListener` and `tcpConnector` have in common.

use super::column::{Column, counter};
use crate::attributes::Attributes;
use crate::error::RouterError;
use adaptors::tcp::Service;
use std::sync::Arc;

/// Live attributes of either. Octets are not counted; the attributes are kept for compatibility.
pub(super) const COLUMNS: &[Column<Arc<Service>>] = &[
    ("bytesIn", |_| counter(0)),
    ("bytesOut", |_| counter(0)),
    ("connectionsOpened", |service| counter(service.opened())),
    ("connectionsClosed", |service| counter(service.closed())),
];

/// The schema does not require a port, but sockets do.
pub(super) fn port(a: &Attributes) -> Result<String, RouterError> {
    a.owned("port").ok_or_else(|| RouterError::python("KeyError: ('port',)").of_attributes())
}
