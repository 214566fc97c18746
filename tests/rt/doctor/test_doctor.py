"""Preflight: a device that is not enough is refused with reason and cure, before anything heavy starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eegvlm_rt.bundle import Bundle, BundleFile, Component, LanguageModelShape, Manifest
from eegvlm_rt.cli import main
from eegvlm_rt.doctor import Check, Facts, examine, memory_need, probe
from eegvlm_rt.tensorrt import StoredPlan, precision_for
from eegvlm_rt.tensorrt.plan_key import graph_digest
from tests.rt.tensorrt.plan_keys import KEY

GB = 10**9
NANO = Bundle.open(Path(__file__).parents[3] / "models" / "nano", verify=False).manifest
ORIN = Facts(
    board="NVIDIA Jetson Orin Nano Developer Kit",
    l4t="36.4.0",
    gpu="Orin",
    compute_capability="8.7",
    driver=None,
    memory_total=8 * GB,
    memory_free=int(5.2 * GB),
    gpu_memory_free=None,
    disk_free=50 * GB,
    power_mode="MAXN",
    packages={"onnxruntime": "1.23.2"},
)


def llava_7b() -> Manifest:
    """LLaVA-1.5-7B in 4 bits: 32 layers of 32 heads of 128, 32,000 tokens, 1,152 visual tokens."""
    sizes = {"tower": 0.61, "llm": 3.9, "embed_tokens": 0.26, "tokenizer": 0.002}
    components = {
        name: Component(name, BundleFile(name, int(size * GB), "0" * 64), "int4")
        for name, size in sizes.items()
    }
    lm = LanguageModelShape(32, 32, 128, 32_000)
    return replace(NANO, visual_tokens=1152, hidden_size=4096, lm=lm, components=components)


def part(name: str, facts: Facts, manifest: Manifest | None = None) -> Check:
    return next(check for check in examine(facts, manifest) if check.part == name)


def test_nano_fits_an_8_gb_board() -> None:
    assert all(check.ok for check in examine(ORIN, NANO) if check.required)
    assert memory_need(NANO).total < 0.3 * GB


def test_seven_billion_weights_in_4_bits_do_not_fit_an_8_gb_board_but_a_64_gb_one() -> None:
    refusal = part("memory", ORIN, llava_7b())
    assert not refusal.ok
    assert refusal.required
    assert "5.20 GB are free" in refusal.reason
    assert refusal.cure
    assert part("memory", replace(ORIN, memory_free=58 * GB), llava_7b()).ok


def test_keys_and_values_are_counted_for_every_layer_head_and_token() -> None:
    manifest = llava_7b()
    assert memory_need(manifest).kv == 2 * 2 * 32 * 32 * 128 * (1152 + 512) * 4
    half = {**manifest.components, "llm": replace(manifest.components["llm"], precision="int4_half")}
    assert memory_need(replace(manifest, components=half)).kv == memory_need(manifest).kv // 2


@pytest.mark.parametrize(
    ("version", "ok"), [("1.20.0", True), ("1.32", True), ("1.19.2", False), (None, False)]
)
def test_onnx_runtime_is_there_and_new_enough(version: str | None, ok: bool) -> None:
    packages = {} if version is None else {"onnxruntime": version}
    assert part("onnxruntime", replace(ORIN, packages=packages)).ok is ok


def test_a_full_disk_refuses_and_a_slow_power_mode_only_warns() -> None:
    assert not part("disk", replace(ORIN, disk_free=1000)).ok
    slow = part("power mode", replace(ORIN, power_mode="7W"))
    assert not slow.ok
    assert not slow.required
    assert "nvpmodel" in slow.cure


def test_a_jetson_is_read_from_its_system_files(tmp_path: Path) -> None:
    for name, text in {
        "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64\n",
        "proc/meminfo": "MemTotal:       64000000 kB\nMemAvailable:   60000000 kB\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    facts = probe(tmp_path, root=tmp_path)
    assert facts.board == "NVIDIA Jetson AGX Orin Developer Kit"
    assert (facts.l4t, facts.compute_capability) == ("36.4.3", "8.7")
    assert (facts.memory_total, facts.memory_free) == (64_000_000 * 1024, 60_000_000 * 1024)


def test_this_machine_is_probed_and_nano_fits_it(capsys: pytest.CaptureFixture[str]) -> None:
    facts = probe()
    assert facts.board
    assert 0 < facts.memory_free <= facts.memory_total
    assert facts.packages["onnxruntime"]
    assert main(["doctor", "nano", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert {check["part"] for check in report["checks"]} >= {"bundle", "memory", "disk", "onnxruntime", "GPU"}
    assert main(["doctor"]) == 0
    assert "memory" in capsys.readouterr().out


def test_a_missing_bundle_is_a_refusal_not_a_crash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "/no/such/bundle"]) == 3
    assert "manifest.json" in capsys.readouterr().out.replace("\n", "")


def test_plans_of_this_bundle_gpu_and_tensorrt_are_found() -> None:
    packages = ORIN.packages | {"tensorrt": "10.3.0", "cuda-python": "12.6.2"}
    orin = replace(ORIN, packages=packages)
    assert part("TensorRT", orin).ok
    assert not part("TensorRT", replace(ORIN, packages=packages | {"tensorrt": "8.6.2"})).ok
    plans = []
    for component in ("tower", "llm"):
        key = replace(
            KEY,
            component=component,
            precision=precision_for(NANO, component),
            graph=graph_digest(NANO.components[component].at(precision_for(NANO, component))),
        )
        plans.append(StoredPlan(key, "a.plan", 1, "0" * 64, 1.0))

    def check(facts: Facts, found: list[StoredPlan]) -> Check:
        return next(check for check in examine(facts, NANO, found) if check.part == "plans")

    assert check(orin, plans).ok
    assert check(orin, plans[:1]).reason.endswith("llm not built")
    older = replace(orin, packages=packages | {"tensorrt": "10.7.0"})
    assert "tower for another device, llm for another device" in check(older, plans).reason
    assert not check(older, plans).required


def test_the_onnxruntime_that_is_loaded_is_the_one_with_cuda() -> None:
    packages = ORIN.packages | {"onnxruntime-gpu": "1.31.1", "cuda-python": "13.0.0"}
    assert not part("CUDA", ORIN).ok
    assert "onnxruntime-gpu missing" in part("CUDA", replace(ORIN, packages={})).reason
    covered = part("CUDA", replace(ORIN, packages=packages, onnxruntime="onnxruntime"))
    assert not covered.ok
    assert "--force-reinstall" in covered.cure
    assert part("CUDA", replace(ORIN, packages=packages, onnxruntime="onnxruntime-gpu")).ok


def test_the_package_behind_the_import_name_is_read() -> None:
    import onnxruntime

    assert probe().onnxruntime == onnxruntime.capi.build_and_package_info.package_name
