"""Attacks and detectors of your own: a Python function named on the command line.

An attack takes what its clients would honestly have sent, (n_attackers, d_out, d_in), an
`AttackContext` with all that an omniscient attacker knows, and a random generator; it returns what
they send instead, of the same shape. Use that generator alone, so that a seed gives the same bytes.
A detector takes what the server sees, (n_clients, d_out, d_in), and the rank that CLAIR uses; it
returns a truth value for each client, True for those to flag. Everything else, from the split to
the refinement, is CLAIR's.

For example, a file ``mine.py`` in the folder the command is run in::

    import numpy as np

    def half_reversed(honest, context, rng):
        sent = honest.copy()
        sent[::2] *= -context.scale
        return sent

    def too_long(updates, rank):
        sizes = np.linalg.norm(updates, axis=(1, 2))
        return sizes > 3 * np.median(sizes)

and then ``python -m clair sweep --attack mine:half_reversed --detector mine:too_long
--axis strength=1,2,5 --measures exact,f1``. The file is code and runs with your rights; that is why
only the command line takes one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from clair.method.detection import Verdict, simple_verdict
from clair.method.evidence import Evidence
from clair.simulation.attack_plan import AttackContext

#: What each kind of function takes.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "attack": ("honest", "context", "rng"),
    "detector": ("updates", "rank"),
}


@dataclass(frozen=True)
class OwnCode:
    """A function that somebody wrote, by its place; made by `own_code`.

    Attributes
    ----------
    kind : {"attack", "detector"}
    reference : str
        ``module:function`` or ``file.py:function``.
    source : str
        Digest of its file, so that results of another version are not taken for its own.
    """

    kind: str
    reference: str
    source: str

    def call(self, *arguments: Any) -> np.ndarray:
        """Call the function and return what it returns, as an array.

        Raises
        ------
        ValueError
            If it cannot be found any more or raises anything; the message says where.
        """
        function = _function(self.kind, self.reference)
        try:
            return np.asarray(function(*arguments))
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}, line {last.lineno}"
            raise ValueError(
                f"--{self.kind} {self.reference} raised {type(error).__name__}: {error} ({where})"
            ) from error

    def refuse(self, rule: str, got: object) -> ValueError:
        """Make the error of a returned value that breaks a rule."""
        return ValueError(f"--{self.kind} {self.reference} must return {rule}, got {got}")


def own_code(kind: str, reference: str) -> OwnCode:
    """Find a function and check that it can be called.

    Parameters
    ----------
    kind : {"attack", "detector"}
    reference : str
        ``module:function`` or ``file.py:function``; modules are also looked for in the folder the
        command is run in.

    Raises
    ------
    ValueError
        If there is no such module or function, or it takes other arguments.
    """
    function = _function(kind, reference)
    names = PARAMETERS[kind]
    try:
        inspect.signature(function).bind(*names)
    except TypeError:
        took = inspect.signature(function)
        raise ValueError(
            f"--{kind} {reference} must take ({', '.join(names)}), got {took}"
        ) from None
    path = inspect.getsourcefile(function) or ""
    content = Path(path).read_bytes() if path and Path(path).is_file() else reference.encode()
    return OwnCode(kind, reference, hashlib.sha256(content).hexdigest()[:24])


@cache
def _function(kind: str, reference: str) -> Callable[..., Any]:
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ValueError(f"--{kind} must be module:function or file.py:function, got {reference!r}")
    module = _module(kind, place)
    found = getattr(module, name, None)
    if not callable(found):
        what = "no such name" if found is None else type(found).__name__
        raise ValueError(f"--{kind} {reference} must name a function of {place}, got {what}")
    function: Callable[..., Any] = found
    return function


def _module(kind: str, place: str) -> ModuleType:
    """Import a module by its name or its file.

    Whatever its code raises meanwhile becomes one line.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(f"clair_own_{Path(place).stem}", place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(
            f"--{kind} must name a module that can be imported, got {place!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return module


@dataclass(frozen=True)
class OwnAttack:
    """An attack of the reader's own, called as those in ``clair.simulation.attacks`` are."""

    code: OwnCode

    def __call__(
        self, honest: np.ndarray, context: AttackContext, rng: np.random.Generator
    ) -> np.ndarray:
        """Call it and check what it returns."""
        sent = self.code.call(honest.copy(), context, rng)
        if sent.shape != honest.shape or sent.dtype.kind not in "fiu":
            got = f"{sent.dtype} of shape {sent.shape}"
            raise self.code.refuse(f"real numbers of shape {honest.shape}", got)
        if not np.isfinite(sent).all():
            count = int((~np.isfinite(sent)).sum())
            raise self.code.refuse("finite numbers", f"{count} that are NaN or infinite")
        return sent.astype(float)


@dataclass(frozen=True)
class OwnDetector:
    """A detector of the reader's own for `clair.fit`, bound to what the server sees.

    Attributes
    ----------
    code : OwnCode
    updates : ndarray of shape (n_clients, d_out, d_in)
    rank : int
        That the fit uses.
    """

    code: OwnCode
    updates: np.ndarray
    rank: int
    scale_free: ClassVar[bool] = True

    def judge(self, pilot: Verdict, norms: np.ndarray, typical: float) -> Verdict:
        """Call it, check what it returns, and flag those."""
        flagged = self.code.call(self.updates.copy(), self.rank)
        n_clients = len(self.updates)
        if flagged.shape != (n_clients,) or flagged.dtype != bool:
            got = f"{flagged.dtype} of shape {flagged.shape}"
            raise self.code.refuse(f"truth values of shape ({n_clients},)", got)
        return simple_verdict(Evidence("threshold", flagged.astype(float), flagged, 0.5, 1.0))
