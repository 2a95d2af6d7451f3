"""How a rule file is read: YAML in, rules or every mistake out."""
