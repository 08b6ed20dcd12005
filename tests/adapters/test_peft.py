"""The same adapters through peft: what we read is what it merges, what we write it loads."""

import json
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from clair.adapters import AuditOptions, audit, read_adapter, read_folder, write_refined

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    peft = pytest.importorskip("peft")
    from transformers.pytorch_utils import Conv1D

pytestmark = pytest.mark.filterwarnings("ignore")


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(10, 12)
        self.v_proj = torch.nn.Linear(10, 8, bias=False)


class Model(torch.nn.Module):
    def __init__(self, conv=False):
        super().__init__()
        torch.manual_seed(0)
        self.config = {"model_type": "custom"}
        self.embed = torch.nn.Embedding(15, 10)
        self.layers = torch.nn.ModuleList(Block() for _ in range(2))
        self.mlp = Conv1D(7, 10) if conv else torch.nn.Linear(10, 7)
        self.head = torch.nn.Linear(7, 3)


def adapter(path, seed, conv=False, **config):
    """Save a PEFT adapter with random factors, and return the update it merges into each module."""
    base = Model(conv)
    before = {name: p.detach().clone() for name, p in base.named_parameters()}
    options = {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"], **config}
    model = peft.get_peft_model(base, peft.LoraConfig(**options))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(path)
    return merged_updates(model, before)


def merged_updates(model, before):
    after = dict(model.merge_and_unload().named_parameters())
    changed = {}
    for name, old in before.items():
        difference = (after[name].detach() - old).numpy().astype(float)
        if name.endswith(".weight") and np.abs(difference).max() > 0:
            changed[name.removesuffix(".weight")] = difference
    return changed


CASES = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {"layers.0.q_proj": 5, r".*\.1\.v_proj": 2},
        "alpha_pattern": {"v_proj": 1, "^layers.1.q_proj": 9},
    },
    "float alpha": {"lora_alpha": 2.5},
    "embedding": {"target_modules": ["embed", "q_proj"]},
    "all": {"target_modules": "all-linear"},
}


@pytest.mark.parametrize("case", CASES)
def test_factors_multiply_to_what_peft_merges(tmp_path, case):
    expected = adapter(tmp_path / "a", 1, **CASES[case])
    read = read_adapter(tmp_path / "a")
    assert set(read.modules) == set(expected)
    assert read.notes == ()
    for name, update in expected.items():
        B, A = read.factors(name)
        ours = (B @ A).T if read.modules[name].embedding else B @ A
        np.testing.assert_allclose(ours, update, atol=2e-5)
        assert read.modules[name].shape == ours.shape[:: -1 if read.modules[name].embedding else 1]


def test_conv1d_modules_are_read_in_peft_orientation(tmp_path):
    expected = adapter(tmp_path / "a", 1, conv=True, target_modules=["mlp"], fan_in_fan_out=True)
    B, A = read_adapter(tmp_path / "a").factors("mlp")
    np.testing.assert_allclose((B @ A).T, expected["mlp"], atol=2e-5)


class Classifier(Model):
    """With a head that PEFT trains as a whole for tasks of classification."""

    def __init__(self):
        super().__init__()
        self.classifier = torch.nn.Linear(7, 2)
        self.qa_outputs = torch.nn.Linear(7, 2)

    def prepare_inputs_for_generation(self):
        raise NotImplementedError


TASKS = {
    "SEQ_CLS": ["classifier"],
    "TOKEN_CLS": ["classifier"],
    "QUESTION_ANS": ["qa_outputs"],
    "CAUSAL_LM": ["head"],
    "FEATURE_EXTRACTION": None,
}


