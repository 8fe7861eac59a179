"""A connector that takes the JSON webhooks of any service, and writes what its settings say."""
