"""To be filled by its floor."""
