"""HTTP: who may look, what is shown, and how much a client may ask for."""
