"""Reads run logs: one kind of line to a file. What is no log gives no run, and no text an exception."""
