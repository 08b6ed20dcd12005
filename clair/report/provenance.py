"""What a result was made with: versions and device, without a date, so equal results are equal."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import clair


def made_with(*packages: str, device: str = "") -> tuple[tuple[str, str], ...]:
    """List names and versions of the application, the interpreter and some packages.

    Parameters
    ----------
    *packages : str
        Beside numpy, scipy and plotly; those not installed are left out.
    device : str
        What a run was trained on, in words.
    """
    found = [("CLAIR Explorer", clair.__version__), ("Python", platform.python_version())]
    for package in ("numpy", "scipy", "plotly", *packages):
        try:  # without importing it: torch alone takes seconds
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    if device:
        found.append(("trained on", device))
    return tuple(found)
