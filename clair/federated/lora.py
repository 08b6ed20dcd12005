"""LoRA for many clients at once: the client axis folded into the batch.

A batch holds the examples of all clients, client by client, and shares one frozen model. Forward
hooks on chosen ``nn.Linear`` modules add each client's own update to the output by one batched
matrix product, so the model needs no change and is as before after `remove`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

#: Groups of clients in their order in a batch: number of clients, and rows of each.
Layout = tuple[tuple[int, int], ...]


def client_matmul(x: Tensor, weight: Tensor, layout: Layout = ()) -> Tensor:
    """Multiply every client's rows by its own matrix.

    Parameters
    ----------
    x : Tensor of shape (n_clients * n, ..., d_in)
        Examples, client by client, the same number for each.
    weight : Tensor of shape (n_clients, d_out, d_in)
    layout : tuple of (int, int)
        Needed where the number differs: clients and rows of each, group by group.

    Returns
    -------
    Tensor of shape (n_clients * n, ..., d_out)
    """
    if len(layout) > 1:
        parts = x.split([clients * n for clients, n in layout])
        own = weight.split([clients for clients, _ in layout])
        return torch.cat([client_matmul(*pair) for pair in zip(parts, own, strict=True)])
    rows = x.reshape(weight.shape[0], -1, x.shape[-1])  # (K, n * ..., d_in)
    product = torch.bmm(rows, weight.to(rows.dtype).transpose(1, 2))  # (K, n * ..., d_out)
    return product.reshape(*x.shape[:-1], weight.shape[1])


class _Attachment:
    """Hooks on linear modules that can be taken off again."""

    def __init__(self, model: nn.Module, names: Iterable[str], layout: Layout) -> None:
        self._handles = []
        self.layout = layout
        for name in names:
            module = model.get_submodule(name)
            if not isinstance(module, nn.Linear):
                raise ValueError(
                    f"modules must name nn.Linear layers, got {name!r} ({type(module).__name__})"
                )
            self._handles.append(module.register_forward_hook(self._hook(name)))

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def add_update(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + self.update(name, inputs[0])

        return add_update

    def update(self, name: str, x: Tensor) -> Tensor:
        """Compute what module `name` adds to its output for the input `x`."""
        raise NotImplementedError

    def remove(self) -> None:
        """Take all hooks off; the model computes again what it did before. Idempotent."""
        while self._handles:
            self._handles.pop().remove()


class ClientLora(_Attachment):
    """Trainable LoRA adapters of all clients: Delta_k = (alpha / rank) B_k A_k.

    A starts alike for all clients (uniform in +-1 / sqrt(d_in), as LoRA's usual initialisation
    does), B starts at 0, so training starts from the base model.

    Parameters
    ----------
    model : nn.Module
        Frozen by the caller.
    names : iterable of str
        Names of ``nn.Linear`` modules, as in ``model.named_modules()``.
    n_clients, rank : int
    alpha : float, optional
        Defaults to `rank`: scaling 1.
    rng : numpy.random.Generator
        Draws A; numpy, so that every device starts from the same numbers.
    layout : tuple of (int, int)
        As in `client_matmul`.

    Raises
    ------
    ValueError
        If a name is not an ``nn.Linear``.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Iterable[str],
        *,
        n_clients: int,
        rank: int,
        alpha: float | None = None,
        rng: np.random.Generator,
        layout: Layout = (),
    ) -> None:
        names = tuple(names)
        super().__init__(model, names, layout)
        self.scaling = (rank if alpha is None else alpha) / rank
        self.A: dict[str, Tensor] = {}  # (K, rank, d_in)
        self.B: dict[str, Tensor] = {}  # (K, d_out, rank)
        for name in names:
            weight = _weight(model, name)
            d_out, d_in = weight.shape
            bound = 1.0 / math.sqrt(d_in)
            draw = torch.from_numpy(rng.uniform(-bound, bound, size=(rank, d_in))).to(weight)
            self.A[name] = draw.expand(n_clients, -1, -1).clone().requires_grad_()
            self.B[name] = weight.new_zeros(n_clients, d_out, rank).requires_grad_()

    def update(self, name: str, x: Tensor) -> Tensor:
        inner = client_matmul(x, self.A[name], self.layout)
        return client_matmul(inner, self.scaling * self.B[name], self.layout)

    def parameters(self) -> list[Tensor]:
        """List all trainable tensors."""
        return [*self.A.values(), *self.B.values()]

    def factors(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Copy adapters by module: scaled B (n_clients, d_out, rank), A (n_clients, rank, d_in)."""
        return {
            name: (_to_numpy(self.scaling * self.B[name]), _to_numpy(self.A[name]))
            for name in self.A
        }


class ClientUpdates(_Attachment):
    """Fixed dense updates of all clients, for evaluation and as a start for fine-tuning.

    Parameters
    ----------
    model : nn.Module
    updates : mapping of str to ndarray of shape (n_clients, d_out, d_in)
        By module name.
    layout : tuple of (int, int)
        As in `client_matmul`.
    """

    def __init__(
        self, model: nn.Module, updates: Mapping[str, np.ndarray], layout: Layout = ()
    ) -> None:
        super().__init__(model, updates, layout)
        self._updates: dict[str, Tensor] = {}
        for name, update in updates.items():
            tensor = torch.from_numpy(np.ascontiguousarray(update))
            self._updates[name] = tensor.to(_weight(model, name))

    def update(self, name: str, x: Tensor) -> Tensor:
        return client_matmul(x, self._updates[name], self.layout)


def _weight(model: nn.Module, name: str) -> Tensor:
    module = model.get_submodule(name)
    assert isinstance(module, nn.Linear)  # checked where the hook was attached
    return module.weight


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy()
