"""Every rule that is implemented."""

from __future__ import annotations

from auditor.rules import (
    oracle_selection,
    prequant_ttt,
    rescored_epoch,
    target_in_key,
    two_pass,
    update_before_score,
)
from auditor.rules.base import Rule

RULES: tuple[Rule, ...] = (
    target_in_key.RULE,
    update_before_score.RULE,
    rescored_epoch.RULE,
    prequant_ttt.RULE,
    two_pass.RULE,
    oracle_selection.RULE,
)
