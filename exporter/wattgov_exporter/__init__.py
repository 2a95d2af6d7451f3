"""The meter: reads hardware, gives every joule to an app, publishes metrics for Prometheus."""
