"""Keep BLAS on one thread while many small matrices are worked on.

On matrices of a few hundred rows the hand-over between threads costs more than it gains, and on
shared cores it can cost a factor of fifty. The limit is process wide, so concurrent callers share
one counted limit: the last one out restores what was there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limiter: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through every loaded library, so once is enough


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread within the block; reentrant and safe across threads."""
    global _users, _limiter
    with _lock:
        if _users == 0:
            _limiter = _controller().limit(limits=1, user_api="blas")
            _limiter.__enter__()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limiter.__exit__(None, None, None)
                _limiter = None
