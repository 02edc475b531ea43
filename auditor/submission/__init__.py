"""What was handed in: read, decoded as data, never run."""
