"""The commands that look at rules and at the journal, and those that stop the governor."""
