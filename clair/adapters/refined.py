"""Refined updates of the kept clients, as factors of a chosen rank, module by module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clair.adapters.compress import ModuleCore, compress, gram_root
from clair.adapters.result import Audit, Judged
from clair.cancellation import checkpoint
from clair.method.eigen import leading_eigenpairs
from clair.method.halves import direction_weights, refine_by_directions
from clair.method.refinement import directions, pooling_weights, refine_module
from clair.method.updates import CompressedUpdates


@dataclass(frozen=True)
class Spectrum:
    """How much of a client's refined update a rank keeps.

    Attributes
    ----------
    energy : ndarray of shape (n_modules, n)
        Squared singular values, descending, padded with zeros.
    """

    energy: np.ndarray

    def rank_for(self, share: float) -> int:
        """Find the smallest rank that keeps `share` of the energy, summed over modules."""
        kept = np.cumsum(self.energy.sum(axis=0))
        return int(np.searchsorted(kept, share * kept[-1] * (1 - 1e-12))) + 1

    def truncation_error(self, rank: int) -> float:
        """Compute ``||X - X_rank||_F / ||X||_F`` over all modules."""
        total = float(self.energy.sum())
        return float(np.sqrt(self.energy[:, rank:].sum() / total)) if total > 0 else 0.0


@dataclass(frozen=True)
class Plan:
    """How refined updates are made: who is kept, on which side, with which weights.

    Attributes
    ----------
    judged : Judged
        Everybody kept is refined; the subspace and the means are those of the clients with
        influence.
    side : {"output", "input"}
    rank : int
        Of the shared subspace.
    weights : ndarray of shape (rank,), or None
        Of empirical-Bayes pooling.
    """

    judged: Judged
    side: str
    rank: int
    weights: np.ndarray | None

    @classmethod
    def of(cls, audit: Audit) -> Plan:
        """Make the plan for the refined adapters of an audit."""
        if audit.judged is None:
            raise ValueError("only an audit with a verdict has refined adapters, got none")
        plan = cls(audit.judged, audit.side, audit.rank, None)
        if audit.options.pooling != "eb":
            return plan
        variances = []
        for name in audit.judged.modules:
            having = plan.clients_with(name)
            influence = plan.influence(having)
            if np.sum(influence > 0) >= 2:
                module = audit.judged.modules[name].select(having)
                blocks, basis = plan.oriented(module, influence)
                if basis.shape[1] == plan.rank:
                    heard = influence > 0
                    found = directions(blocks[heard], basis, influence[heard])
                    variances.append(found[1])
        weights = pooling_weights(variances, plan.rank) if variances else None
        return cls(audit.judged, audit.side, audit.rank, weights)

    def clients_with(self, module: str) -> np.ndarray:
        """Find the kept clients that have a module, as positions among the judged clients."""
        present = self.judged.modules[module].ranks > 0
        return np.flatnonzero(self.judged.kept & present)

    def influence(self, clients: np.ndarray) -> np.ndarray:
        """Look up the weights of some clients in their means; equal weights if all are 0."""
        influence = self.judged.influence[clients]
        return influence if influence.any() else np.ones(len(clients))

    def oriented(self, module: ModuleCore, influence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute blocks with the deciding side along the rows, and their principal subspace."""
        checkpoint()
        core: CompressedUpdates = module.core(self.side)
        return core.blocks, core.moments.principal(influence, min(self.rank, core.moments.d))[1]

    def refine(self, module: ModuleCore, clients: np.ndarray) -> np.ndarray:
        """Refine the blocks of kept clients, (n, a, b) with the output side first.

        Parameters
        ----------
        module : ModuleCore
            Of these clients.
        clients : ndarray of int, shape (n,)
            Their positions among the judged ones.
        """
        influence = self.influence(clients)
        heard = influence > 0
        blocks, basis = self.oriented(module, influence)
        usable = self.weights is not None and heard.sum() >= 2 and basis.shape[1] == self.rank
        weights = self.weights if usable else None
        refined = refine_module(
            blocks, basis, weights, heard=blocks[heard], influence=influence[heard]
        )
        return refined if self.side == "output" else refined.transpose(0, 2, 1)

    def _from_disk(
        self, module: str, clients: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
        """Read and refine a module; return both sides' bases (None: identity) and the blocks."""
        chosen = [self.judged.adapters.adapters[self.judged.clients[k]] for k in clients]
        pairs = [adapter.factors(module) for adapter in chosen]
        left = _basis([B for B, _ in pairs])
        right = _basis([A.T for _, A in pairs])
        core = compress(pairs, self.judged.modules[module].shape)
        if self.judged.halves is None:
            return left, right, self.refine(core, clients)
        rows = left if self.side == "output" else right
        apart, told = self.judged.halves.apart(chosen, module, self.side, rows)
        influence, everybody = self.influence(clients), np.ones(len(clients), dtype=bool)
        blocks, basis = self.oriented(core, influence)
        weights = direction_weights([blocks], [basis], everybody, [apart], influence, [told])
        (refined,) = refine_by_directions([blocks], everybody, weights, influence)
        return left, right, refined if self.side == "output" else refined.transpose(0, 2, 1)

    def spectra(self) -> dict[int, Spectrum]:
        """Compute the spectrum of each kept client's refined update; read files only for halves."""
        values: dict[int, list[np.ndarray]] = {int(k): [] for k in np.flatnonzero(self.judged.kept)}
        for name, module in self.judged.modules.items():
            having = self.clients_with(name)
            if len(having) == 0:
                continue
            if self.judged.halves is None:
                blocks = self.refine(module.select(having), having)
            else:
                blocks = self._from_disk(name, having)[2]
            short = blocks if blocks.shape[1] <= blocks.shape[2] else blocks.transpose(0, 2, 1)
            energy = np.linalg.eigvalsh(short @ short.transpose(0, 2, 1))[:, ::-1]
            for k, row in zip(having, energy, strict=True):
                values[int(k)].append(np.maximum(row, 0.0))
        return {k: Spectrum(_padded(rows)) for k, rows in values.items()}

    def factors(
        self, module: str, ranks: Mapping[int, int]
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Compute factors of one module's refined updates, from adapters read again from disk.

        Parameters
        ----------
        module : str
        ranks : mapping of int to int
            Rank to write, by position among the judged clients.

        Returns
        -------
        dict of (B, A)
            Of shape (d_out, rank) and (rank, d_in), scaling 1, padded with zeros.
        """
        everybody = self.clients_with(module)
        if not any(int(k) in ranks for k in everybody):
            return {}
        left, right, refined = self._from_disk(module, everybody)
        result = {}
        for k, block in zip(map(int, everybody), refined, strict=True):
            checkpoint()
            if k in ranks:
                u, v = truncate(block, ranks[k])
                result[k] = (_apply(left, u), _apply(right, v.T).T)
        return result


def truncate(block: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the best approximation of a rank as factors (a, rank), (rank, b) of equal norm."""
    a, b = block.shape
    if a > b:
        v, u = truncate(block.T, rank)
        return u.T, v.T
    n = min(rank, a)
    values, vectors = leading_eigenpairs(block @ block.T, n)
    sizes = np.sqrt(np.maximum(values, 0.0))
    used = sizes > 1e-12 * max(float(sizes[0]), np.finfo(float).tiny)
    roots = np.where(used, np.sqrt(np.where(used, sizes, 1.0)), 0.0)
    inverse = np.where(used, 1 / np.where(used, roots, 1.0), 0.0)
    first, second = np.zeros((a, rank)), np.zeros((rank, b))
    first[:, :n] = vectors * roots
    second[:n] = inverse[:, None] * (vectors.T @ block)
    return first, second


def _basis(columns: list[np.ndarray]) -> np.ndarray | None:
    """Compute the orthonormal basis of `compress`'s coordinates; None for the identity."""
    stacked = np.concatenate(columns, axis=1)
    if stacked.shape[0] <= stacked.shape[1]:
        return None
    basis: np.ndarray = stacked @ gram_root(stacked.T @ stacked)[1]
    return basis


def _apply(basis: np.ndarray | None, coordinates: np.ndarray) -> np.ndarray:
    return coordinates if basis is None else basis @ coordinates


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    result = np.zeros((max(len(rows), 1), max((len(row) for row in rows), default=1)))
    for target, row in zip(result, rows, strict=False):
        target[: len(row)] = row
    return result
