"""What the live path fetches from a network, and where that goes.

Decided by calls, whatever names or messages say. Setting up packages, and uploading or logging to a
service, is not fetching.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from auditor.analysis.flow import path_to
from auditor.analysis.graph import Node
from auditor.analysis.library import constant_text
from auditor.analysis.program import Program
from auditor.analysis.scores import LOSSES, as_value, last_name


class Kind(str, Enum):
    DOCUMENTS = "documents"  # a data set, as texts or rows
    WEIGHTS = "weights"  # a pretrained model
    FILE = "file"


_DOCUMENTS = frozenset(["datasets.load_dataset", "datasets.interleave_datasets"])
_FILES = frozenset(
    "hf_hub_download snapshot_download urlopen urlretrieve download_url_to_file http_get "
    "dataset_download wget".split()
)
_HTTP = re.compile(
    r"^(?:requests|httpx|urllib3)\b.*\.(?:get|post|request|stream)$|^(?:gdown|wget)\."
)
_WEIGHTS = frozenset(["torch.hub.load", "torch.hub.load_state_dict_from_url"])
_NO_WEIGHTS = re.compile(r"(?i)token|processor|config|vocab|feature")
_SHELL = re.compile(
    r"^subprocess\.(?:run|call|check_call|check_output|Popen)$|^os\.(?:system|popen)$"
)
_COMMAND = re.compile(
    r"(?:^|[\s;&|])(?:curl|wget|aria2c|gsutil|huggingface-cli|hf|git\s+clone|aws\s+s3)(?:\s|$)"
)
# Without one of these words in its text a program calls nothing of the above.
_WORDS = (
    "load_dataset", "hf_hub_download", "snapshot_download", "urlopen", "urlretrieve", "requests",
    "httpx", "urllib3", "gdown", "wget", "curl", "aria2c", "gsutil", "huggingface-cli", "clone",
    "from_pretrained", "torch.hub", "hub.load", "download", "aws",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Download:
    at: Node
    kind: Kind
    name: str  # the call's dotted name

    @property
    def may_be_cached(self) -> bool:
        """Whether an earlier call may have left it on the disk: hubs keep what is not streamed."""
        streaming = self.at.keyword("streaming")
        if self.kind is Kind.DOCUMENTS:
            return streaming is None or streaming.op != "const" or not streaming.data
        return self.kind is Kind.WEIGHTS


@dataclass(frozen=True, eq=False)
class Scored:
    """A download whose content is scored: the way to the comparison with tokens, and to the report."""

    download: Download
    loss: Node
    way: tuple[Node, ...]  # from the call to the loss
    output: Node


class Downloads:
    """The downloads on one program's live path."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @classmethod
    def of(cls, program: Program) -> Downloads:
        """Those of the program, found once for all rules."""
        found: Downloads | None = program.facts.get("downloads")
        if found is None:
            found = program.facts["downloads"] = cls(program)
        return found

    @cached_property
    def all(self) -> list[Download]:
        program = self.program
        texts = [program.sources[p].text for p in program.executed if p in program.sources]
        if not any(word in text for text in texts for word in _WORDS):
            return []
        return [
            Download(node, kind, str(node.data))
            for node in program.flow.nodes
            if node.op in ("call", "method") and isinstance(node.data, str)
            if (kind := _kind(node)) is not None
        ]

    @cached_property
    def trained(self) -> list[int]:
        """When something is trained: the uids of the backward passes."""
        return [e.at.uid for e in self.program.tracer.events if e.kind == "backward"]

    def in_evaluation(self, download: Download) -> bool:
        """Whether the call comes after a training step, or fetches documents without any training."""
        if not self.trained:
            return download.kind is Kind.DOCUMENTS
        return min(self.trained) < download.at.uid

    def scored(self, download: Download) -> Scored | None:
        """How its content becomes a reported score without anything being trained on it."""
        flow = self.program.flow
        reached = flow.forward([download.at], as_value, limit=20_000)
        losses = [flow.nodes[uid] for uid in reached if last_name(flow.nodes[uid]) in LOSSES]
        for loss in sorted(losses, key=lambda node: node.uid):
            if loss.uid in self._learned:
                continue
            way = self.program.scores.path_to_output(loss)
            if way:
                return Scored(download, loss, tuple(path_to(reached, loss, flow.nodes)), way[-1])
        return None

    @cached_property
    def _learned(self) -> set[int]:
        """Everything that the loss of some backward pass is made from."""
        starts = [e.args[0] for e in self.program.tracer.events if e.kind == "backward" and e.args]
        return {node.uid for node in self.program.flow.backward(starts, limit=60_000)}

    def weighs_in(self, download: Download) -> Node | None:
        """The reported score that is computed with downloaded weights, if there is one."""
        if download.kind is not Kind.WEIGHTS:
            return None
        reached = self.program.flow.forward([download.at], limit=20_000)
        scores = self.program.learning.headline
        return next((s.at for s in scores if s.at.uid in reached), None)


def certain(download: Download, output: Node) -> bool:
    """Whether the download is done whenever the report is: no open branch lies around it alone."""
    around = {id(branch) for branch in output.ctx.branches}
    return all(id(branch) in around for branch in download.at.ctx.branches)


def _kind(node: Node) -> Kind | None:
    name, last = node.data, last_name(node)
    if name in _DOCUMENTS:
        return Kind.DOCUMENTS if last == "load_dataset" else None
    if last in _FILES or _HTTP.search(name):
        return Kind.FILE
    if name in _WEIGHTS:
        return Kind.WEIGHTS
    if last == "from_pretrained" and node.op == "call":
        return None if _NO_WEIGHTS.search(name) else Kind.WEIGHTS
    if _SHELL.match(name) and node.positional:
        text = constant_text(node.positional[0]).replace("\n", " ")
        return Kind.FILE if _COMMAND.search(text) else None
    return None
