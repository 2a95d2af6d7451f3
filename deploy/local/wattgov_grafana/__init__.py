"""The dashboards: laid out from grafana/*.yml, drawn without a Grafana, checked in one."""
