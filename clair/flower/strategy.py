"""`ClairStrategy`: Flower's rounds with CLAIR's verdict and refinement in place of the average."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from clair._validation import check_automatic, check_choice, check_integer
from clair.adapters.errors import printable
from clair.adapters.rounds import Adapter, Handout, Judgement, hand_out, judge_round
from clair.flower.config import SENT_BACK
from clair.flower.records import Layout, ReplyError, mean_metrics, metric, name_of
from clair.flower.state import State
from clair.flower.verdicts import SET_ASIDE, ClientVerdict, RoundVerdict
from clair.method.detection import FLAGGED, KEPT, NOT_COMPARABLE, SUSPECT


class ClairStrategy(FedAvg):
    """Judge LoRA adapters jointly every round, drop the flagged and refine the others.

    Clients get arrays under PEFT's names, train them further and send them back, in a reply with
    one ``ArrayRecord``. They may add metrics and ``ConfigRecord({"client": name})`` under the key
    "client" to be called by a name. Whoever crashes, does not answer, or sends other names, shapes
    or NaN is set aside with a reason, and the run goes on. The server has to see each client's
    adapter, so secure aggregation cannot be used with it.

    Parameters
    ----------
    sent_back : {"refined", "average"}
        What kept and suspect clients get for the next round: their own refined adapter, or the
        average of the kept. Everybody else gets the average.
    rank : int or "auto"
        Of the shared subspace; "auto" chooses it in the first round that is judged and keeps it.
    min_judged : int
        With fewer usable replies than this, at least 4, the last verdict is carried on: among few
        clients poisoned ones can pass for the majority.
    weight_key : str, optional
        Metric by which the kept clients are weighted in the average, such as "num-examples". It is
        their own claim, so they weigh equally by default.
    folder : path, optional
        Where adapters and verdicts are saved after each round. What a folder holds already is
        restored: a new run goes on where the last one ended, for the nodes it knew.
    fit_options : mapping, optional
        Further keywords of `clair.fit`, such as ``{"side": "input"}``.
    **sampling
        Of `flwr.serverapp.strategy.FedAvg`, such as `min_available_nodes`.

    Attributes
    ----------
    verdicts : list of RoundVerdict
        One a round, oldest first.
    personal : dict of int to Adapter
        What each kept node gets next, by node.

    Raises
    ------
    ValueError
        If an argument breaks its rule, or `folder` holds something else.
    """

    def __init__(
        self,
        *,
        sent_back: str = "refined",
        rank: int | str = "auto",
        min_judged: int = 5,
        weight_key: str | None = None,
        folder: str | Path | None = None,
        fit_options: Mapping[str, Any] | None = None,
        **sampling: Any,
    ) -> None:
        super().__init__(**sampling)
        check_automatic("rank", rank)
        self.sent_back = check_choice("sent_back", sent_back, SENT_BACK)
        self.rank = rank if rank == "auto" else check_integer("rank", rank, minimum=1)
        self.min_judged = check_integer("min_judged", min_judged, minimum=4)
        self.weight_key = weight_key
        self.fit_options = dict(fit_options or {})
        self._folder = None if folder is None else Path(folder)
        self._state = State() if self._folder is None else State.restore(self._folder)
        self._before = self._state.verdicts[-1].round if self._state.verdicts else 0
        self._layout: Layout | None = None
        self._asked: list[int] = []

    @property
    def verdicts(self) -> list[RoundVerdict]:
        """One a round, oldest first."""
        return self._state.verdicts

    @property
    def personal(self) -> dict[int, Adapter]:
        """What each kept node gets next, by node."""
        return self._state.personal

    @property
    def subspace_rank(self) -> int | None:
        """Rank of the shared subspace, once a round has been judged."""
        return self._state.rank

    def summary(self) -> None:
        """Log the settings."""
        log(INFO, "\t├──> CLAIR settings:")
        log(INFO, "\t│\t├── Kept clients get: %s", self.sent_back)
        log(INFO, "\t│\t├── Rank of the shared subspace: %s", self.rank)
        log(INFO, "\t│\t├── Least number judged: %d", self.min_judged)
        log(INFO, "\t│\t└── Rounds restored: %d", self._before)
        super().summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Send every node its own adapter, or the average where it has none."""
        if self._asked:
            # What has begun goes on with whoever is still there, where Flower would wait.
            self.min_available_nodes = self.min_train_nodes = self.min_evaluate_nodes = 1
        messages = self._addressed(
            arrays, super().configure_train(server_round, arrays, config, grid)
        )
        self._asked = sorted(message.metadata.dst_node_id for message in messages)
        return messages

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Have every node evaluate what it gets next."""
        return self._addressed(
            arrays, super().configure_evaluate(server_round, arrays, config, grid)
        )

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Judge the replies; return the average of the kept, and the metrics."""
        assert self._layout is not None  # Flower configures a round before it aggregates
        usable, adapters, told = self._read(replies)
        found = self._judge(usable, adapters)
        judgement, handout = self._carried(adapters) if found is None else found
        if handout is not None:
            self._state.average = handout.average
        if found is not None:
            self._state.subspace, self._state.usual = judgement.subspace, judgement.usual
        for node in adapters:
            self.personal.pop(node, None)
        if handout is not None and self.sent_back == "refined":
            nodes = list(adapters)
            self.personal.update((nodes[k], own) for k, own in handout.refined.items())
        self._state.verdicts.append(
            self._told(server_round, judgement, handout, list(adapters), told, found is not None)
        )
        if self._folder is not None:
            self._state.save(self._folder)
        record = self.verdicts[-1]
        _log_verdict(record)
        kept = {client.node for client in record.clients if client.degree in (KEPT, SUSPECT)}
        metrics = mean_metrics(content for node, content in usable.items() if node in kept)
        metrics["clair-judged"] = len(usable) if record.judged else 0
        for degree in (KEPT, SUSPECT, FLAGGED, SET_ASIDE):
            metrics[f"clair-{degree.replace(' ', '-')}"] = len(record.names(degree))
        average = self._state.average
        return None if average is None else self._layout.write(average), metrics

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Average the metrics of the clients that the last verdict keeps, equally weighted."""
        last = self.verdicts[-1].clients if self.verdicts else ()
        out = {client.node for client in last if client.degree not in (KEPT, SUSPECT)}
        heard = [
            reply.content
            for reply in replies
            if not reply.has_error() and reply.metadata.src_node_id not in out
        ]
        return mean_metrics(heard) if heard else None

    def _addressed(self, arrays: ArrayRecord, messages: Iterable[Message]) -> list[Message]:
        if self._layout is None:
            self._layout = Layout.of(arrays)
            if self._state.average is not None:
                self._layout.require(self._state.average)
        if self._state.average is not None:
            arrays = self._layout.write(self._state.average)
        addressed = []
        for message in messages:
            node = message.metadata.dst_node_id
            own = self.personal.get(node)
            record = arrays if own is None else self._layout.write(own)
            content = RecordDict({**message.content, self.arrayrecord_key: record})
            kind = message.metadata.message_type
            addressed.append(Message(content, message_type=kind, dst_node_id=node))
        return addressed

    def _read(
        self, replies: Iterable[Message]
    ) -> tuple[dict[int, RecordDict], dict[int, Adapter], dict[int, tuple[str, str]]]:
        """Return contents and adapters of usable replies by node, and name and fault of all."""
        assert self._layout is not None
        known = {client.node: client.name for one in self.verdicts for client in one.clients}
        told = {node: (known.get(node, str(node)), "did not answer") for node in self._asked}
        contents, adapters = {}, {}
        # In a fixed order, because the order of a sum moves its last digits.
        for reply in sorted(replies, key=lambda reply: reply.metadata.src_node_id):
            node = reply.metadata.src_node_id
            name, fault = told.get(node, (str(node), ""))[0], ""
            if reply.has_error():
                lines = (reply.error.reason or "").strip().splitlines() or ["without a reason"]
                fault = f"failed: {printable(lines[-1])}"
            else:
                name = name_of(reply.content, node)
                try:
                    adapters[node] = self._layout.read(reply.content)
                    contents[node] = reply.content
                except ReplyError as error:
                    fault = str(error)
            told[node] = name, fault
        return contents, adapters, told

    def _judge(
        self, usable: Mapping[int, RecordDict], adapters: Mapping[int, Adapter]
    ) -> tuple[Judgement, Handout | None] | None:
        """Judge the adapters; None where there are too few, or no verdict is possible."""
        if len(adapters) < self.min_judged:
            return None
        weights = None
        if self.weight_key is not None:
            claims = [metric(usable[node], self.weight_key) or 0.0 for node in adapters]
            weights = np.maximum(claims, 0.0)
        try:
            return judge_round(
                list(adapters.values()),
                self._state.rank or self.rank,
                common=self._state.average,
                weights=weights,
                usual=self._state.usual,
                **self.fit_options,
            )
        except ValueError as error:
            log(WARNING, "aggregate_train: no verdict is possible: %s", error)
            return None

    def _carried(self, adapters: Mapping[int, Adapter]) -> tuple[Judgement, Handout | None]:
        """Apply each client's last verdict, and the last subspace, to what it sent now."""
        before = {
            client.node: client
            for verdict in self.verdicts
            for client in verdict.clients
            if client.degree != SET_ASIDE
        }
        few = f"fewer than {self.min_judged} clients could be judged"
        unknown = ClientVerdict(0, "", NOT_COMPARABLE, few, 0.0)
        last = [before.get(node, unknown) for node in adapters]
        judgement = Judgement(
            degrees=tuple(client.degree for client in last),
            reasons=tuple(client.reason for client in last),
            influence=np.array([client.influence for client in last]),
            subspace=self._state.subspace,
            side=self.fit_options.get("side", "output"),
        )
        known = bool(adapters and self._state.subspace)
        return judgement, hand_out(list(adapters.values()), judgement) if known else None

    def _told(
        self,
        server_round: int,
        judgement: Judgement,
        handout: Handout | None,
        nodes: Sequence[int],
        told: Mapping[int, tuple[str, str]],
        judged: bool,
    ) -> RoundVerdict:
        clients = []
        for node, (name, fault) in sorted(told.items()):
            degree, reason, influence = SET_ASIDE, fault, 0.0
            if node in nodes:
                k = nodes.index(node)
                degree, reason = judgement.degrees[k], judgement.reasons[k]
                influence = float(judgement.influence[k])
            clients.append(ClientVerdict(node, name, degree, reason, influence))
        return RoundVerdict(
            round=self._before + server_round,
            judged=judged,
            rank=self._state.rank,
            lost=0.0 if handout is None else handout.lost,
            clients=tuple(clients),
        )


def _log_verdict(verdict: RoundVerdict) -> None:
    how = "judged" if verdict.judged else "too few to judge, last verdict carried on"
    log(INFO, "aggregate_train: round %d, %s", verdict.round, how)
    for client in verdict.clients:
        if client.degree != KEPT:
            log(INFO, "\t> %s is %s: %s", client.name, client.degree, client.reason)
    log(INFO, "\t> verdict %s", json.dumps({d: verdict.names(d) for d in (KEPT, FLAGGED)}))
