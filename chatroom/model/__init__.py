"""Values that everything else speaks of, and small protocols."""
