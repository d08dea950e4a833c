"""Grafana dashboards as programs: what a node, a rack and the fleet do, from the series and the recording rules."""
