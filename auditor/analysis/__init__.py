"""Facts about the code that rules share. No verdicts here."""