@pytest.mark.parametrize("sent", [True, False], ids=["head", "no head"])
@pytest.mark.parametrize("task", TASKS)
def test_refined_adapters_of_every_task_load_with_the_clients_own_head(tmp_path, task, sent):
    for k in range(4):
        options = {"task_type": task, "modules_to_save": TASKS[task]}
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], **options)
        model = peft.get_peft_model(Classifier(), config)
        torch.manual_seed(k)
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.data = torch.randn(parameter.shape)
        model.save_pretrained(tmp_path / "in" / f"c{k}")
    if not sent:
        for path in (tmp_path / "in").glob("*/adapter_model.safetensors"):
            kept = {n: v for n, v in load_file(path).items() if "lora_" in n}
            save_file(kept, path)
    result = audit(read_folder(tmp_path / "in"), AuditOptions(rank=2))
    for entry in write_refined(result, tmp_path / "out"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = peft.PeftModel.from_pretrained(Classifier(), entry.folder)
        assert not [w for w in caught if "missing" in str(w.message).casefold()]
        assert bool(entry.note) == (not sent and task in ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"))
        own = load_file(tmp_path / "in" / entry.name / "adapter_model.safetensors")
        heads = {name: value for name, value in own.items() if "lora_" not in name}
        assert bool(heads) == (sent and TASKS[task] is not None)
        there = peft.get_peft_model_state_dict(loaded)
        for name, value in heads.items():
            np.testing.assert_array_equal(there[name].numpy(), value)


@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("pooling", ["none", "eb"])
def test_refined_adapters_load_in_peft_and_merge_to_our_refined_updates(tmp_path, side, pooling):
    import clair

    updates, names = [], [f"client {k}" for k in range(5)]
    for k, name in enumerate(names):
        ranks = {"r": 2 + k % 3}  # of different ranks
        updates.append(
            adapter(tmp_path / "in" / name, k, target_modules=["q_proj", "embed"], **ranks)
        )
    options = AuditOptions(rank=2, side=side, pooling=pooling)
    result = audit(read_folder(tmp_path / "in"), options)
    written = write_refined(result, tmp_path / "out", energy=1.0)
    assert [entry.name for entry in written] == [c.name for c in result.named("kept")]
    stacks = {name: np.stack([u[name] for u in updates]) for name in updates[0]}
    stacks["embed"] = stacks["embed"].transpose(0, 2, 1)
    fitted = clair.fit(stacks, 2, side=side, gap=(1.15, 1.25), pooling=pooling)
    np.testing.assert_array_equal(fitted.benign, result.judged.kept)
    for entry in written:
        assert entry.truncation_error < 1e-7
        base = Model()
        before = {name: p.detach().clone() for name, p in base.named_parameters()}
        loaded = peft.PeftModel.from_pretrained(base, entry.folder)
        merged = merged_updates(loaded, before)
        assert set(merged) == set(stacks)
        k = names.index(entry.name)
        for name, refined in fitted.refined.items():
            ours = refined[k].T if name == "embed" else refined[k]
            np.testing.assert_allclose(merged[name], ours, atol=5e-5)


def test_truncation_is_the_best_of_its_rank_and_its_error_is_reported(tmp_path):
    for k in range(4):
        adapter(tmp_path / "in" / f"c{k}", k)
    result = audit(read_folder(tmp_path / "in"), AuditOptions(rank=2, side="output"))
    exact = write_refined(result, tmp_path / "exact", energy=1.0)
    short = write_refined(result, tmp_path / "short", rank=3)
    own = write_refined(result, tmp_path / "own")
    assert {entry.rank for entry in own} == {3}
    for full, cut in zip(exact, short, strict=True):
        assert json.loads((cut.folder / "adapter_config.json").read_text())["r"] == 3
        whole, part = read_adapter(full.folder), read_adapter(cut.folder)
        lost = total = best = 0.0
        for name in whole.modules:
            X, Y = (np.matmul(*a.factors(name)) for a in (whole, part))
            values = np.linalg.svd(X, compute_uv=False)
            lost += np.sum((X - Y) ** 2)
            best += np.sum(values[3:] ** 2)
            total += np.sum(values**2)
        assert lost == pytest.approx(best, rel=1e-4)
        assert cut.truncation_error == pytest.approx(np.sqrt(lost / total), rel=1e-4)
