"""Before or after: how an update and a score of the same tokens stand to each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from auditor.analysis.graph import Branch, Call, Loop, Node, Store, common_loops, inputs, is_place
from auditor.analysis.learning import Scoring, Update, once, shared_loops
from auditor.analysis.program import Program
from auditor.analysis.tables import Read
from auditor.analysis.tokens import IOTA, Form


class Order(Enum):
    WHOLE_PASS = "the updates run over the tokens first, the score comes afterwards"
    SECOND_PASS = "the tokens were scored, learned from, and are scored again"
    EPOCHS = "the tokens come again in each epoch, so later scores have learned from them"
    SAME_STEP = "in each iteration the update comes before the score of the same tokens"
    AHEAD = "the update reaches beyond the tokens that are scored so far"


@dataclass(frozen=True)
class Ordering:
    update: Update
    scoring: Scoring
    order: Order
    loop: Loop | None = None


def orderings(program: Program) -> list[Ordering]:
    """Each update that a headline score has learned from too early, once."""
    found: list[Ordering] | None = program.facts.get("orderings")
    if found is None:
        found = program.facts["orderings"] = list(_orderings(program))
    return found


def _orderings(program: Program) -> Iterator[Ordering]:
    learning = program.learning
    for update in learning.updates:
        if learning.is_training(update):
            continue  # weights made from validation data in the first place are val-in-training's
        for scoring in learning.headline:
            found = _ordering(program, update, scoring)
            if found is not None:
                yield found
                break


def _ordering(program: Program, update: Update, scoring: Scoring) -> Ordering | None:
    learning = program.learning
    if not learning.sees(scoring, update):
        return None
    shared = shared_loops(update, scoring)
    if not shared:
        if update.at.uid > scoring.at.uid or learning.reset_between(update, scoring):
            return None
        second = any(
            _scored_first(program, update, s) for s in learning.scorings if s is not scoring
        )
        return Ordering(update, scoring, Order.SECOND_PASS if second else Order.WHOLE_PASS)
    for loop in shared:
        if once(loop, update.at) or learning.scores_others(scoring, loop):
            continue
        if _first_only(program, scoring, loop):
            return None
        if learning.reset_inside(loop, update, scoring):
            continue
        return Ordering(update, scoring, Order.EPOCHS, loop)
    if update.at.uid < scoring.at.uid and _same_tokens(program, update, scoring):
        return Ordering(update, scoring, Order.SAME_STEP, shared[-1])
    if update.at.uid > scoring.at.uid and _reaches_ahead(program, update, scoring):
        return Ordering(update, scoring, Order.AHEAD, shared[-1])
    return None


def _reaches_ahead(program: Program, update: Update, scoring: Scoring) -> bool:
    """Whether the update's targets end after the last scored target, by index arithmetic."""
    scored = program.tokens.upper(scoring.target)
    for target in update.targets:
        learned = program.tokens.upper(target)
        if scored is not None and learned is not None:
            ahead = (learned - scored).constant
            if ahead is not None and ahead > 0:
                return True
    return False


def _scored_first(program: Program, update: Update, earlier: Scoring) -> bool:
    """Whether ``earlier`` scored the update's tokens before it, iteration by iteration."""
    learning = program.learning
    if earlier.at.uid > update.at.uid:
        return False
    if earlier.at.uid in learning.learned_losses and not _counts_too(program, update, earlier):
        return False
    return any(learning.scores_others(earlier, loop) for loop in shared_loops(update, earlier))


def _counts_too(program: Program, update: Update, loss: Scoring) -> bool:
    """Whether a training loss is reported as a score when the updates are over, from one epoch."""
    epochs = set(program.learning.repeated_loops(update))
    if epochs.intersection(loss.at.ctx.loops):
        return False
    return any(
        not set(update.at.ctx.loops).intersection(event.at.ctx.loops)
        for event in program.learning.reports(loss.at)
    )


def _first_only(program: Program, scoring: Scoring, loop: Loop) -> bool:
    """The score counts in the first iteration of ``loop`` only: ``if epoch == 0``."""
    for node in program.scores.path_to_output(scoring.at):
        if any(_is_first(branch, loop) for branch in node.ctx.branches):
            return True
    return False


def _is_first(branch: Branch, loop: Loop) -> bool:
    test = branch.test
    if test.op != "compare" or test.data not in ("==", "<") or not branch.taken:
        return False
    counter, bound = test.args
    own = counter.op == "loopvar" and counter.ctx.loops and counter.ctx.loops[-1] is loop
    return bool(own) and bound.op == "const" and bound.data == {"==": 0, "<": 1}[test.data]


def _same_tokens(program: Program, update: Update, scoring: Scoring) -> bool:
    """Whether the update learned from what is scored next, as far as identity or position show."""
    tokens = program.tokens
    fresh = [
        t for t in update.tokens if _made_before(program, t, update.at)
    ]  # the rest is of an earlier turn
    if _ends_before(program, update, scoring):
        return False
    if any(t.uid == scoring.target.uid for t in fresh):
        return True
    keys = {tokens.key(t) for t in fresh}
    if tokens.key(scoring.target) in keys:
        return True
    place = tokens.position(scoring.target)
    places = [tokens.position(t) for t in fresh]
    return place is not None and any(p is not None and p.key() == place.key() for p in places)


