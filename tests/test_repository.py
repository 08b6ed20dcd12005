"""What the README promises, compared with the repository."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

import clair

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_commands(text):
    blocks = re.findall(r"```(?:bash|sh|shell)\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.strip().splitlines() if line]


def test_the_first_screen_has_exactly_two_commands_and_the_second_is_what_ci_runs():
    first_screen = README.split("\n## ")[0]
    commands = shell_commands(first_screen)
    assert len(commands) == 2
    assert "streamlit run app.py" in commands[0]
    assert "pytest" in commands[1]
    assert commands[1].replace(" -q", "") in (ROOT / ".ci/run").read_text().replace(" -q", "")


def test_every_picture_and_file_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README) + re.findall(r'src="([^"]+)"', README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []


def test_the_wheel_asks_for_what_the_requirements_pin():
    """So that nobody widens one and forgets the other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = {(r := Requirement(line)).name: r.specifier for line in project["dependencies"]}
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split())
    assert ranges.keys() == pins.keys()
    assert all(pins[name] in ranges[name] for name in pins)
    files = ("tests/requirements-extras.txt", "tests/requirements-llm.txt")
    pinned = "\n".join((ROOT / name).read_text() for name in files)
    for asked in project["optional-dependencies"].values():
        for requirement in map(Requirement, asked):
            version = re.search(rf"^{requirement.name}==(.+)$", pinned, re.MULTILINE)[1]
            assert version in requirement.specifier


def test_the_language_model_is_installed_by_the_command_that_is_shown():
    from clair.federated.llm import INSTALL

    lines = (ROOT / "tests/requirements-llm.txt").read_text().splitlines()
    pins = {line for line in lines if not line.startswith("#")}
    assert pins == {word for word in INSTALL.split() if "==" in word}


def test_version_is_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"## {clair.__version__}" in changelog
    assert f"version: {clair.__version__}" in citation


def test_every_requirement_is_pinned():
    for name in ("requirements.txt", *(f"tests/{p.name}" for p in ROOT.glob("tests/req*.txt"))):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line), (name, line)


def test_the_constraints_hold_every_pin_and_go_with_every_build_of_torch():
    def lines(name):
        return {line for line in (ROOT / name).read_text().splitlines() if "==" in line}

    for written, asked in (
        ("constraints.txt", "tests/requirements.txt"),
        ("tests/constraints-extras.txt", "tests/requirements-extras.txt"),
    ):
        recorded = lines(written)
        assert lines("requirements.txt") | lines(asked) <= recorded
        assert len(recorded) > 80
        assert not [line for line in recorded if re.search(r"^(nvidia|cuda|triton)|\+", line)]


def test_the_app_needs_nothing_the_requirements_do_not_name():
    """Check that every third-party import of the app and the package is a pinned requirement."""
    import ast
    import sys

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    pinned = {Requirement(line).name.lower() for group in groups for line in group}
    found = set()
    for path in [*ROOT.glob("*.py"), *ROOT.glob("pages/*.py"), *ROOT.glob("clair/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    third_party = found - set(sys.stdlib_module_names) - {"clair", "__future__"}
    assert {name.lower() for name in third_party} <= pinned


def test_the_page_draws_with_the_plotly_that_writes_the_figures():
    """Check that the page and the figures use the same version of plotly.js.

    tests/browser/test_chart.py compares the chart types in our bundle with those we use.
    """
    import plotly

    whole = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    ours = ROOT / "static" / "plotly-cartesian.min.js"

    def version(path):
        return re.search(r"plotly\.js .*?v(\d+\.\d+\.\d+)", path.read_text("utf-8")[:300])[1]

    assert version(ours) == version(whole)
