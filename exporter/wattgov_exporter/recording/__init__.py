"""Recordings of machines: written by `capture`, read by `--replay` and by the tests."""
