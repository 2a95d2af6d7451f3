"""What Prometheus, Alertmanager, Grafana and the actuator read, made for a site."""
