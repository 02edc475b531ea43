"""How well the rules do on labelled pull requests: audits, scores and prints, never edits."""
