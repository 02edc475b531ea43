"""pgcheck: audits Parameter Golf submissions."""

__version__ = "0.1.0"
