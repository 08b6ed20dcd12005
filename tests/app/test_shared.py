"""Results shared between visitors: made once, handed out as they are, changed by nobody."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import streamlit as st

from clair.app.components.chart import chart_of, charts_of
from clair.app.kit.shared import Same, Store
from clair.app.pages import lab
from clair.report.blocks import Pair, plots_of
from clair.report.lab import VIEWS
from tests.app.elements import charts, visit

DEFAULTS = {control.key: control.default for control in lab.CONTROLS}


class Maker:
    """Makes a result when it is allowed to, and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count, self.error = 0, error
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> object:
        self.count += 1
        self.begun.set()
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        return object()


def test_equal_requests_wait_for_the_first() -> None:
    store, make = Store(4), Maker()
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(store.get, "key", make) for _ in range(5)]
        assert make.begun.wait(10)
        assert not any(request.done() for request in asked)
        make.go.set()
        assert len({id(request.result(10)) for request in asked}) == 1
    assert make.count == 1


def test_a_failure_is_not_kept_and_those_who_waited_try_themselves() -> None:
    store, fails, works = Store(4), Maker(ValueError("no")), Maker()
    works.go.set()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.get, "key", fails)
        assert fails.begun.wait(10)
        second = pool.submit(store.get, "key", works)
        fails.go.set()
        with pytest.raises(ValueError, match="no"):
            first.result(10)
        kept = second.result(10)
    assert store.get("key", fails) is kept


def test_the_result_asked_for_longest_ago_goes_first() -> None:
    store = Store(2)
    a, b = store.get("a", object), store.get("b", object)
    assert store.get("a", object) is a
    store.get("c", object)
    assert store.get("a", object) is a
    assert store.get("b", object) is not b


def test_an_object_stands_for_itself_only() -> None:
    one, other = [1], [1]
    assert Same(one) == Same(one)
    assert Same(one) != Same(other)


def test_a_browser_that_empties_the_caches_takes_nothing_from_others() -> None:
    scenario = lab.scenario_of(DEFAULTS)
    before = lab.solve(scenario)
    st.cache_data.clear()
    st.cache_resource.clear()
    assert lab.solve(lab.scenario_of(DEFAULTS)) is before


def test_a_kept_chart_is_the_one_that_would_be_drawn_now() -> None:
    result = lab.solve(lab.scenario_of(DEFAULTS))
    scenario = lab.scenario_of(DEFAULTS | {"seed": 1})
    plots = list(plots_of([b for view in VIEWS.values() for b in view.blocks(result)]))
    pair = Pair("p", plots[0], replace(plots[0], args=(lab.solve(scenario),)))
    assert len(plots) > 8
    for one in plots:
        new, old = one.chart("light"), chart_of(one, "light")
        assert (old.spec, old.title, old.alt) == (new.figure.to_json(), new.title, new.alt)
        assert chart_of(one, "light") is old
        assert chart_of(one, "dark") != old
    kept = charts_of(Pair.charts, pair, "light")
    assert charts_of(Pair.charts, replace(pair, key="q"), "light") is kept
    assert charts_of(Pair.charts, replace(pair, shared=False), "light") != kept
    assert charts_of(Pair.charts, replace(pair, second=plots[0]), "light") != kept


def test_no_view_changes_what_is_shared() -> None:
    result = lab.solve(lab.scenario_of(DEFAULTS))
    before = pickle.dumps((result.fit, result.problem, result.errors))
    first = {view: charts(visit("lab", view=view)) for view in lab.VIEW.ids}
    assert lab.solve(lab.scenario_of(DEFAULTS)) is result
    assert pickle.dumps((result.fit, result.problem, result.errors)) == before
    assert {view: charts(visit("lab", view=view)) for view in lab.VIEW.ids} == first