def _ends_before(program: Program, update: Update, scoring: Scoring) -> bool:
    """Whether the update's targets end before the first one that counts, by index arithmetic."""
    tokens = program.tokens
    counted = [n for n in program.scores.path_to_output(scoring.at) if n.op == "index"]
    places = [p for p in map(tokens.position, counted) if p is not None]
    ends = [tokens.upper(t) for t in update.targets]
    if not places or not ends:
        return False
    start = Form(places[-1].form)
    start.pop(IOTA, None)
    gaps = [(start - end).constant if end is not None else None for end in ends]
    return all(gap is not None and gap >= 0 for gap in gaps)


def _made_before(program: Program, token: Node, moment: Node) -> bool:
    """Whether nothing that the value holds was made after ``moment``, in an earlier iteration."""
    todo, seen = [token], {token.uid}
    while todo:
        node = todo.pop()
        if node.uid > moment.uid:
            return False
        for source in inputs(node):
            if source.uid not in seen and not is_place(source, node):
                seen.add(source.uid)
                todo.append(source)
    return True


def starts_beside(program: Program, found: Ordering) -> bool:
    """Whether where the scored tokens begin is computed while the updates run, or by what runs them."""
    update, scoring = found.update, found.scoring
    loops = set(update.at.ctx.loops) - set(shared_loops(update, scoring))
    call = update.at.ctx.call if update.at.ctx.call not in set(_calls(scoring.at)) else None
    return any(
        loops.intersection(node.ctx.loops) or (call is not None and node.ctx.call is call)
        for node in program.flow.backward([scoring.target], keys=True, places=True, limit=1500)
    )


def _calls(node: Node) -> Iterator[Call]:
    """The calls that ``node`` runs in, innermost first."""
    call = node.ctx.call
    while call is not None:
        yield call
        call = call.parent


def depends_on_unknown_setting(program: Program, node: Node) -> bool:
    """Whether a branch around ``node`` hangs on a setting whose value is not known."""
    for branch in node.ctx.branches:
        for part in program.flow.backward([branch.test], _undecided, memory=False, limit=200):
            if part.op == "env" and part.data not in ("RANK", "LOCAL_RANK"):
                return True
    return False


def _undecided(node: Node) -> bool:
    return node.op != "const"  # a constant may be made from a setting, but its value is known


@dataclass(frozen=True)
class Fill:
    """A table that already counts the tokens it is read for."""

    store: Store
    read: Read
    order: Order


def early_fills(program: Program) -> list[Fill]:
    """Tables of validation tokens that are filled before the reads which score those tokens."""
    found: list[Fill] | None = program.facts.get("early_fills")
    if found is None:
        found = program.facts["early_fills"] = list(_early_fills(program))
    return found


def _early_fills(program: Program) -> Iterator[Fill]:
    done: set[int] = set()
    for read in program.tables.reads:
        if not any(program.tokens.is_val(t.node) for t in read.tokens):
            continue
        for root in program.flow.roots(read.base):
            stores = [
                s
                for s in program.tables.counting.get(root.uid, ())
                if any(program.tokens.is_val(t.node) for t in program.tables.counted(s))
            ]
            fill = _early(program, stores, read)
            if (
                fill is None
                or fill.store.at.line in done
                or program.scores.path_to_score(read.node) is None
                or not program.learning.reaches_claimed(read.node)
            ):
                continue
            done.add(fill.store.at.line)
            yield fill


def _early(program: Program, stores: list[Store], read: Read) -> Fill | None:
    together = [s for s in stores if common_loops(s.at, read.node)]
    for store in together:
        if store.at.uid < read.node.uid and store.key is not None:
            same = program.tokens.key(store.key) == program.tokens.key(read.key)
            if same and _counts_scored(program, store):
                return Fill(store, read, Order.SAME_STEP)
    before = [s for s in stores if s.at.uid < read.node.uid]
    if before and not together:
        scored = any(s.at.uid < before[0].at.uid for s in program.learning.scorings)
        return Fill(before[0], read, Order.SECOND_PASS if scored else Order.WHOLE_PASS)
    return None


def _counts_scored(program: Program, store: Store) -> bool:
    """Whether what the table counts are the tokens that are scored, not those before them."""
    scores, tokens = program.scores, program.tokens
    for token in program.tables.counted(store):
        place = tokens.position(token.node)
        if token.node.uid in scores.target_values or (
            place is not None and place.key() in scores.scored_positions
        ):
            return True
    return False


def depends_on_rank(program: Program, store: Store) -> bool:
    """Whether each process fills another part of the table."""
    tokens = [t.node for t in program.tables.counted(store)]
    for node in program.flow.backward(tokens, keys=True, places=True, limit=3000):
        if node.op == "env" and node.data in ("RANK", "LOCAL_RANK"):
            return True
        if (
            node.op in ("call", "method")
            and isinstance(node.data, str)
            and node.data.endswith("get_rank")
        ):
            return True
    return False
