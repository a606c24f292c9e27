//! What the environment says of the export, by OpenTelemetry's own variables.

use super::post::Target;
use std::time::Duration;

/// The name that the router has where the environment gives none.
const SERVICE_NAME: &str = "skupper-router";

/// Figures are not exported more often: making them takes the core's lock.
const SHORTEST: Duration = Duration::from_millis(100);

/// What is exported, where to and how.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) metrics: Option<Target>,
    pub(super) traces: Option<Target>,
    /// Between two exports of figures.
    pub(super) interval: Duration,
    /// How long a span waits for others at most.
    pub(super) delay: Duration,
    /// Spans that wait at a time; beyond that they are dropped.
    pub(super) queue: usize,
    /// Spans that are sent at once.
    pub(super) batch: usize,
    pub(super) sampler: Sampler,
    /// What is told of the router beside what it knows itself.
    pub(super) resource: Vec<(String, String)>,
}

/// Which flows are told of: those whose number, which their trace makes, is below the bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler(f64);

// === impl Settings ===

impl Settings {
    /// None: nothing is to be exported.
    ///
    /// # Errors
    /// What is wrong with which variable.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let variable = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let target = |signal, path| Target::read(&variable, signal, path);
        let (metrics, traces) = (target("METRICS", "v1/metrics")?, target("TRACES", "v1/traces")?);
        if metrics.is_none() && traces.is_none() {
            return Ok(None);
        }
        let number = |name: &str, usual: u64| match variable(name) {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|_| format!("{name}: '{text}' is no number")),
        };
        let millis = |name: &str, usual| number(name, usual).map(|millis| Duration::from_millis(millis.max(1)));
        let size = |name: &str, usual| number(name, usual).map(|n| usize::try_from(n.clamp(1, 1 << 20)).unwrap_or(1));
        Ok(Some(Self {
            metrics,
            traces,
            interval: millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000)?.max(SHORTEST),
            delay: millis("OTEL_BSP_SCHEDULE_DELAY", 5_000)?,
            queue: size("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?,
            batch: size("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?,
            sampler: Sampler::read(&variable)?,
            resource: resource(&variable)?,
        }))
    }
}

/// `key=value,key=value`, with values as in URLs.
pub(super) fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    // What stands there may be secret.
    let pair = |(number, pair): (usize, &str)| {
        let malformed = || format!("{name}: part {} is not of the form key=value", number + 1);
        let (key, value) = pair.split_once('=').ok_or_else(malformed)?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8();
        let value = value.map_err(|_| format!("{name}: the value of '{}' is not UTF-8", key.trim()))?;
        Ok((key.trim().to_owned(), value.into_owned()))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate().map(pair).collect()
}

fn resource(variable: &impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let mut all = variable(ATTRIBUTES).map_or(Ok(Vec::new()), |text| pairs(ATTRIBUTES, &text))?;
    let given = variable("OTEL_SERVICE_NAME");
    if given.is_some() {
        all.retain(|(key, _)| key != "service.name");
    }
    if !all.iter().any(|(key, _)| key == "service.name") {
        all.insert(0, ("service.name".to_owned(), given.unwrap_or_else(|| SERVICE_NAME.to_owned())));
    }
    Ok(all)
}

// === impl Sampler ===

impl Sampler {
    /// Flows have no parents elsewhere, so samplers that go by these do as those that they are based on.
    fn read(variable: &impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let name = variable(NAME).unwrap_or_else(|| "parentbased_always_on".to_owned());
        match name.strip_prefix("parentbased_").unwrap_or(&name) {
            "always_on" => Ok(Self(1.0)),
            "always_off" => Ok(Self(0.0)),
            "traceidratio" => {
                let Some(text) = variable(ARGUMENT) else { return Ok(Self(1.0)) };
                let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.map(Self).ok_or_else(|| format!("{ARGUMENT}: '{text}' is not from 0 to 1"))
            }
            _ => Err(format!("{NAME}: '{name}' is not known")),
        }
    }

    /// Whether any trace is.
    pub(super) fn takes_some(self) -> bool {
        self.0 > 0.0
    }

    /// Whether a trace is told of. All routers come to the same answer.
    pub(super) fn takes(self, trace: u128) -> bool {
        // The upper half of a trace is spread evenly.
        #[expect(clippy::cast_precision_loss, reason = "a part of so many is near enough")]
        let place = ((trace >> 64) as u64 >> 11) as f64 / (1_u64 << 53) as f64;
        place < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let known = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::read(known)
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn nothing_is_exported_unless_there_is_an_endpoint() {
        assert!(read(&[]).expect("nothing wrong").is_none());
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).expect("nothing wrong").is_none());
        assert!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]).expect("nothing wrong").is_none());
        let none = [ENDPOINT, ("OTEL_METRICS_EXPORTER", "none"), ("OTEL_TRACES_EXPORTER", "none")];
        assert!(read(&none).expect("nothing wrong").is_none());
    }

    #[test]
    fn one_endpoint_is_enough() {
        let settings = read(&[ENDPOINT]).expect("nothing wrong").expect("an endpoint");
        let urls = [settings.metrics, settings.traces].map(|target| target.expect("both").to_string());
        assert_eq!(urls, ["http://collector:4318/v1/metrics", "http://collector:4318/v1/traces"]);
        assert_eq!((settings.interval, settings.queue, settings.batch), (Duration::from_secs(60), 2048, 512));
        assert_eq!(settings.resource, [("service.name".to_owned(), "skupper-router".to_owned())]);
        assert!(settings.sampler.takes(0) && settings.sampler.takes(u128::MAX));
    }

    #[test]
    fn a_name_of_its_own_stands_before_that_among_attributes() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, k = b%20c");
        let of = |variables: &[_]| read(variables).expect("nothing wrong").expect("an endpoint").resource;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(of(&[ENDPOINT, attributes]), [pair("service.name", "a"), pair("k", "b c")]);
        let named = of(&[ENDPOINT, attributes, ("OTEL_SERVICE_NAME", "n")]);
        assert_eq!(named, [pair("service.name", "n"), pair("k", "b c")]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ] {
            // The first of a name counts.
            let complaint = read(&[(variable, value), ENDPOINT]).expect_err(value);
            assert!(complaint.starts_with(&format!("{variable}: ")), "{complaint}");
        }
        let secrets = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=a,s3cret"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:s3cret@collector"),
        ];
        for (variable, secret) in secrets {
            let complaint = read(&[(variable, secret), ENDPOINT]).expect_err(secret);
            assert!(!complaint.contains("s3cret"), "{complaint}");
        }
        let ratio = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(read(&ratio).is_err());
    }

    #[test]
    fn a_part_of_the_traces_is_taken() {
        let ratio = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
        let sampler = read(&ratio).expect("nothing wrong").expect("an endpoint").sampler;
        let taken = (0..1000_u128).filter(|n| sampler.takes(n << 118)).count();
        assert_eq!(taken, 256);
        let off = read(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", "always_off")]).expect("nothing wrong");
        assert!(!off.expect("an endpoint").sampler.takes(0));
    }
}
