//! What routers export to a collector of OpenTelemetry that others wrote the messages for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::apps;
use interop_tests::harness::{Binary, Certificates, Dialogue, Mark, eventually, output_of, run};
use interop_tests::tcp::{Digest, ScriptedServer, connect};
use interop_tests::topology::{Dialler, Line, LineBuilder, Security};
use serde_json::Value;

/// Connections through both routers, and what each carries.
const CONNECTIONS: usize = 5;
const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";

/// A collector in a process of its own.
struct Collector {
    _process: Dialogue,
    port: String,
    certificates: Option<Certificates>,
}

impl Collector {
    fn start(certificates: Option<Certificates>) -> Result<Self> {
        let mut command = apps::script("opentelemetry.proto", "otlp.py")?;
        if let Some(files) = &certificates {
            command.args([&files.certificate, &files.key]);
        }
        let process = Dialogue::start(&mut command)?;
        let port = process.hear("port ")?.trim_start_matches("port ").to_owned();
        Ok(Self { _process: process, port, certificates })
    }

    fn endpoint(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// What it has received so far.
    fn received(&self) -> Result<Vec<Value>> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--ipv4", &self.endpoint()]);
        if let Some(files) = &self.certificates {
            curl.arg("--cacert").arg(&files.ca);
        }
        Ok(serde_json::from_slice(&output_of(&mut curl, b"")?)?)
    }

    /// The spans that it has received.
    fn spans(&self) -> Result<Vec<Value>> {
        let messages = self.received()?;
        let resources = messages.iter().flat_map(|received| list(&received["message"]["resourceSpans"]));
        let scopes = resources.flat_map(|resource| list(&resource["scopeSpans"]));
        Ok(scopes.flat_map(|scope| list(&scope["spans"])).cloned().collect())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Attributes by key; numbers as text.
fn attributes(of: &Value) -> BTreeMap<String, String> {
    let text =
        |value: &Value| value["stringValue"].as_str().or(value["intValue"].as_str()).unwrap_or_default().to_owned();
    let pairs = list(&of["attributes"]).iter();
    pairs.map(|pair| (pair["key"].as_str().unwrap_or_default().to_owned(), text(&pair["value"]))).collect()
}

/// Our router, with these variables.
fn exporting(variables: &[(&str, &str)]) -> Result<Binary> {
    let variables: Vec<_> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let arguments: Vec<_> = variables.iter().map(String::as_str).collect();
    Ok(Binary::ours()?.launched_by("env", &arguments))
}

/// Two routers that are so called, and a service across them that is watched for HTTP.
fn line(binaries: [Binary; 2]) -> Result<(Line, ScriptedServer)> {
    let server = ScriptedServer::start()?;
    server.script(|mut stream| {
        stream.read_exact(&mut [0; REQUEST.len()])?;
        stream.write_all(ANSWER)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new())?;
        Ok(Digest::default())
    });
    let line = LineBuilder::new(binaries).named(["west", "east"]).joined(Security::Plain, Dialler::Right);
    Ok((line.service("svc", 0, 1, server.address()).start()?, server))
}

fn converse(line: &Line) -> Result<()> {
    let mut client = connect(line.listen_address("svc")?)?;
    client.write_all(REQUEST)?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    ensure!(answer == ANSWER);
    Ok(())
}

#[test]
fn figures_and_flows_reach_their_collectors() {
    run(|| {
        let folder = tempfile::tempdir()?;
        let (plain, secured) = (Collector::start(None)?, Collector::start(Some(Certificates::make(folder.path())?))?);
        let text = |path: &Path| path.display().to_string();
        let ca = text(&secured.certificates.as_ref().context("TLS")?.ca);
        let [plain_at, secured_at] = [&plain, &secured].map(Collector::endpoint);
        let often = [("OTEL_METRIC_EXPORT_INTERVAL", "300"), ("OTEL_BSP_SCHEDULE_DELAY", "200")];
        let west = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", plain_at.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20secret"),
            ("OTEL_SERVICE_NAME", "the-west"),
            ("OTEL_RESOURCE_ATTRIBUTES", "region=left"),
        ];
        let east = [("OTEL_EXPORTER_OTLP_ENDPOINT", secured_at.as_str()), ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca)];
        let (line, _server) =
            line([exporting(&[&often[..], &west].concat())?, exporting(&[&often[..], &east].concat())?])?;
        (0..CONNECTIONS).try_for_each(|_| converse(&line))?;
        let of_kind = |spans: &[Value], kind: &str, name: &str| {
            let wanted = spans.iter().filter(|span| span["kind"] == kind && span["name"] == name);
            wanted.cloned().collect::<Vec<_>>()
        };
        let (flows, requests, parts) = eventually("all spans are there", || {
            let [west, east] = [plain.spans()?, secured.spans()?];
            let flows = of_kind(&west, "SPAN_KIND_SERVER", "tcp svc");
            let requests = of_kind(&west, "SPAN_KIND_SERVER", "GET");
            let parts = of_kind(&east, "SPAN_KIND_CLIENT", "tcp svc");
            let counts = [&flows, &requests, &parts].map(Vec::len);
            ensure!(counts == [CONNECTIONS; 3], "{counts:?}: {west:?} {east:?}");
            Ok((flows, requests, parts))
        })?;
        for flow in &flows {
            let below = |span: &&Value| span["traceId"] == flow["traceId"] && span["parentSpanId"] == flow["spanId"];
            ensure!(flow["parentSpanId"].is_null(), "{flow}");
            let request = requests.iter().find(below).context("no request below a flow")?;
            let part = parts.iter().find(below).context("no part of the other router below a flow")?;
            for (span, wanted) in [
                (flow, vec![("skrouter.octets", REQUEST.len()), ("skrouter.octetsReverse", ANSWER.len())]),
                (part, vec![("skrouter.octets", ANSWER.len()), ("skrouter.octetsReverse", REQUEST.len())]),
                (request, vec![("http.response.status_code", 503)]),
            ] {
                let attributes = attributes(span);
                for (key, number) in wanted {
                    ensure!(attributes.get(key) == Some(&number.to_string()), "{key}: {span}");
                }
                let time =
                    |name: &str| span[name].as_str().and_then(|nanos| nanos.parse::<u64>().ok()).context("a time");
                ensure!(time("startTimeUnixNano")? <= time("endTimeUnixNano")?, "{span}");
            }
            ensure!(request["status"]["code"] == "STATUS_CODE_ERROR" && flow["status"].is_null(), "{request} {flow}");
        }
        let all = CONNECTIONS.to_string();
        eventually("the figures tell of the flows", || {
            let received = plain.received()?;
            let latest = received.iter().rfind(|received| received["path"] == "/v1/metrics").context("no figures")?;
            ensure!(latest["headers"]["x-key"] == "a secret", "{latest}");
            let resource = &latest["message"]["resourceMetrics"][0];
            let known = attributes(&resource["resource"]);
            for (key, value) in [("service.name", "the-west"), ("region", "left"), ("service.instance.id", "west")] {
                ensure!(known.get(key).is_some_and(|known| known == value), "{known:?}");
            }
            let metrics = list(&resource["scopeMetrics"][0]["metrics"]);
            let named = |name: &str| metrics.iter().find(|metric| metric["name"] == name).context(name.to_owned());
            let peers = named("skrouter_service_peer_connections_opened")?;
            ensure!(peers["sum"]["isMonotonic"] == true, "{peers}");
            let point = &peers["sum"]["dataPoints"][0];
            ensure!(point["asInt"] == all && attributes(point)["peer"] == "east", "{point}");
            let times = &named("skrouter_service_first_byte_seconds")?["histogram"]["dataPoints"][0];
            let counts = list(&times["bucketCounts"]).iter().filter_map(|count| count.as_str()?.parse::<usize>().ok());
            ensure!(times["count"] == all && counts.sum::<usize>() == CONNECTIONS, "{times}");
            Ok(())
        })?;
        line.expect_no_errors(&[])
    });
}

