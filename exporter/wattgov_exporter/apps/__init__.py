"""Processes and their names: which app each belongs to, and the CPU time it used."""
