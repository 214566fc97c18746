"""Keys and plans for the tests of the store."""

from __future__ import annotations

from eegvlm_rt.tensorrt import PlanKey, PlanStore, StoredPlan

KEY = PlanKey(
    component="llm",
    precision="int4",
    graph="a" * 64,
    shapes="b" * 64,
    builder="tensorrt 10.3.0",
    options="workspace 1 GB, level default",
    architecture="8.7",
    driver="L4T 36.4.0 CUDA 12.6",
    renderer="2",
)


def publish(store: PlanStore, key: PlanKey = KEY, plan: bytes = b"native code") -> StoredPlan:
    with store.lock(key):
        return store.publish(key, plan, 1.5)
