"""How any YAML document is read: a tree of nodes, strict keys, the exact place of each mistake."""
