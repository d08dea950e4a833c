"""What operators load into Prometheus and Grafana: rules, their unit tests, dashboards."""
