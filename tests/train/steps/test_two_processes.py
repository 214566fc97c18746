"""One training by several processes, as on several GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SMALL = ["--threads", "1", "--set", "batch_size=8", "--set", "workers=0", "--set", "validation_epochs=4"]
STEPS = ["--set", "steps=3", "--set", "log_every=1", "--set", "warmup_steps=1"]


def test_two_processes_train_one_model(nights_folder: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = ["-m", "eegvlm_train", "train-enhancement", str(nights_folder), str(tmp_path / "out")]
    done = subprocess.run(
        [*launcher, *command, *SMALL, *STEPS],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # Without a GPU, so that it is the same test everywhere.
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    # Every line stands once: the first process alone writes.
    assert [(row["kind"], row["step"]) for row in log] == [
        ("train", 1),
        ("train", 2),
        ("train", 3),
        ("validation", 3),
    ]
    assert (tmp_path / "out" / "model.safetensors").exists()
