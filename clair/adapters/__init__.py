"""Real LoRA adapters: read a folder of them, judge each, write the refined ones back.

Nothing read here is trusted: files are bounded and checked before memory is taken, pickles are
refused, and a problem with one adapter is reported by name without losing the others.
"""

from clair.adapters.assemble import AdapterSet
from clair.adapters.audit import audit
from clair.adapters.errors import AdapterError
from clair.adapters.folder import EXAMPLE, read_folder
from clair.adapters.halves import Halves, read_halves
from clair.adapters.limits import Limits
from clair.adapters.options import AuditOptions
from clair.adapters.reader import Adapter, read_adapter
from clair.adapters.report import audit_json
from clair.adapters.result import Audit, ClientReport, ModuleReport
from clair.adapters.writer import WrittenAdapter, write_refined

__all__ = [
    "EXAMPLE",
    "Adapter",
    "AdapterError",
    "AdapterSet",
    "Audit",
    "AuditOptions",
    "ClientReport",
    "Halves",
    "Limits",
    "ModuleReport",
    "WrittenAdapter",
    "audit",
    "audit_json",
    "read_adapter",
    "read_folder",
    "read_halves",
    "write_refined",
]
