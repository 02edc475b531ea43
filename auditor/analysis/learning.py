"""What learns from which tokens, and which scores see it.

An `Update` is a backward pass with the optimiser step behind it: the validation tokens in its loss, and
the parameters that it changes. A `Scoring` is a score of validation tokens that reaches an output: the
tokens it scores and the parameters behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from auditor.analysis.claimed import Claimed
from auditor.analysis.flow import Flow
from auditor.analysis.graph import (
    Event,
    Instance,
    Loop,
    Node,
    Store,
    alternatives,
    common_loops,
    container_all,
    may_precede,
)
from auditor.analysis.scores import Scores, as_value
from auditor.analysis.tokens import Tokens

_LEAVES = frozenset(
    "torch.zeros torch.zeros_like torch.randn torch.empty torch.full torch.ones torch.randn_like "
    "torch.nn.Parameter torch.nn.parameter.Parameter torch.empty_like torch.ones_like torch.tensor "
    "new_zeros new_ones new_full new_empty".split()
)

_WEIGHTS = frozenset(
    "state_dict parameters named_parameters named_modules modules buffers named_buffers".split()
)
_OVERWRITES = frozenset("copy_ zero_ fill_ normal_ uniform_".split())
_FILE_READS = frozenset("load load_file safe_open read read_bytes frombuffer".split())


@dataclass(frozen=True, eq=False)
class Update:
    at: Node  # the backward pass
    loss: Node
    tokens: tuple[Node, ...]  # validation tokens that go into the loss
    targets: tuple[Node, ...]  # those of them that the loss compares with
    state: frozenset[int]  # what the step changes: ids of modules, uids of tensors
    leaves: tuple[Node, ...]  # free-standing tensors among them
    losses: frozenset[int] = frozenset()  # uids of the comparisons with tokens that it learns from
    assumed: bool = False  # the optimiser's parameters were not found: taken for those in the loss

    @property
    def free_standing(self) -> bool:
        """Whether all that the step changes are tensors of no model: per-window parameters."""
        return bool(self.leaves) and self.state == frozenset(n.uid for n in self.leaves)


@dataclass(frozen=True, eq=False)
class Scoring:
    at: Node  # the score value
    target: Node
    output: Node
    state: frozenset[int]


class Learning:
    def __init__(
        self, flow: Flow, tokens: Tokens, scores: Scores, claimed: Claimed | None = None
    ) -> None:
        self.flow = flow
        self.tokens = tokens
        self.scores = scores
        self._claimed = claimed
        self._members: dict[int, frozenset[int]] = {}

    # -- updates ----------------------------------------------------------------------------------

    @cached_property
    def updates(self) -> list[Update]:
        """Updates that learn from validation tokens, in program order."""
        found = []
        for event in self.flow.tracer.events:
            if event.kind == "backward":
                update = self._update(event)
                if update is not None:
                    found.append(update)
        return found

    def _update(self, event: Event) -> Update | None:
        targets = {n.uid: t for n, t in self.scores.losses}
        seen: list[Node] = []
        compared: list[tuple[Node, Node]] = []
        models: set[int] = set()
        loss = event.args[0]
        for node in self.flow.backward([loss], lambda n: not self.tokens.of(n), limit=20_000):
            if self.tokens.is_val(node):
                seen.append(node)
            if node.uid in targets:
                compared.append((node, targets[node.uid]))
            if node.op == "forward":
                models |= self.members(node.data)
        learned = tuple(t for _, t in compared if self.tokens.is_val(t))
        if not seen or (compared and not learned):
            return None  # what it learns to predict is training data
        steps = self._steps(event.at)
        state, leaves = self._parameters(steps) if steps else self._by_hand(event)
        if not steps and not state and not self._moved_after(event, models):
            return None  # a gradient that is looked at, but not followed
        losses = frozenset(n.uid for n, _ in compared)
        return Update(
            at=event.at,
            loss=loss,
            tokens=tuple(seen),
            targets=learned,
            state=state or frozenset(models),
            leaves=leaves,
            losses=losses,
            assumed=bool(steps) and not state,
        )

    def is_training(self, update: Update) -> bool:
        """Whether the evaluated weights come from such updates alone: no other data trains them.

        Test-time training adapts what is trained on other data, or was loaded from a file.
        """
        if update.free_standing or not update.targets:
            return False
        if not any(
            self.sees(s, update) and not self.reset_between(update, s) for s in self.headline
        ):
            return False
        models = self._behind(update.loss, copies=True)
        learned = {u.at.uid for u in self.updates}
        for event in self.flow.tracer.events:
            if (
                event.kind == "backward"
                and event.at.uid not in learned
                and self._behind(event.args[0], copies=True) & models
            ):
                return False
            if (
                event.kind == "load_state"
                and event.at.uid < update.at.uid
                and (self.from_file(event) or self._from_other(event))
            ):
                return False
        return True

    def may_be_train(self, update: Update) -> bool:
        """Whether the clock of a run decides if the update learns from training data instead.

        A reader of files that serves both streams says nothing: it would serve the scored one too.
        """
        kinds = self.tokens.of
        both = all("train" in kinds(t) for t in update.targets)
        if not both or any("train" in kinds(s.target) for s in self.headline):
            return False
        around = {id(b.test) for b in update.at.ctx.branches}
        tests = {
            b.test
            for node in self.flow.backward(update.targets, limit=3000)
            if self.tokens.is_val(node)
            for b in node.ctx.branches
            if id(b.test) not in around
        }
        return any(is_clock(part) for part in self.flow.backward(tests, limit=2000))

    def _from_other(self, load: Event) -> bool:
        """Whether the loaded weights are those of another model."""
        own = {id(o.data) for o in alternatives(load.args[0], 4) if o.op == "object"}
        for node in self.flow.backward(load.args[1:2], memory=False, limit=400):
            if node.op == "method" and node.data in _WEIGHTS:
                owners = [o for o in alternatives(node.args[0], 4) if o.op == "object"]
                if owners and not any(id(o.data) in own for o in owners):
                    return True
        return False

    def from_file(self, load: Event) -> bool:
        """Whether the loaded weights were read from a file."""
        return any(
            n.op in ("call", "method")
            and isinstance(n.data, str)
            and n.data.rpartition(".")[2] in _FILE_READS
            for n in self.flow.backward(self.loaded(load), limit=2000)
        )

    def loaded(self, load: Event) -> list[Node]:
        """The weights that are loaded, with those that were put into their dictionary before."""
        given = load.args[1:2]
        return [*given, *(s.value for one in given for s in self.flow.contents(one, load.at))]

    def _steps(self, backward: Node) -> list[Node]:
        """The optimisers whose step follows the backward pass in the same iteration."""
        loops = backward.ctx.loops
        found: list[Node] = []
        for event in self.flow.tracer.events:
            if event.kind != "step" or event.at.uid < backward.uid:
                continue
            made = [o for r in alternatives(event.args[0], 6) for o in self.flow.roots(r)]
            if made and not any(may_precede(one, backward) for one in made):
                continue  # made later, for other gradients
            around = event.at.ctx.loops
            if event.args[0].op == "elem" and event.args[0].ctx.loops == around:
                around = around[:-1]  # one optimiser after the other
            if around[: len(loops)] == loops or loops[: len(around)] == around:
                found.extend(event.args)
                if len(found) >= 4:
                    break
        return found[:1] if found and not loops else found

    def _by_hand(self, event: Event) -> tuple[frozenset[int], tuple[Node, ...]]:
        """Free-standing tensors that are moved along their gradient without an optimiser."""
        behind = self.flow.nodes[event.at.uid :]
        gradients = [
            n.args[0]
            for n in behind
            if n.op == "attr" and n.data == "grad" and n.ctx.loops == event.at.ctx.loops
        ]
        roots = [r for value in (*event.args[1:2], *gradients) for r in self.flow.roots(value)]
        leaves = [
            r
            for r in roots
            if r.op in ("call", "method") and r.data in _LEAVES and r.uid not in self._owned
        ]
        return frozenset(leaf.uid for leaf in leaves), tuple(leaves)

    def _moved_after(self, event: Event, models: set[int]) -> bool:
        """Whether weights are changed in place with what the backward pass computed."""
        return any(
            store.at.uid > event.at.uid
            and (self._all_of(store.root) | _ids(store.root)) & models
            and any(map(_is_gradient, self.flow.backward([store.value], memory=False, limit=300)))
            for stores in self.flow.tracer.stores.values()
            for store in stores
        )

    def _parameters(self, optimizers: list[Node]) -> tuple[frozenset[int], tuple[Node, ...]]:
        state: set[int] = set()
        leaves: list[Node] = []
        starts: list[Node] = []
        for optimizer in optimizers:
            for one in alternatives(optimizer, 6):
                starts.extend(one.args)
        for node in self.flow.backward(starts, _same_tensor, memory=False, limit=4000):
            if node.op == "object":
                state |= self.members(node.data)
            elif node.op in ("call", "method") and (node.data in _LEAVES or _is_clone(node)):
                state.add(node.uid)
                if node.uid not in self._owned:
                    leaves.append(node)
        return frozenset(state), tuple(leaves)

    @cached_property
    def _owned(self) -> frozenset[int]:
        """uids of the tensors that some module holds."""
        modules = [n.data for n in self.flow.nodes if n.op == "object" and n.data.is_model]
        return frozenset().union(*(self.members(m) for m in modules))

    def members(self, instance: Instance) -> frozenset[int]:
        """ids of a module and all modules in it, and uids of the tensors that they hold."""
        known = self._members.get(id(instance))
        if known is not None:
            return known
        found: set[int] = set()
        todo: list[Instance] = [instance]
        while todo and len(found) < 2000:
            current = todo.pop()
            if id(current) in found:
                continue
            found.add(id(current))
            values = list(current.attrs.values())
            seen: set[int] = set()
            while values:
                value = values.pop()
                if value.uid in seen:
                    continue
                seen.add(value.uid)
                for one in alternatives(value, 8):
                    if one.op == "object":
                        todo.append(one.data)
                    elif one.op in ("list", "tuple", "dict"):
                        values.extend(container_all(one.data))
                    elif one.op in ("call", "method"):
                        found.add(one.uid)
        self._members[id(instance)] = frozenset(found)
        return self._members[id(instance)]

    # -- scores -----------------------------------------------------------------------------------

    @cached_property
    def scorings(self) -> list[Scoring]:
        """Scores of validation tokens that reach an output, in program order."""
        found = []
        for node, target in self.scores.val_losses:
            output = self.scores.reaches_output(node)
            if output is not None:
                found.append(Scoring(node, target, output, self._behind(node)))
        return sorted(found, key=lambda s: s.at.uid)

    def _behind(self, score: Node, *, copies: bool = False) -> frozenset[int]:
        """What a score is computed with; ``copies``: and what that was copied from."""
        state: set[int] = set()
        through = self._no_tokens if copies else self._no_copies
        for node in self.flow.backward([score], through, limit=8000):
            if node.op == "forward":
                state |= self.members(node.data)
            elif node.op in ("call", "method"):
                state.add(node.uid)
        return frozenset(state)

    def _no_tokens(self, node: Node) -> bool:
        return not self.tokens.of(node)

    def _no_copies(self, node: Node) -> bool:
        """Weights may have learned after a module was copied: when is for the copy itself to say."""
        copied = node.data == "copy.deepcopy" and node.uid in self._owned
        return not copied and not self.tokens.of(node)

    @cached_property
    def headline(self) -> list[Scoring]:
        """The scores in the claimed evaluation, or else in the last that is printed or written."""
        if self.claimed_report is not None:
            claimed = [
                s for s in self.scorings if self.claimed_report in self.reports(s.at, as_value)
            ]
            if claimed:
                return claimed
        reached = [(self._last_output(s), s) for s in self.scorings]
        last = max((uid for uid, _ in reached), default=-1)
        return [s for uid, s in reached if uid == last]

    @cached_property
    def last_report(self) -> Event | None:
        """The last thing printed, logged or written that holds a score of validation tokens."""
        last = max((self._last_output(s) for s in self.scorings), default=-1)
        return next((e for e in self.flow.tracer.events if e.at.uid == last), None)

    @cached_property
    def claimed_report(self) -> Event | None:
        """What prints the score that the submission claims, where the logs tell it."""
        return self._claimed.report(self._printed) if self._claimed else None

    def reaches_claimed(self, node: Node) -> bool:
        """Whether ``node`` goes into the claimed score, as far as it is known which that is."""
        return self.claimed_report is None or self.claimed_report in self.reports(node, as_value)

    def is_unclaimed(self, node: Node) -> bool:
        """Whether the claimed score is printed without ``node``, and so is any other that is stated."""
        if self.reaches_claimed(node):
            return False
        return not any(e in self._stated for e in self.reports(node, as_value))

    @cached_property
    def _stated(self) -> list[Event]:
        return self._claimed.stated(self._printed) if self._claimed else []

    @cached_property
    def contradicted(self) -> bool:
        """Whether the logs hold no score that is near the claimed one."""
        return self._claimed is not None and self._claimed.contradicted(self._printed)

    @cached_property
    def learned_losses(self) -> frozenset[int]:
        """uids of the comparisons with tokens that some update learns from."""
        return frozenset().union(*(u.losses for u in self.updates))

    @cached_property
    def _printed(self) -> list[Event]:
        """What is printed, logged or written of scores of validation tokens."""
        found = {id(e): e for s in self.scorings for e in self.reports(s.at, as_value)}
        return sorted(found.values(), key=lambda e: e.at.uid)

    def _last_output(self, scoring: Scoring) -> int:
        return max((e.at.uid for e in self.reports(scoring.at)), default=-1)

    def reports(self, score: Node, step: Callable[[Node, Node], bool] | None = None) -> list[Event]:
        """The outputs that ``score`` reaches."""
        reached = self.flow.forward([score], step, limit=6000)
        return [
            e
            for e in self.flow.tracer.events
            if e.kind == "output" and any(a.uid in reached for a in e.args)
        ]

    # -- relations ----------------------------------------------------------------------------------

    def sees(self, scoring: Scoring, update: Update) -> bool:
        """Whether the score is computed with parameters that the update changed."""
        if update.state & scoring.state or self._copied_after(update, scoring):
            return True
        return self._shipped_between(update, scoring)

    def _copied_after(self, update: Update, scoring: Scoring) -> bool:
        """The score uses a copy that was taken of what the update had changed."""
        return any(
            copy.copied_at > update.at.uid and id(copy.origin) in update.state
            for member in scoring.state
            for copy in self._copies.get(member, ())
        )

    @cached_property
    def _copies(self) -> dict[int, list[Instance]]:
        """ids of modules and uids of tensors -> the copied modules that they are part of."""
        found: dict[int, list[Instance]] = {}
        for node in self.flow.nodes:
            if node.op == "object" and node.data.origin is not None:
                for member in self.members(node.data):
                    found.setdefault(member, []).append(node.data)
        return found

    def _shipped_between(self, update: Update, scoring: Scoring) -> bool:
        """Saved after the update, loaded again before the score: the weights travel in a file."""
        between = [e for e in self.flow.tracer.events if update.at.uid < e.at.uid < scoring.at.uid]
        loads = [
            e
            for e in between
            if e.kind == "load_state"
            and any(
                self.members(o.data) & scoring.state
                for o in alternatives(e.args[0], 4)
                if o.op == "object"
            )
        ]
        if not loads:
            return False
        saved = any(e.kind == "save" and self._holds(e.args, update) for e in between)
        return any(
            (saved and self.from_file(e)) or self._holds(self.loaded(e), update) for e in loads
        )

    def _holds(self, values: Sequence[Node], update: Update) -> bool:
        """Whether the values are made, after the update, from what it changed."""
        for node in self.flow.backward(values, limit=3000):
            if node.uid in update.state:
                return True
            if node.op == "method" and node.data in _WEIGHTS and node.uid > update.at.uid:
                owners = [o.data for o in alternatives(node.args[0], 4) if o.op == "object"]
                if any(self.members(o) & update.state for o in owners):
                    return True
        return False

    def reset_between(self, update: Update, scoring: Scoring) -> bool:
        """Whether older weights are loaded back after the update and before the score."""
        for event in self.flow.tracer.events:
            if event.kind != "load_state" or not update.at.uid < event.at.uid < scoring.at.uid:
                continue
            owners = [o.data for o in alternatives(event.args[0], 4) if o.op == "object"]
            if not any(self.members(o) & update.state for o in owners):
                continue
            if self._older(event, update):
                return True
        return self._overwritten(update, scoring)

    def _overwritten(self, update: Update, scoring: Scoring, loop: Loop | None = None) -> bool:
        """Whether what the update changed is set anew, in place, before the score.

        That is between the two, or anywhere in ``loop``: at its end for the next turn.
        """
        fresh: set[int] = set()
        shared = shared_loops(update, scoring)
        depth = len(shared) if loop is None else shared.index(loop) + 1
        own = set(update.at.ctx.loops[depth:][-1:])  # what is set there is set for the next update
        for stores in self.flow.tracer.stores.values():
            for store in stores:
                if own.intersection(store.at.ctx.loops):
                    continue
                early = loop is not None and store.at.uid < update.at.uid
                if (
                    (store.at.uid < scoring.at.uid if loop is None else loop in store.at.ctx.loops)
                    and (early or update.at.uid < store.at.uid)
                    and self._afresh(store, update, loop if early else None)
                ):
                    fresh |= self._all_of(store.root)
        seen = update.state & scoring.state
        return bool(seen) and seen <= fresh

    def _afresh(self, store: Store, update: Update, loop: Loop | None) -> bool:
        """Whether the store puts in a constant, or what is older than the update and the loop."""
        if store.key is not None or store.how not in _OVERWRITES:
            return False
        return store.how != "copy_" or all(
            root.uid < update.at.uid and loop not in root.ctx.loops
            for root in self.flow.roots(store.value)
        )

    def _all_of(self, root: Node) -> frozenset[int]:
        """What an in-place update of ``root`` in a loop changes: for a list of parameters, all of it."""
        if root.op == "method" and root.data in _WEIGHTS:
            owners = [o.data for o in alternatives(root.args[0], 4) if o.op == "object"]
            return frozenset().union(*(self.members(o) for o in owners))
        return frozenset((root.uid,))

    def _older(self, load: Event, update: Update) -> bool:
        """All that is loaded was taken from a model before the update."""
        taken = [
            node.uid < update.at.uid
            for node in self.flow.backward(load.args[1:2], memory=True, limit=600)
            if node.op == "method" and node.data in ("state_dict", "parameters", "named_parameters")
        ]
        return bool(taken) and all(taken)

    def reset_inside(self, loop: Loop, update: Update, scoring: Scoring) -> bool:
        """Whether each iteration of ``loop`` starts from weights that were taken before its update."""
        for event in self.flow.tracer.events:
            if (
                event.kind == "load_state"
                and loop in event.at.ctx.loops
                and (event.at.uid < scoring.at.uid or self._older(event, update))
            ):
                return True
        return self._overwritten(update, scoring, loop)

    # -- loops -----------------------------------------------------------------------------------------

    def varies(self, target: Node, loop: Loop) -> bool:
        """Whether different iterations of ``loop`` take different tokens."""
        for node in self.flow.backward([target], keys=True, places=True, limit=1500):
            if node.op in ("loopvar", "elem") and node.ctx.loops and node.ctx.loops[-1] is loop:
                return True
            if (
                node.op == "phi"
                and node.data == "open"
                and node.ctx.loops
                and node.ctx.loops[-1] is loop
            ):
                return True
            if (
                node.op == "proj"
                and node.ctx.loops
                and node.ctx.loops[-1] is loop
                and node.args[0].op == "elem"
            ):
                return True
        return False

    def scores_others(self, scoring: Scoring, loop: Loop) -> bool:
        """Whether different iterations of ``loop`` score different tokens, or parts of them."""
        if self.varies(scoring.target, loop):
            return True
        parts = [n for n in self.scores.path_to_output(scoring.at) if n.op == "index"]
        return any(self.varies(n.args[1], loop) for n in parts)

    def repeated_loops(self, update: Update) -> Iterator[Loop]:
        """Loops around the update in which the same tokens come again: epochs."""
        for loop in update.at.ctx.loops:
            if not once(loop, update.at) and not any(self.varies(t, loop) for t in update.tokens):
                yield loop


def _same_tensor(node: Node) -> bool:
    """Look behind what hands a parameter on, but not behind what makes a tensor of its own."""
    return node.op != "object" and not _is_clone(node)


def _is_clone(node: Node) -> bool:
    return node.op == "method" and node.data == "clone"


def _ids(node: Node) -> frozenset[int]:
    return frozenset((id(node.data),)) if node.op == "object" else frozenset()


def is_clock(node: Node) -> bool:
    return node.op == "call" and str(node.data).startswith("time.")


def _is_gradient(node: Node) -> bool:
    if node.op == "attr":
        return bool(node.data == "grad")
    return node.op == "call" and node.data == "torch.autograd.grad"


def shared_loops(update: Update, scoring: Scoring) -> tuple[Loop, ...]:
    return common_loops(update.at, scoring.at)


def once(loop: Loop, inside: Node) -> bool:
    """Whether the settings in force let ``loop`` run a single time."""
    return loop.trips == 1
