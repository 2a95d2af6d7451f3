"""The governor: reads rules, asks Prometheus, decides, guards, acts, and puts back."""
