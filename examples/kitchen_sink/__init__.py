"""A connector that uses everything: read it to see how a feature looks in place, not as a model of restraint."""
