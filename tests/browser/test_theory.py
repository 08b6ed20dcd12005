"""The Theory page in a real browser: link, sections, a cell clicked, a sweep run and resumed."""

import re

from clair.app.pages import theory, theory_phase
from clair.simulation.sweeps.grid import cell_spec


def test_deep_link_to_a_section(server, visit):
    visitor = visit(server)
    page = visitor.go("/theory?section=certificate&th_lam=0.6")
    assert page.get_by_text("No certificate").count() == 1
    page.locator(".js-plotly-plot .main-svg").nth(1).wait_for()
    with visitor.rerun():
        page.get_by_role("radio", name="Gain").click()
    assert "section=Gain" in page.url
    assert page.get_by_text("Collaboration pays here").count() == 1


def test_clicked_cell_opens_the_lab_on_that_problem(server, visit):
    visitor = visit(server)
    page = visitor.go("/theory?section=phase")
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    column, row = 12, 9
    place = plot.evaluate(
        """(plot, [x, y]) => {
            const box = plot.getBoundingClientRect(), layout = plot._fullLayout;
            return [box.left + layout.xaxis._offset + layout.xaxis.d2p(x),
                    box.top + layout.yaxis._offset + layout.yaxis.d2p(y)];
        }""",
        [column, row],
    )
    page.mouse.move(*place)
    page.locator(".hoverlayer .hovertext").first.wait_for()
    page.mouse.click(*place)
    page.wait_for_url(re.compile("/lab"))
    visitor.idle()
    config = theory_phase.config_of({c.key: c.default for c in theory.CONTROLS})
    cell = row * 20 + column
    trial = theory_phase.interesting_trial(theory_phase.stored(config).result, cell)
    spec = cell_spec(config, cell, trial)
    assert page.get_by_role("spinbutton", name="Seed").input_value() == str(spec.seed)
    assert f"noise={spec.noise}" in page.url
    assert page.get_by_role("slider", name="Attack strength").get_attribute("aria-valuenow") in (
        f"{spec.attack_scale:g}",
        None,
    )


def test_sweep_runs_shows_itself_and_can_be_cancelled_and_continued(server, visit):
    visitor = visit(server)
    page = visitor.go("/theory?section=phase&th_y=rank&th_grid=coarse&th_clients=14")
    page.get_by_role("button", name="Run").click()
    cancel = page.get_by_role("button", name="Cancel")
    cancel.wait_for()
    page.get_by_text("fits a second").wait_for()
    cancel.click()
    page.get_by_role("button", name="Continue").wait_for()
    assert page.get_by_text("nothing that was finished is lost").count() == 1
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("on the side it predicts").wait_for()
    page.get_by_role("button", name="Cancel").wait_for(state="detached")
    visitor.idle()
    assert page.get_by_role("button", name="Continue").count() == 0
    assert page.get_by_text(re.compile(r"of \d+ settings")).count() >= 1
