"""What a federation has to remember between rounds, in one file that is replaced whole."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from clair.adapters.rounds import Adapter
from clair.flower.verdicts import RoundVerdict

FILE = "federation.safetensors"


@dataclass
class State:
    """Personal adapters and verdicts.

    Attributes
    ----------
    average : Adapter or None
        What everybody without an adapter of its own gets.
    personal : dict of int to Adapter
        By node.
    verdicts : list of RoundVerdict
    subspace : dict of ndarray of shape (d, rank)
        By module, of the last verdict; empty before the first.
    usual : float or None
        As in `clair.adapters.rounds.Judgement`.
    """

    average: Adapter | None = None
    personal: dict[int, Adapter] = field(default_factory=dict)
    verdicts: list[RoundVerdict] = field(default_factory=list)
    subspace: dict[str, np.ndarray] = field(default_factory=dict)
    usual: float | None = None

    @property
    def rank(self) -> int | None:
        """Rank of the shared subspace, once a round has been judged."""
        return next((int(basis.shape[1]) for basis in self.subspace.values()), None)

    def save(self, folder: Path) -> None:
        """Write everything, so that an interrupted write leaves the last round's file."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        owners = {str(node): adapter for node, adapter in self.personal.items()}
        for owner, adapter in ({"average": self.average} | owners).items():
            for name, factors in (adapter or {}).items():
                for side, part in zip("BA", factors, strict=True):
                    tensors[f"{owner}/{side}/{name}"] = np.ascontiguousarray(part, np.float32)
        for name, basis in self.subspace.items():
            tensors[f"subspace/U/{name}"] = np.ascontiguousarray(basis)
        told = json.dumps([verdict.to_json() for verdict in self.verdicts])
        unfinished = folder / f"{FILE}.part"
        more = {} if self.usual is None else {"usual": repr(self.usual)}
        save_file(tensors, unfinished, metadata={"verdicts": told, **more})
        os.replace(unfinished, folder / FILE)

    @classmethod
    def restore(cls, folder: Path) -> State:
        """Read what `save` has written; an empty state if there is nothing.

        Raises
        ------
        ValueError
            If the file is no federation's.
        """
        path = folder / FILE
        if not path.exists():
            return cls()
        found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
        try:
            with safe_open(path, framework="numpy") as file:
                told = json.loads(file.metadata()["verdicts"])
                usual = file.metadata().get("usual")
                for key in file.keys():  # noqa: SIM118 - the file is no mapping
                    owner, side, name = key.split("/", 2)
                    found.setdefault(owner, {}).setdefault(name, {})[side] = file.get_tensor(key)
            verdicts = [RoundVerdict.from_json(one) for one in told]
            subspace = {name: one["U"] for name, one in found.pop("subspace", {}).items()}
            adapters: dict[str, Adapter] = {
                owner: {name: (pair["B"], pair["A"]) for name, pair in modules.items()}
                for owner, modules in found.items()
            }
            average = adapters.pop("average", None)
            personal = {int(node): one for node, one in adapters.items()}
            return cls(
                average, personal, verdicts, subspace, None if usual is None else float(usual)
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold the state of a federation ({error})") from error
