"""Imports point one way: mathematics knows nothing of charts, charts nothing of the screen."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "clair").rglob("*.py"))
}
#: What stands at the outer edge besides the app: command lines and the files they write.
EDGE = {
    "clair.__main__",
    "clair.app_cli",
    "clair.audit_cli",
    "clair.board_cli",
    "clair.redteam_cli",
    "clair.simulate_cli",
    "clair.theory_cli",
}
HEAVY = {"torch", "transformers", "peft"}


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """Collect the full names of all that a file imports, in functions too unless `top_only`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(path: Path, **options: bool) -> set[str]:
    """Collect the top-level names that a file imports."""
    return {name.split(".")[0] for name in imports(path, **options)}


def part(module: str) -> str:
    """Find the part of the project that a module belongs to."""
    if module in EDGE or module.startswith("clair.reports"):
        return "edge"
    second = [*module.split("."), ""][1]
    return second if second in ("ui", "figures", "board", "tasks", "jobs") else "core"


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_in_their_rooms(module: str) -> None:
    used, where = packages(MODULES[module]), part(module)
    if where != "ui":
        assert "streamlit" not in used
    if where not in ("ui", "edge", "figures"):
        assert "plotly" not in used
    if where != "tasks":
        assert not used & HEAVY


@pytest.mark.parametrize("module", MODULES)
def test_parts_import_downward_only(module: str) -> None:
    below = {
        "core": {"core"},
        "tasks": {"core", "tasks"},
        "board": {"core", "tasks", "board"},
        "figures": {"core", "tasks", "board", "figures"},
        "jobs": {"core", "tasks", "jobs"},
        "edge": {"core", "tasks", "board", "figures", "edge"},
        "ui": {"core", "tasks", "board", "figures", "jobs", "edge", "ui"},
    }
    used = {part(name) for name in imports(MODULES[module], top_only=True) if name in MODULES}
    assert used <= below[part(module)]


def test_no_module_imports_itself_around_a_corner() -> None:
    graph = {
        module: {name for name in imports(path, top_only=True) if name in MODULES} - {module}
        for module, path in MODULES.items()
    }
    # A package's __init__ gathers its modules; importing the package does not depend on it.
    for module, used in graph.items():
        graph[module] = {name for name in used if MODULES[name].name != "__init__.py"}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("page", sorted((ROOT / "pages").glob("*.py")), ids=lambda p: p.stem)
def test_pages_are_short_and_load_nothing_heavy(page: Path) -> None:
    assert not packages(page, top_only=True) & HEAVY
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_router_is_short() -> None:
    assert len((ROOT / "router.py").read_text(encoding="utf-8").splitlines()) < 60
