//! Figures as messages of OTLP.

use super::{Resource, attribute, scope};
use crate::figures::{Family, Kind, Label, Sink, Value};
use adaptors::histogram::Snapshot;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use prost::Message;

/// Points of a message at most.
const POINTS_MAX: usize = 5000;

/// Messages in the making.
pub(super) struct Points {
    resource: Resource,
    /// Since when counters count, and what is told now; nanoseconds since the epoch.
    times: [u64; 2],
    metrics: Vec<Metric>,
    points: usize,
    done: Vec<Vec<u8>>,
}

// === impl Points ===

impl Points {
    pub(super) const fn new(resource: Resource, times: [u64; 2]) -> Self {
        Self { resource, times, metrics: Vec::new(), points: 0, done: Vec::new() }
    }

    /// The messages, encoded.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.flush();
        self.done
    }

    fn flush(&mut self) {
        self.points = 0;
        let mut metrics = std::mem::take(&mut self.metrics);
        metrics.retain(|metric| metric.data.is_some());
        if metrics.is_empty() {
            return;
        }
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, schema_url: String::new() }];
        let resource = Some(self.resource.clone());
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
        self.done.push(ExportMetricsServiceRequest { resource_metrics }.encode_to_vec());
    }

    fn number(&self, attributes: Vec<KeyValue>, value: number_data_point::Value) -> NumberDataPoint {
        let [start_time_unix_nano, time_unix_nano] = self.times;
        NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano, value: Some(value), ..Default::default() }
    }

    fn histogram(&self, attributes: Vec<KeyValue>, times: Snapshot) -> HistogramDataPoint {
        let [start_time_unix_nano, time_unix_nano] = self.times;
        let Snapshot { cumulative, count, sum } = times;
        let below = cumulative.iter().map(|(_, count)| *count);
        let ends = below.clone().chain([count]);
        let bucket_counts = ends.zip(std::iter::once(0).chain(below)).map(|(end, begin)| end - begin).collect();
        HistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum: Some(sum.as_secs_f64()),
            bucket_counts,
            explicit_bounds: cumulative.iter().map(|(bound, _)| bound.as_secs_f64()).collect(),
            ..Default::default()
        }
    }
}

impl Sink for Points {
    fn family(&mut self, family: &Family) {
        self.metrics.push(empty(family));
    }

    fn value(&mut self, family: &Family, labels: &[Label<'_>], value: Value) {
        if self.points == POINTS_MAX {
            self.flush();
            self.metrics.push(empty(family));
        }
        self.points += 1;
        let attributes = labels.iter().map(|(key, value)| attribute(key, value)).collect();
        let point = match value {
            // Counters do not come so far.
            Value::Whole(value) => {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                Err(self.number(attributes, number_data_point::Value::AsInt(value)))
            }
            Value::Real(value) => Err(self.number(attributes, number_data_point::Value::AsDouble(value))),
            Value::Times(times) => Ok(self.histogram(attributes, times)),
        };
        let Some(metric) = self.metrics.last_mut() else { return };
        let data = metric.data.get_or_insert_with(|| no_points(family.kind));
        match (data, point) {
            (metric::Data::Gauge(Gauge { data_points }) | metric::Data::Sum(Sum { data_points, .. }), Err(point)) => {
                data_points.push(point);
            }
            (metric::Data::Histogram(Histogram { data_points, .. }), Ok(point)) => data_points.push(point),
            _ => {}
        }
    }
}

/// A family without points. Names have no endings for what kind and unit tell; whoever makes figures of Prometheus of
/// them again adds these.
fn empty(Family { name, help, .. }: &Family) -> Metric {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let unit = match name.rsplit('_').next() {
        Some("bytes") => "By",
        Some("seconds") => "s",
        // A unit of 1 would make ratios of counts.
        _ => "",
    };
    let [name, description, unit] = [name, help, unit].map(str::to_owned);
    Metric { name, description, unit, ..Default::default() }
}

fn no_points(kind: Kind) -> metric::Data {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    match kind {
        Kind::Gauge => metric::Data::Gauge(Gauge::default()),
        Kind::Counter => metric::Data::Sum(Sum { aggregation_temporality, is_monotonic: true, ..Default::default() }),
        Kind::Histogram => metric::Data::Histogram(Histogram { aggregation_temporality, ..Default::default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const COUNTER: Family = Family { name: "skrouter_x_bytes_total", kind: Kind::Counter, help: "X." };
    const TIMES: Family = Family { name: "skrouter_y_seconds", kind: Kind::Histogram, help: "Y." };

    fn read(messages: &[Vec<u8>]) -> Vec<Vec<Metric>> {
        let read = |message: &Vec<u8>| ExportMetricsServiceRequest::decode(&message[..]).expect("a message");
        let metrics =
            messages.iter().map(|message| read(message).resource_metrics.remove(0).scope_metrics.remove(0).metrics);
        metrics.collect()
    }

    #[test]
    fn a_histogram_has_a_count_for_each_bucket() {
        let mut points = Points::new(Resource::default(), [1, 2]);
        points.family(&COUNTER);
        points.family(&TIMES);
        let cumulative = [(1, 2), (5, 2), (10, 7)].map(|(seconds, n)| (Duration::from_secs(seconds), n)).to_vec();
        let times = Snapshot { cumulative, count: 9, sum: Duration::from_millis(80_500) };
        points.value(&TIMES, &[("name", "n".into())], Value::Times(times));
        let metrics = read(&points.finish()).remove(0);
        assert_eq!(metrics.len(), 1, "a family without values is left out");
        assert_eq!((metrics[0].name.as_str(), metrics[0].unit.as_str()), ("skrouter_y_seconds", "s"));
        let Some(metric::Data::Histogram(Histogram { data_points, aggregation_temporality: 2 })) = &metrics[0].data
        else {
            panic!("no cumulative histogram: {metrics:?}")
        };
        let point = &data_points[0];
        assert_eq!((point.count, point.sum), (9, Some(80.5)));
        assert_eq!((&*point.bucket_counts, &*point.explicit_bounds), (&[2, 0, 5, 2][..], &[1.0, 5.0, 10.0][..]));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
        assert_eq!(point.attributes, [attribute("name", "n")]);
    }

    #[test]
    fn a_large_family_takes_several_messages() {
        let mut points = Points::new(Resource::default(), [1, 2]);
        points.family(&COUNTER);
        (0..POINTS_MAX as u64 + 1).for_each(|value| points.value(&COUNTER, &[], Value::Whole(value)));
        let counts = read(&points.finish()).into_iter().map(|metrics| match &metrics[0].data {
            Some(metric::Data::Sum(sum)) if sum.is_monotonic && metrics[0].name == "skrouter_x_bytes" => {
                sum.data_points.len()
            }
            other => panic!("no sum: {other:?}"),
        });
        assert_eq!(counts.collect::<Vec<_>>(), [POINTS_MAX, 1]);
    }
}
