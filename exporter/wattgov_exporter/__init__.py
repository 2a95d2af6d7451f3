"""The meter: reads hardware, gives every joule to an app, publishes metrics for Prometheus."""

__version__ = "0.1.0"
"""Of both packages, and of what is installed; written here and nowhere else."""
