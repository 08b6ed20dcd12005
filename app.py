"""The web server of CLAIR Explorer, for ``streamlit run app.py``; the pages start in router.py."""

from __future__ import annotations

from pathlib import Path

from streamlit.starlette import App

from clair.app.kit.site import LAYERS, lifespan

app = App(Path(__file__).with_name("router.py"), lifespan=lifespan, middleware=LAYERS)
