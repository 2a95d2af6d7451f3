"""How a decision becomes a write that can be undone: journal, lease, lock, hands on the knobs."""
