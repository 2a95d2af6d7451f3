"""The live loop, and what it remembers and shows from tick to tick."""
