//! What the environment tells of the router for its record (spec `vanflow.md` section 7.1).

use crate::entity::router::mode_name;
use adaptors::{clock, random};
use router_engine::VERSION;
use router_engine::core::Mode;
use router_engine::vanflow::{Attribute, Attributes, Registry, SourceId};
use std::sync::{Arc, OnceLock};

/// The variable with the identity of the site.
const SITE_ID: &str = "SKUPPER_SITE_ID";
/// The variable with the name of the host, or of the pod.
const HOSTNAME: &str = "HOSTNAME";

/// Other variables, and what they say.
const VARIABLES: [(&str, Attribute); 5] = [
    (SITE_ID, Attribute::Parent),
    (HOSTNAME, Attribute::HostName),
    ("POD_NAMESPACE", Attribute::Namespace),
    ("APPLICATION_NAME", Attribute::ImageName),
    ("VERSION", Attribute::ImageVersion),
];

/// What the process has found out itself.
static SITE: OnceLock<String> = OnceLock::new();

/// Says which site the router belongs to, whatever the environment says. Only before it starts, and only once.
pub fn identify_site(id: &str) {
    let _ = SITE.set(id.to_owned());
}

fn variable(name: &str) -> Option<String> {
    let known = SITE.get().filter(|_| name == SITE_ID).cloned();
    known.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
}

/// The identity of the site, if it has one.
pub(crate) fn site_id() -> Option<String> {
    variable(SITE_ID)
}

/// The records of a router that starts.
pub(crate) fn registry(id: &str, mode: Mode) -> Arc<Registry> {
    let source = SourceId::new(variable(HOSTNAME).as_deref(), random::seed());
    Registry::new(source, attributes(id, mode, variable), clock::now())
}

fn attributes(id: &str, mode: Mode, variable: impl Fn(&str) -> Option<String>) -> Attributes {
    let known = [
        (Attribute::Name, format!("0/{id}").into()),
        (Attribute::Mode, mode_name(mode).to_ascii_lowercase().into()),
        (Attribute::BuildVersion, VERSION.into()),
    ];
    let told = VARIABLES.iter().filter_map(|(name, attribute)| Some((*attribute, variable(name)?.into())));
    known.into_iter().chain(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_router() {
        let shown = |variable: fn(&str) -> Option<String>| {
            let attributes = attributes("RA", Mode::Edge, variable);
            attributes.iter().map(|(attribute, value)| format!("{}={value}", attribute.name())).collect::<Vec<_>>()
        };
        let known = ["name=0/RA", "mode=edge", "buildVersion=3.5.0"];
        assert_eq!(shown(|_| None), known);
        let told = ["parent=", "hostname=", "namespace=", "imageName=", "imageVersion="];
        let names = ["SKUPPER_SITE_ID", "HOSTNAME", "POD_NAMESPACE", "APPLICATION_NAME", "VERSION"];
        let told = told.iter().zip(names).map(|(attribute, name)| format!("{attribute}{name}"));
        let expected: Vec<_> = known.iter().map(|text| (*text).to_owned()).chain(told).collect();
        assert_eq!(shown(|name| Some(name.to_owned())), expected);
    }
}
