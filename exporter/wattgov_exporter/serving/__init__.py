"""HTTP: what is shown; who may look, and how much he may ask for, is in `wattgov_web`."""
