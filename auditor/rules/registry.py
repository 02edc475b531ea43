"""Every rule that is implemented."""

from __future__ import annotations

from auditor.rules import (
    artifact_size,
    byte_spread_mixture,
    eval_time,
    late_calibration,
    layout,
    oracle_selection,
    prequant_ttt,
    repeated_scoring,
    rescored_epoch,
    selection_on_val,
    slot,
    target_gated_expert,
    target_in_key,
    target_only_blend,
    train_time,
    two_pass,
    unquantised_headline,
    untimed_work,
    update_before_score,
    val_calibration,
    val_in_training,
)
from auditor.rules.base import Rule

RULES: tuple[Rule, ...] = (
    target_in_key.RULE,
    update_before_score.RULE,
    rescored_epoch.RULE,
    prequant_ttt.RULE,
    two_pass.RULE,
    oracle_selection.RULE,
    target_only_blend.RULE,
    target_gated_expert.RULE,
    byte_spread_mixture.RULE,
    slot.RULE,
    repeated_scoring.RULE,
    val_calibration.RULE,
    val_in_training.RULE,
    selection_on_val.RULE,
    unquantised_headline.RULE,
    layout.RULE,
    artifact_size.RULE,
    train_time.RULE,
    eval_time.RULE,
    late_calibration.RULE,
    untimed_work.RULE,
)
