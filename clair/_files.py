"""Where the app's files are: beside the package in a checkout, inside it once it is installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_app"  # where a wheel has them, see pyproject.toml
#: Folder that `clair` is imported from.
IMPORT_ROOT = _PACKAGE.parent
#: Folder with app.py, router.py, pages/, assets/, static/ and .streamlit/.
ROOT = _INSTALLED if _INSTALLED.is_dir() else IMPORT_ROOT
ASSETS = ROOT / "assets"
STATIC = ROOT / "static"
#: What draws the charts, on the page and in reports.
PLOTLY_JS = STATIC / "plotly-cartesian.min.js"
