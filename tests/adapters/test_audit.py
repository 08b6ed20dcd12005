"""Verdicts on folders of adapters: good ones, incomplete ones, and ones with a problem inside."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import clair
from clair import executors
from clair.adapters import (
    AdapterError,
    AuditOptions,
    Limits,
    audit,
    audit_json,
    read_folder,
)
from clair.adapters.result import NOT_JUDGED
from clair.adapters.simulate import SimulatedSet, write_simulated
from clair.adapters.verdicts import judge_cores
from clair.cancellation import Cancelled
from clair.method.kinds import all_evidence


def verdicts(result):
    return {client.name: client.verdict for client in result.clients}


def flagged(result):
    return [client.name for client in result.named("flagged")]


@pytest.mark.parametrize("seed", range(4))
def test_exactly_the_poisoned_clients_are_flagged(tmp_path, seed):
    poisoned = write_simulated(tmp_path / "s", SimulatedSet(n_clients=9, seed=seed))
    result = audit(read_folder(tmp_path / "s"))
    assert flagged(result) == poisoned
    assert result.exit_code == 1
    assert result.side == "output"
    assert all(name in result.sentence() for name in poisoned)
    for module in result.modules:
        assert module.shared_energy["output"] > 0.9 > 0.5 > module.shared_energy["input"]
        assert module.suggested_rank["output"] == 3
        for client, value in zip(result.judged_clients, module.deviation, strict=True):
            assert (value > 2) == (client.verdict == "flagged")
    assert {m.layer for m in result.modules} == {0, 1}
    assert {m.kind for m in result.modules} == {"self_attn.q_proj", "self_attn.k_proj"}


def test_a_clean_set_is_clean(tmp_path):
    write_simulated(tmp_path / "s", SimulatedSet(n_poisoned=0))
    result = audit(read_folder(tmp_path / "s"))
    assert flagged(result) == []
    assert result.exit_code == 0
    assert np.isinf(result.threshold)


# Clients share nothing on the input side, so an automatic rank means nothing there.
@pytest.mark.parametrize(
    ("side", "rank", "detector"),
    [
        ("output", "auto", "residual"),
        ("output", 3, "residual"),
        ("input", 3, "residual"),
        ("output", 3, "norms"),
    ],
)
def test_scores_and_norms_equal_the_dense_computation(site, side, rank, detector):
    site.modules = {"l.0.q": (40, 30), "l.1.q": (26, 33)}
    site._shared = {
        n: np.random.default_rng(3).standard_normal((d, 2)) for n, (d, _) in site.modules.items()
    }
    for k in range(7):
        site.add(f"c{k}", k, poisoned=k in (2, 5), rank=3 + k % 2)
    found = read_folder(site.root)
    result = audit(
        found, AuditOptions(rank=rank, side=side, detector=detector, tol=1e-11, max_iter=3000)
    )
    dense = {
        name: np.array([np.matmul(*a.factors(name)) for a in found.adapters])
        for name in found.modules
    }
    fitted = clair.fit(dense, rank, side=side, detector=detector, tol=1e-11, max_iter=3000)
    assert result.rank == fitted.rank
    np.testing.assert_allclose(result.sides[side].scores, fitted.scores, rtol=1e-8)
    norms = [client.norm for client in result.judged_clients]
    np.testing.assert_allclose(norms, fitted.contamination_norms, rtol=1e-6)
    assert [c.verdict for c in result.clients] == list(fitted.degrees)
    assert [c.influence for c in result.clients] == pytest.approx(fitted.influence, rel=1e-8)
    for ours, theirs in zip(result.evidence, all_evidence(fitted), strict=True):
        assert (ours.kind, ours.flagged.tolist()) == (theirs.kind, theirs.flagged.tolist())
        assert ours.threshold == pytest.approx(theirs.threshold, rel=1e-6)
    decides = {kind["kind"]: kind["decides"] for kind in audit_json(result)["evidence"]}
    assert decides["norms"] == (detector == "norms")
    assert all(does for kind, does in decides.items() if kind != "norms")


def test_one_broken_adapter_does_not_cost_the_others(site):
    site.fill(6, poisoned=[4])
    bad = site.tensors(7)
    bad["base_model.model.model.layers.1.q_proj.lora_B.weight"][3, 1] = np.nan
    site.add("nan", tensors=bad)
    site.add("zero", tensors={key: 0 * value for key, value in site.tensors(8).items()})
    site.add("huge", tensors={k: 1e200 * v.astype(float) for k, v in site.tensors(9).items()})
    site.add("dora", config={"use_dora": True})
    outside = site.add("outside")
    site.add("other", config={"base_model_name_or_path": "org/another"})
    (site.root / "empty").mkdir()
    site.add("cut")
    cut = site.root / "cut" / "adapter_model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-10])
    odd = site.tensors(10)
    odd["base_model.model.model.layers.1.q_proj.lora_B.weight"] = np.ones((5, 4), np.float32)
    site.add("odd", tensors=odd)
    (site.root / "link").symlink_to(outside.rename(site.root.parent / "elsewhere"))
    (site.root / "alias").symlink_to(site.root / "c1")
    result = audit(read_folder(site.root))
    expected = {f"c{k}": "kept" for k in range(6)} | {"c4": "flagged"}
    expected |= dict.fromkeys(
        ("nan", "zero", "huge", "dora", "other", "empty", "cut", "odd", "link"), "not judged"
    )
    assert verdicts(result) == expected
    reasons = {c.name: c.reasons[0] for c in result.named("not judged")}
    assert "layers.1.q_proj.lora_B.weight: 1 of 36 entries are NaN" in reasons["nan"]
    assert "zero in every module" in reasons["zero"]
    assert "as large as" in reasons["huge"]
    assert "DoRA" in reasons["dora"]
    assert "org/another" in reasons["other"]
    assert "truncated" in reasons["cut"]
    assert "5 x 14 weight, which is 9 x 14 in most other adapters" in reasons["odd"]
    assert "is a link" in reasons["link"]
    assert "alias is a link to c1, which is judged under its own name." in result.notes
    alone = {c.name: c.score for c in result.judged_clients}
    for name in ("nan", "zero", "huge", "dora", "other", "cut", "odd"):
        for file in (site.root / name).iterdir():
            file.unlink()
    again = audit(read_folder(site.root))
    assert {c.name: c.score for c in again.judged_clients} == pytest.approx(alone, rel=1e-9)


def test_modules_missing_at_some_clients_neither_hide_nor_accuse_anybody(site):
    first = next(iter(site.modules))
    for k in range(8):
        only = [first] if k in (1, 6) else None
        site.add(f"c{k}", k, poisoned=k in (5, 6), modules=only)
    result = audit(read_folder(site.root), AuditOptions(rank=2, side="output"))
    assert flagged(result) == ["c5", "c6"]
    assert [module.n_clients for module in result.modules] == [8, 6]
    assert np.isnan(result.modules[1].deviation[[1, 6]]).all()
    assert any("1 of 2 modules are missing" in note for note in result.notes)


def test_a_module_that_only_flagged_clients_have_is_still_reported(site):
    site.modules["extra.k_proj"] = (8, 7)
    site._shared["extra.k_proj"] = np.ones((8, 2))
    usual = list(site.modules)[:2]
    for k in range(11):
        site.add(f"c{k}", k, poisoned=k < 4, modules=None if k < 4 else usual)
    result = audit(read_folder(site.root), AuditOptions(rank=2, side="output"))
    assert flagged(result) == ["c0", "c1", "c2", "c3"]
    extra = next(module for module in result.modules if module.name == "extra.k_proj")
    assert extra.n_clients == 4
    assert np.isnan(extra.deviation[4:]).all()


@pytest.mark.parametrize("owners", [1, 2, 3])
def test_modules_of_too_few_clients_to_compare_are_said_with_their_owners(site, owners):
    site.modules |= {"extra.k_proj": (6, 7), "extra.v_proj": (5, 6)}
    site._shared |= {"extra.k_proj": np.ones((6, 2)), "extra.v_proj": np.ones((5, 2))}
    usual = list(site.modules)[:2]
    for k in range(8):
        site.add(f"c{k}", k, modules=None if k < owners else usual)
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert [module.name for module in result.modules] == usual
    (note,) = [note for note in result.notes if "extra.k_proj" in note]
    assert "2 modules are not comparable" in note
    assert {f"c{k}" for k in range(8) if f"c{k}" in note} == {f"c{k}" for k in range(owners)}
    assert result.exit_code == 2
    assert audit_json(result)["modules_not_comparable"] == ["extra.k_proj", "extra.v_proj"]


def test_a_client_that_changed_what_nobody_else_did_is_not_comparable(site):
    site.modules["extra.k_proj"] = (6, 7)
    site._shared["extra.k_proj"] = np.ones((6, 2))
    for k in range(8):
        site.add(f"c{k}", k, modules=list(site.modules)[:2])
    site.add("alone", 9, modules=["extra.k_proj"])
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert verdicts(result)["alone"] == "not comparable"
    assert result.exit_code == 2
    assert len(result.judged_clients) == len(result.sides["output"].scores) == 8
    assert "1 could not be compared" in result.sentence()
    report = audit_json(result)
    assert report["not_comparable"] == ["alone"]
    assert next(c for c in report["clients"] if c["name"] == "alone")["score"] is None


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_fewer_than_four_clients_cannot_be_judged(site, n):
    site.root.mkdir()
    site.fill(n)
    result = audit(read_folder(site.root))
    assert result.exit_code == 2
    assert f"{n} usable adapter" in result.reason
    assert "at least 4" in result.sentence()
    assert len(result.named("not judged")) == n


def test_base_models_without_a_majority_are_refused_and_paths_do_not_matter(site):
    for k, base in enumerate(("org/a", "/home/x/a", "C:\\models\\A", "org/b", "org/a")):
        site.add(f"c{k}", k, config={"base_model_name_or_path": base})
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert verdicts(result)["c3"] == "not judged"
    assert verdicts(result)["c2"] != "not judged"
    for k, base in enumerate(("b", "b/", "org/b"), start=5):
        site.add(f"c{k}", k, config={"base_model_name_or_path": base})
    result = audit(read_folder(site.root))
    assert "different base models" in result.reason
    assert "--any-base" in result.reason
    assert len(result.named(NOT_JUDGED)) == 8
    together = read_folder(site.root, any_base=True)
    assert len(together.adapters) == 8
    assert "different base models" in together.notes[0]


def test_equal_updates_of_two_clients_are_pointed_out(site):
    site.fill(5)
    twin = site.tensors(2)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0].astype(np.float64)
    for key in twin:  # other factors, the same products
        wide = twin[key].astype(np.float64)
        twin[key] = wide @ turn if "lora_B" in key else turn.T @ wide
    site.add("twin", tensors=twin)
    notes = audit(read_folder(site.root), AuditOptions(rank=2)).notes
    assert "c2 and twin sent the same update; they share one vote." in notes


def test_names_in_any_script_and_with_control_characters(site):
    names = ["klinik-zürich", "医院-3", "больница", "evil\x1b[31m", "a b"]
    for k, name in enumerate(names):
        site.add(name, k)
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert {"klinik-zürich", "医院-3", "больница", "evil\\x1b[31m"} <= set(verdicts(result))


def test_ten_thousand_small_files_and_too_many_adapters_are_bounded(site):
    site.fill(4)
    junk = site.root / "junk"
    junk.mkdir()
    for i in range(10_000):
        (junk / f"{i}.txt").touch()
    assert len(read_folder(site.root).adapters) == 4
    (site.root / ".env").mkdir()
    for i in range(200):
        (site.root / ".env" / f"{i}").mkdir()
    assert len(read_folder(site.root, Limits(entries=11_000)).adapters) == 4
    with pytest.raises(AdapterError, match=r"more than 5,000 files"):
        read_folder(site.root, Limits(entries=5_000))
    with pytest.raises(AdapterError, match="more than 2 adapters"):
        read_folder(site.root, Limits(clients=2))
    for few in (Limits(core_bytes=100), Limits(seconds=1e-3)):
        result = audit(read_folder(site.root), limits=few, progress=lambda _: pytest.fail("began"))
        assert "give fewer clients" in result.reason


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("/".join(["eu", "graz", *"deep" * 5]), "/".join(["eu", "graz", *"deep" * 5][:17])),
        (".graz", ".graz"),
        ("eu/graz", "eu/graz"),
    ],
    ids=["too-deep", "hidden", "other-format"],
)
def test_a_site_that_was_not_looked_into_is_named_and_counts(site, lost, named):
    site.fill(4)
    site.add("eu/aachen")
    (site.root / ".cache" / "huggingface").mkdir(parents=True)  # as downloads leave behind
    assert audit(read_folder(site.root), AuditOptions(rank=2)).exit_code == 0
    folder = site.add(lost)
    if lost == "eu/graz":
        (folder / "adapter_config.json").unlink()
        (folder / "adapter_model.safetensors").rename(folder / "pytorch_lora_weights.safetensors")
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert [client.name for client in result.named(NOT_JUDGED)] == [named]
    assert result.exit_code == 2


def test_what_was_not_looked_into_is_named_up_to_a_bound(site):
    site.fill(4)
    for k in range(9):
        (site.root / f"empty-{k}").mkdir()
    aside = read_folder(site.root, Limits(clients=5)).set_aside
    assert len(aside) == 6
    assert aside[-1].name == "4 more"


def test_folders_that_are_no_folder_of_adapters(site, tmp_path):
    folder = site.add("c")
    with pytest.raises(AdapterError, match="is itself an adapter"):
        read_folder(folder)
    for path in (tmp_path / "missing", folder / "adapter_config.json"):
        with pytest.raises(AdapterError, match="is not a folder"):
            read_folder(path)


def test_rank_must_fit_every_module(site):
    result = audit(read_folder(site.fill(4)), AuditOptions(rank=10))
    assert "rank must be at most 9 for module model.layers.1.q_proj" in result.reason
    with pytest.raises(ValueError, match="rank must be at least 1"):
        AuditOptions(rank=0)
    with pytest.raises(ValueError, match="side must be one of"):
        AuditOptions(side="left")


def test_progress_is_reported_and_may_stop_the_audit(site):
    seen = []
    found = read_folder(site.fill(4))
    audit(found, progress=seen.append)
    assert list(dict.fromkeys(s.stage for s in seen)) == ["read", "detect", "split", "report"]
    assert all(s.label for s in seen)
    fractions = [s.fraction for s in seen]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.1 < 0.9 < fractions[-1] <= 1

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(found, progress=stop)


@pytest.mark.parametrize("stage", ["read", "detect", "split", "report"])
def test_cancel_is_heard_in_every_stage(site, stage):
    found, reached = read_folder(site.fill(4)), []
    with pytest.raises(Cancelled):
        audit(
            found,
            progress=lambda seen: reached.append(seen.stage),
            cancelled=lambda: stage in reached,
        )
    assert reached[-1] == stage


def test_two_processes_find_what_one_does_and_stop_when_told(site, monkeypatch):
    site.fill(6, poisoned=[4])
    bad = site.tensors(7)
    bad["base_model.model.model.layers.1.q_proj.lora_B.weight"][3, 1] = np.nan
    site.add("nan", tensors=bad)
    found = read_folder(site.root)
    alone = audit_json(audit(found, AuditOptions(rank=2)))
    monkeypatch.setattr("clair.adapters.work.WORTHWHILE", 0.0)
    pools = []

    class Watched(executors.ProcessPoolExecutor):
        def __init__(self, *count, **how):
            super().__init__(*count, **how)
            pools.append(self)

        def submit(self, *call):
            task = super().submit(*call)
            self.pids = list(self._processes)
            return task

    monkeypatch.setattr(executors, "ProcessPoolExecutor", Watched)
    together = audit_json(audit(found, AuditOptions(rank=2), workers=2))
    del alone["seconds"], together["seconds"]
    assert together == alone
    with pytest.raises(Cancelled):
        audit(found, workers=2, cancelled=lambda: len(pools) > 1 and hasattr(pools[1], "pids"))
    assert [len(pool.pids) for pool in pools] == [1, 1]
    assert not any(Path(f"/proc/{pid}").exists() for pool in pools for pid in pool.pids)


def test_an_executor_elsewhere_is_sent_no_files(site):
    site.fill(6, poisoned=[4])
    found = read_folder(site.root)
    sent = []

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, call, function, *arguments):
            sent.append(function)
            return super().submit(call, function, *arguments)

    alone = audit_json(audit(found, AuditOptions(rank=2)))
    with Elsewhere(1) as pool:
        workers = executors.Workers(pool, 1, files=False)
        there = audit_json(audit(found, AuditOptions(rank=2), workers=workers))
    del alone["seconds"], there["seconds"]
    assert there == alone
    assert sent == [judge_cores]
