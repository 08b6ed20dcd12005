"""What a task needs besides the app, and what its page says where that is missing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Extra:
    """What a task needs besides the app.

    Attributes
    ----------
    name, module : str
        How it is called; the module that imports it.
    installed : callable
        Tells whether it is there.
    install : str
        The command that installs it.
    """

    name: str
    module: str
    installed: Callable[[], bool]
    install: str

    @property
    def words(self) -> str:
        """Say that it is missing, before the command is shown."""
        return (
            f"{self.name} is not installed on this machine, so you see a run made beforehand. One "
            "command installs it:"
        )

    def load(self) -> None:
        """Import what a run needs, where a run is possible."""
        if self.installed():
            importlib.import_module(self.module)
