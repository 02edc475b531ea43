"""Every rule that is implemented."""

from __future__ import annotations

from auditor.rules import target_in_key
from auditor.rules.base import Rule

RULES: tuple[Rule, ...] = (target_in_key.RULE,)
