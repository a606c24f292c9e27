//! What entities need beside themselves: other entities, files, certificates, sockets.

use super::report::Report;
use super::section::{Place, words};
use crate::attributes::Attributes;
use crate::config::{EntityConfig, load_policy_dir};
use crate::entity::needs::{FileKind, Needs};
use crate::entity::tls_profile;
use crate::schema::EntityType;
use adaptors::net::{Family, can_listen};
use adaptors::tls::secret::os_text;
use adaptors::tls::{CertificateSummary, inspect};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Certificates that end sooner than this are worth a word.
const SOON: i64 = 30 * 24 * 3600;

/// A file with all its entities, those included that it leaves out. They have no place.
pub(super) struct File<'a> {
    pub(super) entities: &'a [EntityConfig],
    pub(super) places: &'a [Place<'a>],
}

// === impl File ===

impl File<'_> {
    pub(super) fn line(&self, index: usize) -> Option<usize> {
        self.places.get(index).map(|place| place.line)
    }

    fn line_of(&self, index: usize, attribute: &str) -> Option<usize> {
        self.places.get(index).map(|place| place.line_of(attribute))
    }

    fn named(&self, ty: EntityType, name: &str) -> Option<&EntityConfig> {
        self.entities.iter().find(|entity| entity.ty == ty && entity.name() == name)
    }

    /// Reports what the entities need and do not find.
    pub(super) fn audit(&self, report: &mut Report) {
        let mut sockets = HashMap::new();
        for (index, entity) in self.entities.iter().enumerate() {
            let needs = match entity.ty.kind().needs(&entity.attributes) {
                Ok(needs) => needs,
                Err(error) => {
                    report.problem(self.line(index), format!("{}: {}", entity.ty.short(), words(&error)), None);
                    continue;
                }
            };
            self.audit_references(index, &needs, report);
            self.audit_files(index, &needs, report);
            self.audit_tls(index, &needs, report);
            for (attribute, why) in &needs.ignored {
                let text = format!("{}: '{attribute}' {why}, it has no effect", entity.ty.short());
                report.note(self.line_of(index, attribute), text, Some("leave it out".to_owned()));
            }
            if needs.listens {
                self.audit_socket(index, &mut sockets, report);
            }
            match entity.ty {
                EntityType::SslProfile => self.audit_certificates(index, report),
                EntityType::ListenerAddress => self.audit_strategy(index, report),
                EntityType::Policy => self.audit_vhosts(index, report),
                _ => {}
            }
        }
    }

    fn audit_references(&self, index: usize, needs: &Needs, report: &mut Report) {
        let entity = &self.entities[index];
        for (attribute, ty) in needs.entities {
            let Some(name) = entity.attributes.text(attribute).filter(|name| !name.is_empty()) else { continue };
            if self.named(*ty, name).is_none() {
                let text = format!("{}: there is no {} named '{name}'", entity.ty.short(), ty.short());
                let names = self.entities.iter().filter(|other| other.ty == *ty).map(EntityConfig::name);
                let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
                let advice = match &names[..] {
                    [] => format!("add a {} with that name, or leave '{attribute}' out", ty.short()),
                    names => format!("there are: {}", names.join(", ")),
                };
                report.problem(self.line_of(index, attribute), text, Some(advice));
            }
        }
    }

    fn audit_strategy(&self, index: usize, report: &mut Report) {
        let listener = self.entities[index].attributes.text("listener").unwrap_or_default();
        let Some(found) = self.named(EntityType::TcpListener, listener) else { return };
        if found.attributes.text("multiAddressStrategy") == Some("none") {
            let text = format!("listenerAddress: tcpListener '{listener}' takes no further addresses");
            let advice = "set its 'multiAddressStrategy' to priority or weighted, and leave its 'address' out";
            report.problem(self.line_of(index, "listener"), text, Some(advice.to_owned()));
        }
    }

    fn audit_vhosts(&self, index: usize, report: &mut Report) {
        let dir = self.entities[index].attributes.text("policyDir").filter(|dir| !dir.is_empty());
        if let Some(Err(error)) = dir.map(load_policy_dir) {
            report.problem(self.line_of(index, "policyDir"), format!("policy: {}", error.text), None);
        }
    }

    fn audit_files(&self, index: usize, needs: &Needs, report: &mut Report) {
        let entity = &self.entities[index];
        for (attribute, kind) in needs.files {
            let Some(path) = entity.attributes.text(attribute).filter(|path| !path.is_empty()) else { continue };
            if let Err(error) = kind.try_access(path) {
                let text = format!("{}: {attribute} '{path}': {}", entity.ty.short(), os_text(&error));
                report.problem(self.line_of(index, attribute), text, Some(kind.advice().to_owned()));
            }
        }
    }

    fn audit_tls(&self, index: usize, needs: &Needs, report: &mut Report) {
        let entity = &self.entities[index];
        let Some(role) = &needs.tls else { return };
        let Some(profile) =
            entity.attributes.text("sslProfile").and_then(|name| self.named(EntityType::SslProfile, name))
        else {
            return;
        };
        // What is wrong with the profile itself is told where it stands.
        let Ok(profile) = tls_profile(&profile.attributes) else { return };
        if let Err(error) = role.try_load(&profile) {
            report.problem(self.line_of(index, "sslProfile"), format!("{}: {error}", entity.ty.short()), None);
        }
    }

    fn audit_certificates(&self, index: usize, report: &mut Report) {
        let a = &self.entities[index].attributes;
        if let Err(error) = tls_profile(a) {
            report.problem(self.line(index), format!("sslProfile: {}", words(&error)), None);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let own = self.certificates(a, "certFile");
        for certificate in &own {
            self.audit_time((index, "certFile"), certificate, now, report);
        }
        for pair in own.windows(2) {
            if let [certificate, next] = pair
                && !certificate.names_as_issuer(next)
            {
                let text = format!(
                    "sslProfile: '{}' was not issued by '{}', which follows it",
                    certificate.subject, next.subject
                );
                let advice = "the own certificate comes first, then whoever issued it, and so on";
                report.problem(self.line_of(index, "certFile"), text, Some(advice.to_owned()));
            }
        }
        let authorities = self.certificates(a, "caCertFile");
        let in_force = authorities.iter().any(|authority| authority.not_after > now);
        if !in_force {
            authorities.iter().for_each(|a| self.audit_time((index, "caCertFile"), a, now, report));
        }
        if let (Some(last), false) = (own.last(), authorities.is_empty())
            && !last.is_self_issued()
            && !authorities.iter().any(|authority| last.names_as_issuer(authority))
        {
            let text = format!("sslProfile: '{}', who issued the own certificate, is not in caCertFile", last.issuer);
            let advice = "right where peers trust other authorities than this router does; otherwise they refuse it";
            report.note(self.line_of(index, "caCertFile"), text, Some(advice.to_owned()));
        }
    }

    fn certificates(&self, a: &Attributes, attribute: &str) -> Vec<CertificateSummary> {
        let path = a.text(attribute).map(Path::new).filter(|path| path.is_file());
        // What cannot be read is told by the file's kind, or by who uses the profile.
        path.and_then(|path| inspect(path).ok()).unwrap_or_default()
    }

    fn audit_time(&self, (index, attribute): (usize, &str), c: &CertificateSummary, now: i64, report: &mut Report) {
        let line = self.line_of(index, attribute);
        let renew = Some("have it issued anew".to_owned());
        if c.not_after <= now {
            report.problem(line, format!("sslProfile: the certificate of '{}' expired at {}", c.subject, c.end), renew);
        } else if c.not_before > now {
            let clock = Some("look at the clocks of this machine and of the authority".to_owned());
            report.problem(line, format!("sslProfile: the certificate of '{}' is not in force yet", c.subject), clock);
        } else if c.not_after - now < SOON {
            let days = (c.not_after - now) / (24 * 3600);
            let text = format!("sslProfile: the certificate of '{}' expires in {days} days, at {}", c.subject, c.end);
            report.note(line, text, renew);
        }
    }

    fn audit_socket(&self, index: usize, taken: &mut HashMap<(String, String), usize>, report: &mut Report) {
        let entity = &self.entities[index];
        let a = &entity.attributes;
        let (kind, host, port) = (entity.ty.short(), a.string("host"), a.string("port"));
        let line = self.line_of(index, "port");
        let shown = format!("{}:{port}", if host.is_empty() { "*" } else { &host });
        if let Some(first) = taken.insert((host.clone(), port.clone()), index).filter(|_| port != "0") {
            let place = self.line(first).map(|line| format!(" in line {line}")).unwrap_or_default();
            let other = self.entities[first].ty.short();
            report.problem(
                line,
                format!("{kind}: {shown} is taken by the {other}{place}"),
                Some("use another port".to_owned()),
            );
            return;
        }
        let family = a.text("socketAddressFamily").and_then(Family::parse);
        match can_listen(&host, &port, family) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let advice =
                    "a router that runs with this file has it; otherwise end the other program or use another port";
                report.note(line, format!("{kind}: {shown} is in use now"), Some(advice.to_owned()));
            }
            Err(error) => {
                let advice = "'host' is an address of this machine, or empty for all of them";
                report.problem(
                    line,
                    format!("{kind}: cannot listen at {shown}: {}", os_text(&error)),
                    Some(advice.to_owned()),
                );
            }
        }
    }
}

// === impl FileKind ===

impl FileKind {
    fn try_access(self, path: &str) -> io::Result<()> {
        let path = Path::new(path);
        match self {
            Self::Readable => adaptors::files::open(path).map(drop),
            Self::Certificates if path.is_dir() => path.read_dir().map(drop),
            Self::Certificates => inspect(path).map(drop).map_err(io::Error::other),
            Self::Directory => path.read_dir().map(drop),
            Self::Writable if path.exists() => std::fs::OpenOptions::new().append(true).open(path).map(drop),
            Self::Writable => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => parent.read_dir().map(drop),
                None => Ok(()),
            },
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Readable => "the router must be able to read the file",
            Self::Certificates => {
                "the router must be able to read the file, and it has to hold certificates in PEM form"
            }
            Self::Directory => "the directory has to be there",
            Self::Writable => "the router must be able to write the file",
        }
    }
}
