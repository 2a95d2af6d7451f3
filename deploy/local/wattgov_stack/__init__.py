"""The whole loop on one machine: exporter, Prometheus, Alertmanager, actuator, and a live table."""
