"""Amazon States Language definitions, each a pure function of plain strings."""
