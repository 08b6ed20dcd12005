"""What the page "Your adapters" draws: the running audit, the views of a result, downloads."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from clair.adapters import Audit, AuditOptions, audit_json
from clair.adapters.errors import AdapterError
from clair.adapters.progress import AuditProgress
from clair.adapters.report import side_lines
from clair.adapters.result import FLAGGED, KEPT, NOT_JUDGED
from clair.figures.adapters import (
    client_scores,
    deviation_map,
    layer_map,
    shared_energy,
    sides_compared,
)
from clair.narrative import times
from clair.palette import ThemeName
from clair.reports.adapters import audit_recipe, audit_report, clients, deviations
from clair.reports.adapters import modules as modules_table
from clair.ui import adapters
from clair.ui.adapters import Source
from clair.ui.plain import plain
from clair.ui.results import show_chart
from clair.ui.takeaway import TakeAway, screen_of

_RESULT, _STOPPED = "_adapters_result", "_adapters_stopped"


def result_of(source: Source, options: AuditOptions) -> Audit | None:
    """The audit of a source: at once, or after a progress bar that can be cancelled.

    Returns
    -------
    Audit or None
        None after Cancel, until the files or the settings change or Run is pressed.
    """
    if not source.files:
        st.session_state.pop(_RESULT, None)
        return adapters.bundled(options)
    key = (source.key, options)
    known = st.session_state.get(_RESULT)
    if known is not None and known[0] == key:
        result: Audit = known[1]
        return result
    if st.session_state.get(_STOPPED) == key:
        st.info("Cancelled; nothing of that run is kept.", icon=":material/info:")
        st.button("Run", type="primary", key="adapters_run", on_click=_again)
        return None
    place = st.empty()
    with place.container():
        words, button = st.columns([5, 1], vertical_alignment="center")
        bar = words.progress(0.0, text="Waiting for a turn")
        button.button("Cancel", key="adapters_cancel", on_click=_stop, args=(key,), width="stretch")
    try:
        with adapters.turn(lambda: _draw(bar, 0.0, "Other visitors' adapters are being judged")):
            result = adapters.run(source, options, _stepper(bar))
    except AdapterError as error:
        place.empty()
        st.warning(plain(str(error)), icon=":material/info:")
        return None
    place.empty()
    st.session_state[_RESULT] = (key, result)
    return result


def _stop(key: Any) -> None:
    st.session_state[_STOPPED] = key


def _again() -> None:
    st.session_state.pop(_STOPPED, None)


def _draw(bar: Any, share: float, text: str) -> None:
    bar.progress(share, text=text)


def _stepper(bar: Any) -> Callable[[AuditProgress], None]:
    last = 0.0

    def step(seen: AuditProgress) -> None:
        # Drawing is also where Streamlit stops a script whose visitor pressed Cancel.
        nonlocal last
        if time.monotonic() - last >= 0.1:
            last = time.monotonic()
            _draw(bar, seen.fraction, seen.label)

    return step


def headline_numbers(result: Audit) -> None:
    """Five numbers every view is about."""
    side = result.sides[result.side]
    n = len(result.judged_clients)
    columns = st.columns(5)
    columns[0].metric("Flagged", f"{len(result.named(FLAGGED))} of {n}")
    columns[1].metric("Not judged", len(result.named(NOT_JUDGED)))
    columns[2].metric(
        "Margin of the verdict",
        times(min(side.margin, 999.0)) if side.flagged.any() else "–",
        help="Lowest flagged score over highest kept score: how clear the verdict is.",
    )
    columns[3].metric(
        "Shared by kept",
        f"{side.shared_energy:.0%}",
        help="Share of a kept client's update that lies in the directions of the other kept "
        "clients, mean over modules.",
    )
    columns[4].metric(
        "Shared rank", result.rank, help=f"Directions in each module, {result.side} side."
    )


def verdict(result: Audit, theme: ThemeName) -> None:
    """Scores, and the table of all clients."""
    show_chart(client_scores(result, theme), "adapters_scores")
    client_table(result)


def client_table(result: Audit) -> None:
    """One row a judged client, flagged ones first."""
    order = {FLAGGED: 0, KEPT: 1}
    rows = [
        {
            "client": client.name,
            "verdict": client.verdict,
            "score": client.score,
            "‖S‖": client.norm,
            "rank": client.rank,
            "deviates most in": client.where[0][0],
            "times typical": client.where[0][1],
            "why": "; ".join([*client.reasons, *client.notes]),
        }
        for client in sorted(result.judged_clients, key=lambda c: order[c.verdict])
    ]
    numbers = {
        name: st.column_config.NumberColumn(format="%.2f")
        for name in ("score", "‖S‖", "times typical")
    }
    st.dataframe(
        rows, hide_index=True, width="stretch", column_config=numbers, key="adapters_clients"
    )


def not_judged(result: Audit) -> None:
    """Every adapter that could not be judged, with the reason, in full."""
    left_out = result.named(NOT_JUDGED)
    if not left_out:
        return
    lines = []
    for client in left_out:
        why = "; ".join([*client.reasons, *client.notes]).removeprefix(f"{client.name}: ")
        lines.append(f"* **{plain(client.name)}**: {plain(why)}")
    with st.container(border=True, height="content" if len(lines) < 9 else 300):
        st.markdown("\n".join(["Not judged:", "", *lines]))


def where(result: Audit, theme: ThemeName) -> None:
    """All clients by module, and one of them by layer and kind."""
    show_chart(deviation_map(result, theme), "adapters_map")
    names = [client.name for client in result.judged_clients]
    worst = max(range(len(names)), key=lambda k: result.judged_clients[k].score)
    chosen = st.selectbox(
        "Client",
        range(len(names)),
        index=worst,
        format_func=lambda k: f"{names[k]} ({result.judged_clients[k].verdict})",
        key="adapters_client",
    )
    show_chart(layer_map(result, chosen, theme), "adapters_layers")


def modules(result: Audit, theme: ThemeName) -> None:
    """What each module shares, and the rank it suggests."""
    show_chart(shared_energy(result, theme), "adapters_energy")
    rows = [
        {
            "module": module.name,
            "shape": f"{module.shape[0]} × {module.shape[1]}",
            "clients": module.n_clients,
            "shared, output": 100 * module.shared_energy["output"],
            "shared, input": 100 * module.shared_energy["input"],
            "rank, output": module.suggested_rank["output"],
            "rank, input": module.suggested_rank["input"],
        }
        for module in result.modules
    ]
    shares = {
        name: st.column_config.NumberColumn(format="%.0f %%")
        for name in ("shared, output", "shared, input")
    }
    st.dataframe(
        rows, hide_index=True, width="stretch", column_config=shares, key="adapters_modules"
    )


def sides(result: Audit, theme: ThemeName) -> None:
    """Verdicts of the output and the input side against each other."""
    show_chart(sides_compared(result, theme), "adapters_sides")
    st.markdown("\n".join(f"* {plain(line)}" for line in side_lines(result)))


VIEWS: dict[str, Callable[[Audit, ThemeName], None]] = {
    "verdict": verdict,
    "where": where,
    "modules": modules,
    "sides": sides,
}


def refined_download(source: Source, result: Audit, size: dict[str, Any]) -> None:
    """Refined adapters of the kept clients."""
    kept = len(result.named(KEPT))
    st.download_button(
        f"Refined adapters ({kept})",
        data=lambda: adapters.refined_zip(source, result.options, size),
        file_name="clair-refined-adapters.zip",
        mime="application/zip",
        key="adapters_refined",
        disabled=bool(result.reason) or kept == 0,
        icon=":material/download:",
        on_click="ignore",
    )


def take_of(source: Source, result: Audit, values: dict[str, Any]) -> TakeAway:
    """What can be taken away of an audit."""
    folder = "DIR" if source.files else "assets/adapters/sites"
    screen = screen_of("adapters", adapters.CONTROLS, values, adapters.GROUPS)
    return TakeAway(
        name="clair-audit",
        recipe=audit_recipe(result.options, folder),
        report=lambda: audit_report(result, folder=folder, screen=screen),
        tables={
            "Clients": partial(clients, result),
            "Modules": partial(modules_table, result),
            "Deviations": partial(deviations, result),
        },
        numbers=partial(audit_json, result),
    )
