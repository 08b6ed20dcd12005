"""Imports point one way, in the order that CONTRIBUTING.md lists."""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from clair.app.kit.page_list import PAGES

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "clair").rglob("*.py"))
}
#: Libraries that only some parts may import.
ALLOWED = {
    "streamlit": {"clair.app"},
    "plotly": {"clair.figures", "clair.report", "clair.cli", "clair.app"},
    "torch": {"clair.federated"},
    "transformers": {"clair.federated"},
    "peft": set(),
    "flwr": {"clair.flower"},
    "loky": {"clair.executors"},
    "distributed": {"clair.executors"},
}


def parts_in_order() -> list[set[str]]:
    """Read the table of CONTRIBUTING.md: a row holds the parts of one height, lowest row first."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("## Map", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = (re.findall(r"`(clair/[\w/]+)`", row) for row in rows)
    return [{name.replace("/", ".") for name in names} for names in named]


ORDER = parts_in_order()
HEIGHT = {part: height for height, row in enumerate(ORDER) for part in row}


@cache
def part(module: str) -> str:
    """Find the part of the project that a module belongs to, by the longest name that fits."""
    fitting = [name for name in HEIGHT if f"{module}.".startswith(f"{name}.")]
    return max(fitting, key=len, default="")


@cache
def imports(path: Path) -> set[str]:
    """Collect the full names of all that a file imports, in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_is_on_the_map_and_every_part_exists() -> None:
    entrances = {"clair", "clair.__main__"}
    assert not {module for module in MODULES if not part(module)} - entrances
    assert not set(HEIGHT) - set(MODULES)


def test_imports_point_downward() -> None:
    upward = {
        (module, name)
        for module, path in MODULES.items()
        for name in imports(path)
        if part(module) and part(name) and HEIGHT[part(name)] > HEIGHT[part(module)]
    }
    assert not upward


@pytest.mark.parametrize("library", ALLOWED)
def test_libraries_stay_in_their_parts(library: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if library in {name.split(".")[0] for name in imports(path)}
    }
    assert {part(module) for module in users} <= ALLOWED[library]


def test_no_module_imports_itself_around_a_corner() -> None:
    graph = {
        module: {name for name in imports(path) if name in MODULES} - {module}
        for module, path in MODULES.items()
    }
    # A package's __init__ gathers its modules; importing the package does not depend on it.
    for module, used in graph.items():
        graph[module] = {name for name in used if MODULES[name].name != "__init__.py"}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("page", sorted((ROOT / "pages").glob("*.py")), ids=lambda p: p.stem)
def test_pages_are_short_and_load_nothing_heavy(page: Path) -> None:
    assert not {name.split(".")[0] for name in imports(page)} & {"torch", "transformers"}
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 150


def test_every_page_is_in_the_navigation() -> None:
    # phones come to the class by its link alone
    listed = {page.stem for page in PAGES} | {"classroom"}
    assert {path.stem for path in (ROOT / "pages").glob("*.py")} == listed


def test_the_router_is_short() -> None:
    assert len((ROOT / "router.py").read_text(encoding="utf-8").splitlines()) < 60
