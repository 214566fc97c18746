"""What a plan was built from and for. Two equal keys mean that the same plan will do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.files import BundleFile
    from ..bundle.manifest import Manifest

__all__ = ["PlanKey", "graph_digest", "graph_digests"]

_NAMES: Final = {
    "graph": "graph",
    "shapes": "shapes",
    "builder": "TensorRT",
    "options": "build options",
    "architecture": "GPU architecture",
    "driver": "driver",
    "renderer": "renderer",
}


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything a plan depends on. `component` is "tower" or "llm"; `graph` the digest of its ONNX files,
    `shapes` of its optimisation profiles, `builder` package and version, `options` how it was built.
    """

    component: str
    precision: str
    graph: str
    shapes: str
    builder: str
    options: str
    architecture: str
    driver: str
    renderer: str

    @property
    def place(self) -> str:
        """What older plans of the same part share: "tower.int8"."""
        return f"{self.component}.{self.precision}"

    @property
    def name(self) -> str:
        """Name in a store: place, architecture and 16 digits of the key's digest."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{self.place}.sm{self.architecture.replace('.', '')}.{digest}"

    def to_dict(self) -> dict[str, str]:
        """JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlanKey:
        """The key of such fields; raises BundleError for others."""
        names = [item.name for item in fields(cls)]
        if sorted(values) != sorted(names) or not all(isinstance(value, str) for value in values.values()):
            raise BundleError("engine key", sorted(values), f"give texts for {', '.join(names)}")
        return cls(**values)

    def serves(self, other: PlanKey) -> bool:
        """Whether a plan of this key does what is wanted: all but the build options are the same."""
        return replace(self, options=other.options) == other

    def supersedes(self, older: PlanKey) -> bool:
        """Whether a plan of this key stands in the place of an older one: the same graph for the same GPU by
        the same package, whatever its version.
        """
        mine, other = (
            (key.place, key.graph, key.architecture, key.builder.partition(" ")[0]) for key in (self, older)
        )
        return mine == other and self != older

    def differences(self, older: PlanKey) -> list[str]:
        """What changed since `older`, a text each: "TensorRT was 10.3.0, is 10.16.1"."""
        lines = []
        for field, name in _NAMES.items():
            was, now = getattr(older, field), getattr(self, field)
            if was != now:
                long = field in ("graph", "shapes")
                lines.append(f"{name} changed" if long else f"{name} was {was}, is {now}")
        return lines


def graph_digest(entry: BundleFile) -> str:
    """SHA-256 over the digests of a graph and of its external weights, as the manifest lists them."""
    listed = "\n".join(f"{file.file} {file.sha256}" for file in (entry, *entry.data))
    return hashlib.sha256(listed.encode()).hexdigest()


def graph_digests(manifest: Manifest, component: str) -> frozenset[str]:
    """`graph_digest` of a part at every precision the manifest holds."""
    part = manifest.components[component]
    return frozenset(graph_digest(entry) for entry in (part.file, *part.variants.values()))
