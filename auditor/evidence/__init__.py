"""What the evidence beside the code says: run logs, claims and bytes. Numbers with their places, no verdicts."""
