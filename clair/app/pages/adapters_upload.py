"""A visitor's upload: it stays on other pages and after a reload, until the last tab is closed.

Streamlit forgets the files of an uploader as soon as another page is shown, and a reloaded tab is a
new session. So the files are held by the session itself, and a new session of the same browser
finds them by the browser's cookie. Nothing else holds them: with the last session they are gone.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

import streamlit as st

from clair.adapters.archive import UPLOAD_BYTES
from clair.adapters.limits import MIB
from clair.app.kit import jobs
from clair.app.kit.plain import plain
from clair.app.kit.presenter import presenting
from clair.app.pages import adapters
from clair.app.pages.adapters import Source

UPLOADER = "adapters_upload"
_HELD = "_adapters_held"
_LISTED = 4


class Held:
    """An upload, held by every session that shows it."""

    def __init__(self, source: Source) -> None:
        self.source = source


_BY_VISITOR: WeakValueDictionary[str, Held] = WeakValueDictionary()


def held() -> Source:
    """Return what this browser has uploaded, or the bundled example."""
    if _HELD not in st.session_state:
        st.session_state[_HELD] = _BY_VISITOR.get(jobs.visitor())
    found = st.session_state[_HELD]
    return Source() if found is None else found.source


def uploader() -> None:
    """Draw the uploader; what it receives or loses is in `held` from the next run on."""
    st.file_uploader(
        "LoRA adapters of at least four clients",
        type=["zip", "safetensors", "json"],
        accept_multiple_files=True,
        max_upload_size=UPLOAD_BYTES // MIB,
        help=adapters.HOW_WORDS,
        key=UPLOADER,
        on_change=_changed,
    )
    st.caption(f"{adapters.HOW_WORDS} {adapters.LIMITS_WORDS}")


def _changed() -> None:
    files = st.session_state[UPLOADER] or []
    # getvalue() of an untouched upload copies nothing
    _hold(Source(tuple((file.name, file.file_id, file.getvalue()) for file in files)))


def _hold(source: Source) -> None:
    who = jobs.visitor()
    _BY_VISITOR.pop(who, None)
    st.session_state[_HELD] = None
    if source.files:
        st.session_state[_HELD] = _BY_VISITOR[who] = Held(source)


def say_whose(source: Source) -> None:
    """Say whose adapters the page shows, and offer the way to the others."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if not source.files:
            poisoned = " and ".join(adapters.truth())
            st.markdown(
                f"**Shown: the bundled example**, ten adapters that our text-copying job trained, "
                f"of which {poisoned} learned from poisoned text. The audit is not told."
                + " Upload yours below to see them instead."
                * (not presenting())
            )
            return
        names = [plain(name) for name, _, _ in source.files]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        size = sum(len(data) for _, _, data in source.files) / MIB
        st.markdown(
            f"**Shown: your upload**, {', '.join(names[:_LISTED])}{more} ({size:.1f} MB). It stays "
            "on other pages and after a reload while this app is open in your browser. Only you "
            "see it, so there is no link to copy: take the report away instead."
        )
        if not st.session_state.get(UPLOADER):
            st.button(
                "Remove",
                key="adapters_remove",
                icon=":material/delete:",
                on_click=_hold,
                args=(Source(),),
                help="Forget these files and show the bundled example again.",
            )


def sample() -> None:
    """Offer the bundled example as a zip, to try an upload with or to see how one is made."""
    st.download_button(
        "Sample zip",
        data=adapters.sample_zip(),
        file_name="clair-sample-adapters.zip",
        mime="application/zip",
        key="adapters_sample",
        icon=":material/folder_zip:",
        on_click="ignore",
        help="The bundled example as an upload would look: a folder for each client, in it "
        "adapter_config.json and adapter_model.safetensors.",
    )
