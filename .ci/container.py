"""Run the Dockerfile's steps without Docker, in a fresh folder, and serve from the result.

.ci/container.py            # the packages of this environment stand in for the first RUN, pip's
.ci/container.py --install  # everything, into a fresh environment; minutes

The environment's variables overrule the Dockerfile's ARG.

The image's root is a temporary folder, and so are all absolute paths in ENV, WORKDIR and COPY. As
root the app is started as the Dockerfile's user. It has to answer on an address of this machine
other than 127.0.0.1, pass the Dockerfile's health check and be unable to write its own files.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OTHER_ADDRESS = "127.0.0.2"  # of this machine; a server on 127.0.0.1 alone does not answer there
PATIENCE = 180.0


def instructions(text: str) -> list[tuple[str, str]]:
    """Split a Dockerfile into instructions and what follows each."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def ignored(name: str, patterns: list[str]) -> bool:
    """Tell whether .dockerignore leaves out a name at the top; the last fitting pattern counts."""
    out = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(name, pattern.removeprefix("!")):
            out = not pattern.startswith("!")
    return out


class Image:
    """A folder that the steps are run in, and what they set."""

    def __init__(self, root: Path, install: bool) -> None:
        self.root, self.install = root, install
        self.env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        self.folder, self.user = root, None
        self.health: list[str] = []
        self.command: list[str] = []
        if install:
            subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
            self.env["PATH"] = f"{root / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def inside(self, path: str) -> Path:
        """Find where a path of the image is here."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.folder / path

    def step(self, name: str, rest: str) -> None:
        """Carry out one instruction."""
        print(f"{name} {rest}"[:100], flush=True)
        if name == "ENV":
            for item in shlex.split(rest):
                key, value = item.split("=", 1)
                self.env[key] = str(self.inside(value)) if value.startswith("/") else value
            Path(self.env.get("HOME", self.root)).mkdir(exist_ok=True, mode=0o777)
        elif name == "ARG":
            key, value = rest.split("=", 1)
            self.env[key] = os.environ.get(key, value)
        elif name == "WORKDIR":
            self.folder = self.inside(rest)
            self.folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = rest.split()
            self.copy(sources, self.inside(target))
        elif name == "RUN":
            if rest.startswith("pip ") and not self.install:
                print("    skipped: the packages are those of this environment")
                return
            subprocess.run(["sh", "-ec", rest], cwd=self.folder, env=self.env, check=True)
        elif name == "USER" and os.getuid() == 0:
            self.user = int(rest.split(":")[0])
        elif name == "HEALTHCHECK":
            self.health = json.loads(rest[rest.index("CMD ") + 4 :])
        elif name == "CMD":
            self.command = json.loads(rest)
        elif name not in ("FROM", "EXPOSE", "USER"):
            raise SystemExit(f"{name} is an instruction that this script does not know")

    def copy(self, sources: list[str], target: Path) -> None:
        """Copy files that git knows and .dockerignore does not leave out."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split("\0")
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
        for name in filter(None, listed):
            top = name.split("/")[0]
            if ignored(top, patterns) or not (ROOT / name).exists():
                continue
            if "." in sources or name in sources:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target / name, follow_symlinks=False)

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command as the image's user where that is allowed."""
        found = shutil.which(command[0], path=self.env["PATH"])
        if self.user is not None:
            try:
                return subprocess.Popen(
                    [found, *command[1:]], cwd=self.folder, env=self.env, user=self.user
                )
            except PermissionError:
                print(f"    not as user {self.user}, who may not run {found}")
                self.user = None
        return subprocess.Popen([found, *command[1:]], cwd=self.folder, env=self.env)


def check(image: Image, port: int) -> None:
    """Serve, and look at what a visitor would."""
    image.env["STREAMLIT_SERVER_PORT"] = str(port)
    cannot_write = 'import os, sys; sys.exit(os.access("clair", os.W_OK))'
    can_keep = 'import os, sys; sys.exit(not os.access(os.environ["CLAIR_CACHE_DIR"], os.W_OK))'
    assert image.start(["python", "-c", can_keep]).wait() == 0, "the cache cannot be written"
    if image.user is not None:
        assert image.start(["python", "-c", cannot_write]).wait() == 0, "code can be written"
    server = image.start(image.command)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://{OTHER_ADDRESS}:{port}/_stcore/health"):
                    break
            except OSError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < end, "the server does not answer"
                time.sleep(0.2)
        assert image.start(image.health).wait() == 0, "the health check fails"
        for path, least in (("", 500), ("/app/static/plotly-cartesian.min.js", 100_000)):
            with urllib.request.urlopen(f"http://{OTHER_ADDRESS}:{port}{path}") as answer:
                assert len(answer.read()) > least, path
        print(f"serves on {OTHER_ADDRESS}:{port} as user {image.user or os.getuid()}")
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Build and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="run pip's step too; minutes")
    parser.add_argument("--port", type=int, default=8599)
    options = parser.parse_args()
    text = (ROOT / "Dockerfile").read_text()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        image = Image(Path(folder), options.install)
        for name, rest in instructions(text):
            image.step(name, rest)
        check(image, options.port)


if __name__ == "__main__":
    main()
