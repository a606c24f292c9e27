"""Reads figures in Prometheus's text format, and prints them as JSON: values by name and labels."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families


def read(text):
    values, families = {}, set()
    for family in text_string_to_metric_families(text):
        if family.name in families:
            raise SystemExit(f"{family.name} comes twice")
        families.add(family.name)
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            series = f"{sample.name} {labels}".strip()
            if series in values:
                raise SystemExit(f"{series} comes twice")
            values[series] = sample.value
    return values


json.dump(read(sys.stdin.read()), sys.stdout)
