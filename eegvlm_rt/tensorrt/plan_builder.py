"""A plan from an ONNX graph: parsed, strongly typed, built for the GPU at hand."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..errors import BackendError

if TYPE_CHECKING:
    from pathlib import Path

    from .api import Builder, Config, Log, Network, TensorRT
    from .profiles import Shapes

__all__ = ["BuildOptions", "Built", "build_plan"]

_GB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a plan is built.

    `workspace_gb` bounds the memory of one layer's scratch space; `level` is the builder's effort, 0 to 5
    (None takes TensorRT's own, 3). Precision is the graph's: every network is strongly typed.
    """

    workspace_gb: float = 1.0
    level: int | None = None

    def __post_init__(self) -> None:
        if not 0.01 <= self.workspace_gb <= 512:
            raise BackendError("workspace_gb", self.workspace_gb, "give 0.01 to 512")
        if self.level is not None and not 0 <= self.level <= 5:
            raise BackendError("level", self.level, "give 0 to 5")

    @property
    def text(self) -> str:
        """The options as they stand in a key."""
        return f"workspace {self.workspace_gb:g} GB, level {'default' if self.level is None else self.level}"


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A plan, the timing cache as it is now (empty where the package has none), and the seconds it took."""

    plan: memoryview
    timing_cache: bytes
    seconds: float


def build_plan(
    trt: TensorRT,
    graph: Path,
    shapes: Shapes,
    architecture: str,
    options: BuildOptions,
    *,
    part: str,
    timing_cache: bytes = b"",
    ahead: bool = False,
) -> Built:
    """Build the plan of the ONNX file `graph`, whose external weights lie beside it.

    `part` is what errors call it. With `ahead` the plan is for `architecture` whatever GPU is here, which
    TensorRT for RTX alone can do.

    Raises:
        BackendError: the parser or the builder refuses; the message is TensorRT's first one.
    """
    started = perf_counter()
    log = trt.logger()
    builder: Builder = trt.module.Builder(log.handle)
    network = _parse(trt, builder, graph, log, part)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.module.MemoryPoolType.WORKSPACE, int(options.workspace_gb * _GB))
    if options.level is not None:
        config.builder_optimization_level = options.level
    if ahead:
        _aim(trt, config, architecture, part)
    _add_profiles(builder, config, network, shapes, log, part)
    cache = _timings(config, timing_cache) if trt.times else None
    memory = builder.build_serialized_network(network, config)
    if memory is None:
        raise BackendError(
            f"{part}.engine",
            log.explain("the builder gave no plan"),
            "free GPU memory, lower --workspace, or export the part at another precision",
        )
    cache_bytes = b"" if cache is None else bytes(memoryview(config.get_timing_cache().serialize()))
    return Built(memoryview(memory), cache_bytes, perf_counter() - started)


def _parse(trt: TensorRT, builder: Builder, graph: Path, log: Log, part: str) -> Network:
    typed = 1 << int(trt.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser: Any = trt.module.OnnxParser(network, log.handle)
    if not parser.parse(graph.read_bytes(), str(graph)):
        complaints = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise BackendError(
            f"{part}.graph",
            complaints[0] if complaints else log.explain("refused"),
            f"{trt.name} cannot read this graph: use one without operators of ONNX Runtime",
        )
    return network


def _aim(trt: TensorRT, config: Config, architecture: str, part: str) -> None:
    """Build for a GPU by its compute capability; `ComputeCapability.SM87` stands for "8.7"."""
    if not trt.builds_ahead:
        raise BackendError("architecture", architecture, f"{trt.name} builds for the GPU that is here")
    levels: Any = trt.module.ComputeCapability  # type: ignore[attr-defined]
    level = getattr(levels, f"SM{architecture.replace('.', '')}", None)
    if level is None:
        names = sorted(name for name in dir(levels) if name.startswith("SM"))
        raise BackendError(f"{part}.architecture", architecture, f"{trt.name} knows {', '.join(names)}")
    target: Any = config
    target.num_compute_capabilities = 1
    target.set_compute_capability(level, 0)


def _timings(config: Config, content: bytes) -> Any:
    """Timings of earlier builds, or none where the builder does not take those."""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _add_profiles(
    builder: Builder, config: Config, network: Network, shapes: Shapes, log: Log, part: str
) -> None:
    inputs = [network.get_input(i).name for i in range(network.num_inputs)]
    for number, ranges in enumerate(shapes):
        if sorted(inputs) != sorted(ranges):
            raise BackendError(f"{part}.inputs", sorted(inputs), f"the graph has {', '.join(sorted(ranges))}")
        profile = builder.create_optimization_profile()
        for name, entry in ranges.items():
            profile.set_shape(name, entry.low, entry.usual, entry.high)
        if config.add_optimization_profile(profile) != number:
            raise BackendError(
                f"{part}.profile", number, log.explain("the shapes do not fit those of the graph")
            )
