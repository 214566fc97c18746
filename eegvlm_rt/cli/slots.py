"""eegvlm-rt bundle install | rollback | slots: the two bundles of a device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import InputError
from ..extras import install_command
from .console import out, plain
from .staging import trust_policy

if TYPE_CHECKING:
    import argparse

    from ..service.slots import Slot, SlotState

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Install, take back or list; raises BundleError for a bundle that is refused."""
    try:
        from ..service.rehearsal import Gates
        from ..service.slots import BundleSlots, facts
    except ModuleNotFoundError as error:
        raise InputError("service", str(error), install_command("service")) from error
    slots = BundleSlots(args.slots)
    if args.action == "install":
        gates = Gates(mode=args.mode, agreement=args.agreement, answer_s=args.answer, threads=args.threads)
        state = slots.install(
            args.archive,
            gates=gates,
            epochs=args.epochs,
            trust=trust_policy(args.trusted_keys),
            minimum=args.minimum,
        )
    else:
        state = slots.rollback() if args.action == "rollback" else slots.state()
    if args.json:
        print(json.dumps(facts(state)))
        return 0
    for line in _lines(state):
        out().print(plain(line), soft_wrap=True)
    return 0


def _lines(state: SlotState) -> list[str]:
    lines = [
        f"{name}: {_shown(slot)}"
        for name, slot in (
            ("current", state.current),
            ("previous", state.previous),
            ("pending", state.pending),
        )
    ]
    if state.pending is not None:
        lines.append("The pending bundle takes over between two nights.")
    if state.trial:
        lines.append("The current bundle is on trial: its first night decides.")
    lines.append(f"Lowest release that may be installed: {state.minimum}")
    return lines


def _shown(slot: Slot | None) -> str:
    return "none" if slot is None else f"{slot.model_id}, release {slot.release}, manifest {slot.digest}"
