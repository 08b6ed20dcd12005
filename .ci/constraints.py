"""Write constraints.txt: the version here of every package that the requirements bring.

Run in an environment that the README's second command has made; with the argument "extras", in one
made from tests/requirements-extras.txt, to write tests/constraints-extras.txt instead. CUDA's
packages come with some builds of torch only, and the suffix of a build, such as +cpu, is none of a
version: both are left out, so that the same file goes with every build.
"""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
#: Files with requirements, and what is written of them.
SETS = {
    "": (("requirements.txt", "tests/requirements.txt"), "constraints.txt"),
    "extras": (
        ("requirements.txt", "tests/requirements-extras.txt"),
        "tests/constraints-extras.txt",
    ),
}
CUDA = ("cuda-", "nvidia-", "triton")


def named(path: Path) -> list[Requirement]:
    """Return the requirements that a file names itself."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def versions(wanted: list[Requirement]) -> dict[str, str]:
    """Return the installed version of everything wanted and of what that needs here, by name."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        if name.startswith(CUDA) or seen.issuperset((name, extra) for extra in extras):
            continue
        seen.update((name, extra) for extra in extras)
        package = distribution(name)
        found[name] = Version(package.version).public
        for needed in map(Requirement, package.requires or ()):
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)
    return found


if __name__ == "__main__":
    asked, written = SETS["".join(sys.argv[1:])]
    found = versions([requirement for name in asked for requirement in named(ROOT / name)])
    lines = [f"{name}=={version}" for name, version in sorted(found.items())]
    head = "# Written by .ci/constraints.py; the requirements say which of these are asked for."
    (ROOT / written).write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
