"""What the pages open with: the settings, and the figures shown for them."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from clair.app.kit.opening import figures, opening_words, settings_of
from clair.app.pages import lab
from clair.board.story import SETTING
from clair.federated.copytask import OPENING as COPYING
from clair.federated.digits import OPENING as DIGITS
from clair.simulation.scenario import run_scenario
from tests.app.elements import prose, visit


def test_the_figures_are_of_the_settings_that_the_pages_open_with() -> None:
    assert settings_of("lab").items() <= {c.key: c.default for c in lab.CONTROLS}.items()
    for page, config in (("copying", COPYING), ("digits", DIGITS), ("board", SETTING)):
        assert settings_of(page).items() <= asdict(config).items()
    assert {page: kept["settings"] for page, kept in figures().items()} == {
        page: settings_of(page) for page in ("lab", "copying", "digits", "board")
    }


@pytest.mark.parametrize("page", ["lab", "copying", "digits", "board"])
def test_poison_harms_both_who_average_and_who_do_not_judge(page: str) -> None:
    mean = figures()[page]["mean"]
    better = (lambda a, b: a < b) if page in ("lab", "board") else (lambda a, b: a > b)
    for robust, bare in (("fedavg_benign", "fedavg"), ("clair", "pca"), ("clair", "local")):
        assert better(mean[robust], mean[bare]), (robust, bare)


def test_the_labs_figures_are_those_of_fresh_draws() -> None:
    kept = figures()["lab"]
    values = {c.key: c.default for c in lab.CONTROLS} | {"seed": kept["seeds"][0] + 7}
    result = run_scenario(lab.scenario_of(values))
    for method in ("local", "fedavg", "pca", "clair"):
        away = abs(result.error_of(method).mean - kept["mean"][method])
        assert away < 4 * kept["deviation"][method], method


def test_the_figures_are_shown_where_the_page_opens_and_only_there() -> None:
    said = opening_words("lab")
    assert said in prose(visit("lab"))
    assert said not in prose(visit("lab", noise="0.1"))
    assert opening_words("digits") in prose(visit("digits"))
    assert opening_words("digits") not in prose(visit("digits", dig_seed="3"))
