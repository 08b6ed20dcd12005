"""Which files of a folder are an adapter, by their names alone, and why others cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
MLX_NAME = "adapters.safetensors"
DIFFUSERS_NAME = "pytorch_lora_weights.safetensors"

_SHARD = re.compile(r"adapter_model-(\d{1,6})-of-(\d{1,6})\.safetensors")
_WHOLE_MODEL = re.compile(r"(model|diffusion_pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)")
#: What trainers leave behind besides weights.
_LEFTOVER = re.compile(
    r"(optimizer|scheduler|rng_state\w*|scaler|training_args|random_states\w*|global_step\w*|"
    r"trainer_state|tokenizer\w*|mp_rank\w*|zero_pp_rank\w*)\.(pt|pth|bin|pkl|safetensors)"
)
#: Earlier states of one training in one folder: kohya's NAME-000010, mlx-lm's 0000100_adapters.
_EARLIER = re.compile(r"(?P<name>.+?)-(?:step)?\d{6,8}\.safetensors|\d+_adapters\.safetensors")

_PICKLE = "is a pickle, which can run code when opened; save the adapter as safetensors"
_UNPACK = "is an archive; unpack it into a folder of its own"
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("bin", "pt", "pth", "pkl", "pickle", "ckpt"), _PICKLE),
    **dict.fromkeys(("zip", "tar", "tgz", "gz", "bz2", "xz", "zst", "7z", "rar"), _UNPACK),
    "gguf": "is a GGUF file, which llama.cpp reads; give the PEFT adapter it was made from",
    "nemo": "is a NeMo archive; export the adapter from NeMo to Hugging Face PEFT first",
    "npz": "is a NumPy archive, as early versions of mlx-lm wrote; save it as safetensors",
    "npy": "is a NumPy file; save the adapter as safetensors",
    "msgpack": "holds Flax weights; save the adapter as safetensors",
    "h5": "is an HDF5 file; save the adapter as safetensors",
    "onnx": "is an ONNX model; give the PEFT adapter it was made from",
}
_LISTED = 3


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes
    ----------
    weights : tuple of str
        Files with the adapter's tensors: one, or all its shards in order.
    config : str
        "" if there is none.
    others : tuple of str
        Further weights in the folder, which are left aside.
    where, problem : str
        The file that stands in the way, and why the adapter cannot be read; "" if it can.
    """

    weights: tuple[str, ...] = ()
    config: str = ""
    others: tuple[str, ...] = ()
    where: str = ""
    problem: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Everything that has to be read."""
        return (*self.weights, self.config) if self.config else self.weights


def recognise(names: Iterable[str]) -> Found | None:
    """Find the files of an adapter among the names of a folder's files.

    Returns
    -------
    Found or None
        None if nothing in the folder looks like an adapter or its weights.
    """
    names = sorted(n for n in names if not n.startswith("._") and not _LEFTOVER.fullmatch(n))
    config = CONFIG_NAME if CONFIG_NAME in names else ""
    tensors = [n for n in names if n.endswith(".safetensors") and not _WHOLE_MODEL.fullmatch(n)]
    for usual in (WEIGHTS_NAME, MLX_NAME, DIFFUSERS_NAME):
        if usual in tensors:
            return Found((usual,), config, tuple(n for n in tensors if n != usual))
    shards = [match for n in names if (match := _SHARD.fullmatch(n))]
    if shards:
        return _sharded(shards, config)
    last = _last_states(tensors)
    if len(last) == 1:
        return Found((last[0],), config, tuple(n for n in tensors if n != last[0]))
    if last:
        return Found(
            config=config,
            where=last[0],
            problem=f"lies beside other tensors ({_some(last[1:])}) and nothing says which are the "
            f"client's; give each adapter a folder of its own, as {CONFIG_NAME} and {WEIGHTS_NAME}",
        )
    return _unreadable(names, config)


def _sharded(shards: list[re.Match[str]], config: str) -> Found:
    total = max(int(match[2]) for match in shards)
    ordered = sorted(shards, key=lambda match: int(match[1]))
    if [int(match[1]) for match in ordered] != list(range(1, total + 1)):
        return Found(
            config=config,
            where=ordered[0][0],
            problem=f"is one of {total:,} shards, of which {len(ordered):,} are there",
        )
    names = [match[0] for match in ordered]
    return Found(tuple(names), config)


def _last_states(tensors: list[str]) -> list[str]:
    """Leave out files that are earlier states of another one, and all but the last of several."""
    groups: dict[str, list[str]] = {}
    for name in tensors:
        match = _EARLIER.fullmatch(name)
        key = name if match is None else f"{match['name'] or 'adapters'}.safetensors"
        groups.setdefault(key, []).append(name)
    return sorted(key if key in found else max(found) for key, found in groups.items())


def is_weights(name: str) -> bool:
    """Tell whether a file may hold an adapter, or a part of one, by its name."""
    return recognise([name]) is not None


def _unreadable(names: list[str], config: str) -> Found | None:
    for name in names:
        if _WHOLE_MODEL.fullmatch(name):
            problem = (
                "is a whole model, not an adapter; save the adapter itself "
                "(model.save_pretrained of PEFT) before it is merged"
            )
            return Found(config=config, where=name, problem=problem)
    for name in names:
        problem = _REASONS.get(name.rpartition(".")[2].lower(), "") if "." in name else ""
        if problem:
            return Found(config=config, where=name, problem=problem)
    if config:
        problem = f"lies there alone: the folder has no {WEIGHTS_NAME} or other weights"
        return Found(config=config, where=config, problem=problem)
    return None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