/// Nobody is at the collector's address; that is told once, and traffic goes on.
#[test]
fn a_collector_that_is_not_there_disturbs_nobody() {
    run(|| {
        let gone = interop_tests::harness::Port::reserve()?;
        let endpoint = format!("http://127.0.0.1:{}", gone.number());
        let quick = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "2"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
        ];
        let (mut line, _server) = line([exporting(&quick)?, Binary::ours()?])?;
        let log = |line: &Line, text: &str| line.first().router.log().wait_for(Mark::default(), text).map(drop);
        log(&line, &format!("Export to {endpoint}/v1/metrics failed: Connection refused"))?;
        (0..10 * CONNECTIONS).try_for_each(|_| converse(&line))?;
        log(&line, "spans were dropped, as there were more than OpenTelemetry takes")?;
        let warnings = line.first().router.log().lines(Mark::default(), interop_tests::harness::Level::Warning);
        let failures = warnings.iter().filter(|line| line.contains("/v1/metrics failed")).count();
        ensure!(failures == 1, "{warnings:?}");
        ensure!(line.router_mut(0).terminate()?.success());
        Ok(())
    });
}

#[test]
fn what_makes_no_sense_is_said_and_nothing_exported() {
    run(|| {
        let wrong = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let (line, _server) = line([exporting(&wrong)?, Binary::ours()?])?;
        let text = "Nothing is exported to OpenTelemetry: OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' is not supported";
        line.first().router.log().wait_for(Mark::default(), text)?;
        converse(&line)
    });
}
