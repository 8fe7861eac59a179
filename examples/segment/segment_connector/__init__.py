"""A connector between Hull and Segment, in both directions."""
