"""Plain sentences of the Theory page, computed from its numbers."""

from __future__ import annotations

import numpy as np

from clair.method.certificate import KKT_TOLERANCE, STRICT
from clair.method.evidence import GAP
from clair.sentences import amount, clients_list, count, times
from clair.theory.curves import Gain, Separation, Stability
from clair.theory.lam_path import LamPath, LamPoint, Proof
from clair.theory.predictions import PredictedErrors


def window_sentence(path: LamPath, sharp: tuple[float, float] | None, default: float) -> str:
    """Say what the sweep of lambda shows, against the prediction."""
    measured = path.measured
    if measured is None and sharp is None:
        return (
            "No λ recovers this problem exactly, and theory says so beforehand: its window is "
            "empty."
        )
    if measured is None:
        return "Theory's window is open, but with noise no λ recovers the clients exactly."
    upper = "any larger value" if sharp is not None and np.isinf(sharp[1]) else amount(measured[1])
    text = f"The convex program recovers everything exactly for λ from {amount(measured[0])} to "
    text += upper
    if sharp is not None:
        away = abs(measured[0] / sharp[0] - 1)
        if np.isfinite(sharp[1]):
            away = max(away, abs(measured[1] / sharp[1] - 1))
        text += f"; prediction and measurement differ by {max(away, 0.01):.0%} at most"
    inside = any(point.exact for point in _around(path, default))
    text += (
        ", and λ₀ lies inside." if inside else f"; λ₀ = {amount(default)} lies outside: see below."
    )
    return text


def _around(path: LamPath, lam: float) -> tuple[LamPoint, ...]:
    """Find the two points around a value if both are exact; otherwise return none."""
    low = [point for point in path.points if point.lam <= lam][-1:]
    high = [point for point in path.points if point.lam >= lam][:1]
    both = (*low, *high)
    return both if both and all(point.exact for point in both) else ()


def certificate_failures(proof: Proof, noise: float) -> list[str]:
    """Say what keeps the certificate from holding; empty if it holds."""
    point, split, certificate = proof.point, proof.split, proof.certificate
    reasons = []
    missed = certificate.kkt_residual >= KKT_TOLERANCE
    if missed and split.status != "converged":
        reasons.append(
            f"The solver stopped after {count(split.n_iter, 'iteration')} short of its tolerance, "
            "so its dual variable is only approximate."
        )
    extra, absent = point.flagged & ~proof.claimed, proof.claimed & ~point.flagged
    if extra.any():
        who = (
            f"{count(int(extra.sum()), 'client')} that CLAIR keeps"
            if extra.sum() > 4
            else f"client {clients_list(extra)}, whom CLAIR keeps,"
        )
        reasons.append(
            f"S is not zero for {who}: the pressure there is at the limit λ, where it must stay "
            "strictly below. "
            + (
                "With noise this is unavoidable: each honest client needs a little room in S."
                if noise > 0
                else "λ is too small: S is cheaper than L for them."
            )
        )
    elif certificate.dual_feasibility >= STRICT:
        limit = ~proof.claimed & (certificate.client_ratios >= STRICT)
        reasons.append(
            f"Client {clients_list(limit)} is outside S but presses as hard as the limit allows "
            f"({certificate.dual_feasibility:.4f} of λ): moving it into S would cost nothing, so "
            "the optimum need not be unique."
        )
    if absent.any():
        reasons.append(
            f"S is zero for client {clients_list(absent)}, whom CLAIR flags: λ is so large that "
            "what they sent is cheaper in L."
        )
    if certificate.spectral_norm >= STRICT:
        reasons.append(
            f"‖W‖₂ = {certificate.spectral_norm:.4f} is not strictly below one: another direction "
            "could enter L without extra cost."
        )
    if missed and split.status == "converged":
        reasons.append(
            f"The equalities of the conditions are missed by {certificate.kkt_residual:.1e}, more "
            "than rounding explains."
        )
    return reasons


