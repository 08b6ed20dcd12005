"""The wheel: built, installed into an environment of its own, and used from another folder."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving import PATIENCE, ROOT, Server, Socket

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**changes: str) -> dict[str, str]:
    """Return what the processes see: nothing that leads back to the checkout."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | changes


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that borrows the other packages from the tests'."""
    folder = tmp_path_factory.mktemp("package")
    home, wheels = folder / "venv", folder / "wheels"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    make = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(make, cwd=ROOT, check=True, env=environment())
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    options = ["--no-index", "--disable-pip-version-check", *map(str, wheels.iterdir())]
    subprocess.run([*install, *options], cwd=folder, check=True, env=environment())
    [packages] = home.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "borrowed.pth").write_text("\n".join(lines) + "\n")
    return python.parent


@pytest.fixture
def run(binaries: Path, tmp_path: Path) -> Run:
    """Run a command of the installation in an empty folder."""

    def command(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binaries / name), *arguments],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def test_the_command_knows_its_version(run: Run) -> None:
    import clair

    done = run("clair", "--version")
    assert (done.stdout, done.returncode) == (f"clair {clair.__version__}\n", 0)


def test_the_bundled_adapters_are_audited(run: Run, binaries: Path, tmp_path: Path) -> None:
    where = run("python", "-c", "from clair.adapters import EXAMPLE; print(EXAMPLE)").stdout
    example = Path(where.strip())
    assert example.is_relative_to(binaries.parent.resolve())
    done = run("clair", "audit", "--example", "--out", "report.json")
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["flagged"] == json.loads(example.with_name("truth.json").read_text())["poisoned"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="opens browsers by xdg-open")
def test_the_app_starts_shows_a_page_and_opens_the_browser(binaries: Path, tmp_path: Path) -> None:
    """Where nobody has used Streamlit before, it must not ask for an e-mail address either."""
    opened = tmp_path / "opened"
    browser = tmp_path / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}.part"; mv "{opened}.part" "{opened}"\n')
    browser.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    env = environment(PATH=path, HOME=str(tmp_path), DISPLAY=":0")
    server = Server([str(binaries / "clair"), "app"], tmp_path, env, **{"server.headless": ""})
    try:
        with Socket(server, "copying") as tab:
            tab.run()
            assert [e.message for e in tab.found("exception")] == []
            assert len(tab.elements) > 5
        for name in ("plotly-cartesian.min.js", "inter-latin-wght-normal.woff2"):
            with urllib.request.urlopen(f"{server.url}/app/static/{name}") as answer:
                assert len(answer.read()) > 10_000
        end = time.monotonic() + PATIENCE
        while not opened.exists():
            assert time.monotonic() < end, server.log()
            time.sleep(0.02)  # another process writes it, which can only be looked for
        assert opened.read_text().strip() == server.url
    finally:
        server.stop()
