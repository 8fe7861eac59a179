"""A connector that imports a CSV file from an address, every night."""
