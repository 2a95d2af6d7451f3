"""The actuator over HTTP: what it shows, and what it may be asked to do."""