def certificate_sentence(proof: Proof, contaminated: np.ndarray, rank: int) -> str:
    """Say whether there is a proof, and whether it proves the right set."""
    if not proof.holds:
        if proof.point.right_set:
            return "S holds exactly the poisoned clients, but at this λ there is no proof of it."
        return "No proof, and S does not hold exactly the poisoned clients."
    flagged = int(proof.claimed.sum())
    if not proof.point.right_set:
        missed = int((contaminated & ~proof.claimed).sum())
        wrong = int((proof.claimed & ~contaminated).sum())
        parts = [f"{count(missed, 'poisoned client')} missing from S"] if missed else []
        parts += [f"{count(wrong, 'honest client')} in S"] if wrong else []
        return (
            "Proven optimal, and yet wrong: the program's own optimum has "
            f"{' and '.join(parts)}. A certificate vouches for the program's answer, not for "
            "who is poisoned."
        )
    if proof.directions > rank:
        return (
            f"Proven optimal with the right {count(flagged, 'client')} in S, but L keeps "
            f"{proof.directions} directions where {rank} are shared: λ is above the window, and "
            "poison stays in L."
        )
    return (
        f"Proven: no other split is as cheap, and S holds exactly the {count(flagged, 'client')} "
        "that CLAIR flags, who are the poisoned ones."
        if flagged
        else "Proven: no other split is as cheap, and S is empty, as it should be."
    )


def stability_sentence(curves: Stability) -> str:
    """Say how the subspace error grows and where each route ends."""
    exact = curves.exact & (curves.noise > 0)
    lost = curves.noise[curves.lost]
    text = (
        f"CLAIR keeps the right clients up to noise {curves.noise[exact].max():g}"
        if exact.any()
        else "CLAIR keeps the right clients at no noise level drawn"
    )
    if exact.any():
        last = int(np.flatnonzero(exact)[-1])
        ratio = curves.error["convex"][last] / max(curves.error["polished"][last], 1e-12)
        if np.isfinite(ratio) and ratio > 1.1 and curves.error["convex"][last] < 1:
            text += f", where polishing makes the subspace {times(ratio)} more accurate"
    if lost.size:
        text += f"; from {lost.min():g} the convex program alone loses shared directions"
    return text + "."


def gain_sentence(curves: Gain, now: PredictedErrors, noise: float) -> str:
    """Say whether collaboration should pay at the current setting, and how sure that is."""
    if noise == 0:
        return (
            "Without noise training alone is already exact: collaboration can only cost here."
            if now.clair > 1e-9
            else "Without noise there is no error to reduce."
        )
    ratio = now.local / now.clair
    if ratio > 1.02:
        text = (
            f"Collaboration pays here by {times(ratio)}: predicted error {amount(now.local)} "
            f"alone, {amount(now.clair)} with CLAIR"
        )
    elif ratio < 0.98:
        text = (
            f"Here it costs: predicted error {amount(now.clair)} with CLAIR against "
            f"{amount(now.local)} alone, because honest clients differ off the subspace by more "
            "than averaging saves"
        )
    else:
        text = f"Break-even: CLAIR and training alone both err by about {amount(now.local)}"
    if now.clair_eb < 0.95 * now.clair:
        text += f"; pooling brings it to {amount(now.clair_eb)}"
    elif now.clair_eb > 1.05 * now.clair:
        text += f"; pooling makes it worse ({amount(now.clair_eb)})"
    if not curves.exact.all():
        text += (
            ". In some problems here poisoned clients count too, or honest ones do not; the "
            "prediction assumes neither"
        )
    return text + "."


def set_sentence(curves: Separation, name: str) -> str:
    """Say over which range the set is exact, measured and predicted."""
    share, values = curves.exact.mean(axis=1), curves.values
    good = share >= 0.5
    words = {"noise": "noise", "attack_scale": "attack strength"}[name]
    if good.all():
        return f"CLAIR finds exactly the poisoned clients at every {words} drawn."
    # Problems in which the typical score would suffice to flag, but noise may explain it.
    missed = ~curves.exact & (curves.separation >= GAP[1])[:, None]
    suspected = bool(missed.any() and curves.harmless[missed].mean() > 0.9)
    doubt = (
        "; where they are loud enough and yet not flagged they look like honest clients with few "
        "data, and as suspects teach nobody"
        if suspected
        else ""
    )
    if not good.any():
        return f"At no {words} drawn does CLAIR flag exactly the poisoned clients{doubt}."
    edge = values[good].max() if name == "noise" else values[good].min()
    predicted = values[curves.predicted >= 0.5]
    text = f"CLAIR finds exactly the poisoned clients {'up to' if name == 'noise' else 'from'} "
    text += f"{words} {edge:g}"
    if predicted.size:
        foretold = predicted.max() if name == "noise" else predicted.min()
        text += f"; formulas alone predict {foretold:g}"
    return f"{text}{doubt}."
