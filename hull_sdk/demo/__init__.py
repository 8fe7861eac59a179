"""The demo behind ``hull demo``: platform and connector on a bundled data set, checked against a calculation."""
