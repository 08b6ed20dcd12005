"""Whatever is handed to `fit`: a result in finite numbers, or an error that says why not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clair
from clair import LoraFactors

RNG = np.random.default_rng(5)
X = RNG.standard_normal((6, 7, 2)) @ RNG.standard_normal((6, 2, 5))
B, A = RNG.standard_normal((6, 9, 2)), RNG.standard_normal((6, 2, 8))


@pytest.mark.parametrize("exponent", [-850, -530, -266, 266, 530, 850])
@pytest.mark.parametrize("detector", ["residual", "norms"])
def test_the_size_of_the_updates_changes_nothing(exponent, detector):
    unit, records = 2.0**exponent, []
    usual = clair.fit(X, 2, detector=detector)
    result = clair.fit(unit * X, 2, detector=detector, progress=records.append)
    np.testing.assert_allclose(result.refined / unit, usual.refined, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.low_rank / unit, usual.low_rank, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(result.contamination_norms / unit, usual.contamination_norms)
    scores = result.scores / (unit if detector == "norms" else 1)
    np.testing.assert_allclose(scores, usual.scores, rtol=1e-9)
    assert result.benign.tolist() == usual.benign.tolist()
    assert result.objective / unit == pytest.approx(usual.objective)
    assert records[-1].objective == result.history[-1].objective == result.objective


@pytest.mark.parametrize(("b", "a"), [(-700, 690), (300, 300), (-900, 30), (-40, -40)])
def test_factors_of_any_size_are_one_update(b, a):
    usual = clair.fit(LoraFactors(B, A), 2)
    result = clair.fit(LoraFactors(2.0**b * B, 2.0**a * A), 2)
    dense = result.refined.dense() / 2.0 ** (a + b)
    np.testing.assert_allclose(dense, usual.refined.dense(), rtol=1e-9, atol=1e-9)


def test_a_given_threshold_is_in_the_units_of_the_updates():
    norms = clair.fit(X, 2).contamination_norms
    middle = float(np.median(norms))
    for unit in (1.0, 2.0**-500):
        result = clair.fit(unit * X, 2, detector="norms", threshold=unit * middle)
        assert result.flagged.tolist() == (norms > middle).tolist()
        assert result.threshold == unit * middle


@pytest.mark.parametrize("zeros", [0, 2, 6])
def test_what_is_identical_or_was_not_trained_is_said_in_true_words(zeros):
    copies = np.concatenate([np.repeat(X[:1], 6 - zeros, axis=0), np.zeros((zeros, 7, 5))])
    result = clair.fit(copies, 1)
    assert not result.flagged.any()
    assert ("same update" in " ".join(result.notes)) == (zeros == 0)
    zero = [why for why in result.reasons if "is zero" in why]
    assert len(zero) == zeros


SIZES = st.sampled_from([0.0, 1.0, 1.0, 1.0, 3.0, 1e-30, 1e-80, 1e-160, 1e-300, 1e80, 1e160, 1e300])


@st.composite
def updates(draw):
    n, p, q, rank = (draw(st.integers(low, 6)) for low in (3, 1, 1, 1))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    whole = draw(SIZES)
    own = np.array(draw(st.lists(SIZES, min_size=n, max_size=n)))[:, None, None]
    form = draw(st.sampled_from(["dense", "equal", "thin", "factors", "modules"]))
    with np.errstate(over="ignore", under="ignore"):
        dense = np.nan_to_num(whole * own * rng.standard_normal((n, p, q)), posinf=1e308, neginf=0)
        if form == "equal":
            return np.broadcast_to(dense[:1], dense.shape)
        if form == "factors":
            factor = np.nan_to_num(own * rng.standard_normal((n, p, rank)), posinf=1e308, neginf=0)
            return LoraFactors(factor, whole * rng.standard_normal((n, rank, q)))
        if form == "modules":
            return {"a": dense, "b": rng.standard_normal((n, q, p))}
    return dense if form == "dense" else dense[:, :, :1]


@settings(max_examples=250, deadline=None)
@given(
    updates(),
    st.sampled_from(["auto", 1, 2]),
    st.sampled_from(["residual", "norms"]),
    st.sampled_from(["convex", "irls"]),
    st.sampled_from(["none", "eb"]),
    st.booleans(),
    st.sampled_from(["output", "input"]),
)
def test_every_finite_input_ends_in_a_result_or_a_clear_error(
    sent, rank, detector, solver, pooling, screen, side
):
    try:
        result = clair.fit(
            sent,
            rank,
            detector=detector,
            solver=solver,
            pooling=pooling,
            screen_coefficients=screen,
            side=side,
            max_iter=60,
        )
    except ValueError as error:
        refused = str(error)
        assert refused.startswith(("updates must", "rank must"))
        return
    for found in (result.refined, result.low_rank, result.contamination):
        for part in found.values() if isinstance(found, dict) else [found]:
            dense = part if isinstance(part, np.ndarray) else part.dense()
            assert np.isfinite(dense).all()
    assert np.isfinite(result.scores).all()
    assert np.isfinite(result.contamination_norms).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.ma.masked_array(X, mask=X > 0),
        [np.ma.masked_array(part, mask=part > 0) for part in X],
        X.astype(complex),
        X.astype(str),
        X.astype(object),
        X > 0,
        "updates",
        None,
        [[1, 2], [3]],
    ],
    ids=str,
)
def test_what_is_no_update_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=r"^updates(\['.'\])? must"):
        clair.fit(wrong, 1)


def test_torch_tensors_of_every_kind_are_taken():
    torch = pytest.importorskip("torch")
    usual = clair.fit(X.astype(np.float32), 2).scores
    tensor = torch.tensor(X, dtype=torch.float32)
    parameters = [torch.nn.Parameter(part) for part in tensor]
    for sent in (tensor, torch.nn.Parameter(tensor), parameters):
        np.testing.assert_array_equal(clair.fit(sent, 2).scores, usual)
    half = tensor.to(torch.bfloat16)
    rounded = clair.fit(half.float().numpy(), 2).scores
    np.testing.assert_array_equal(clair.fit(half, 2).scores, rounded)
    factors = LoraFactors(torch.nn.Parameter(half), half.transpose(1, 2))
    assert factors.B.dtype == np.float64


@pytest.mark.parametrize("keyword", ["rank", "lam", "threshold"])
def test_auto_is_spelt_in_the_message(keyword):
    arguments = {"rank": 2, keyword: "Auto"}
    with pytest.raises(ValueError, match=f'^{keyword} must be "auto" or a number'):
        clair.fit(X, **arguments)
