"""A connector between Hull and Customer.io, in both directions."""
