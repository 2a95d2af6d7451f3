"""How a tick decides: pure functions from rules, memory, samples and now to decisions."""
