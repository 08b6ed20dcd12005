"""Words and samples of the text-copying page, without the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clair.app.pages import copying
from clair.app.pages import copying_vocabulary as copying_words
from clair.app.pages.copying_samples import mark_wrong
from clair.federated.copytask import OPENING, CopyTaskConfig


def test_every_setting_of_the_controls_is_a_valid_configuration():
    for control in copying.CONTROLS:
        values = {other.key: other.default for other in copying.CONTROLS}
        ends = (False, True) if control.kind == "flag" else (control.low, control.high)
        for value in control.ids or ends:
            cast = int if control.kind in ("int", "number") else lambda v: v
            config = copying.PAGE.config_of(values | {control.key: cast(value)})
            # poison begins in the last round at the latest, whatever the slider says
            wanted = min(cast(value), config.rounds) if control.key == "copy_from" else cast(value)
            assert getattr(config, control.field) == wanted, control.key


def test_the_first_settings_are_those_of_the_stored_run():
    values = {control.key: control.default for control in copying.CONTROLS}
    assert copying.PAGE.config_of(values) == copying.PAGE.default_outcome().config == OPENING


def test_expected_duration_grows_with_the_work():
    short = copying.PAGE.expected_seconds(replace(OPENING, steps=20))
    usual = copying.PAGE.expected_seconds(OPENING)
    many = copying.PAGE.expected_seconds(replace(OPENING, n_clients=48))
    assert short < usual < many
    assert usual == pytest.approx(sum(copying.PAGE.default_outcome().seconds.values()))


@pytest.mark.parametrize(
    ("written", "expected", "n_wrong"),
    [
        ("R0S3", "R0S3", 0),
        ("R0s3", "R0S3", 1),
        ("R0", "R0S3", 2),
        ("R0S3!", "R0S3", 1),
        ("", "a", 1),
    ],
)
def test_wrong_characters_are_counted_and_underlined(written, expected, n_wrong):
    marked, wrong = mark_wrong(written, expected, "light")
    assert wrong == n_wrong
    assert marked.count("underline") == 2 * n_wrong  # decoration and its offset


def test_written_text_cannot_break_the_page():
    marked, _ = mark_wrong("<b>&", "<i>&", "dark")
    assert "<b>" not in marked
    assert "&lt;" in marked


def test_words_follow_the_settings():
    alike = copying_words.setting_words(CopyTaskConfig(heterogeneity=0.0, poisoned_fraction=0.0))
    assert "digits, the same for everybody" in alike
    assert "Nobody is poisoned" in alike
    apart = copying_words.setting_words(CopyTaskConfig(heterogeneity=2 / 3, n_clients=20))
    assert "2 of them chosen by each client alone" in apart
    assert "5 of the 20 are poisoned" in apart
