"""Notes on what was done, for people: an annotation in Grafana, a line in a chat."""
