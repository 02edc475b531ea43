"""One Report model, one renderer per file."""
