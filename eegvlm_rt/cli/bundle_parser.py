"""The arguments of `eegvlm-rt bundle` and its actions."""

from __future__ import annotations

import argparse

from .console import NOTICE
from .options import MODES, count, seconds, seed, trust_option

__all__ = ["add_bundle_actions"]


def add_bundle_actions(command: argparse.ArgumentParser) -> None:
    """Give the command the actions of `eegvlm-rt bundle`."""
    actions = command.add_subparsers(metavar="ACTION", required=True, dest="action")
    for action, summary in (
        ("verify", "Check place, size and SHA-256 of every file."),
        ("inspect", "Print what the manifest says; nothing else is read."),
    ):
        subcommand = actions.add_parser(action, help=summary, description=summary, epilog=NOTICE)
        subcommand.add_argument(
            "bundle", nargs="?", default="nano", metavar="BUNDLE", help="name or folder (default: nano)"
        )
        if action == "inspect":
            subcommand.add_argument("--json", action="store_true", help="print the manifest as JSON")
        trust_option(subcommand)
    _bundle_makers(actions)
    _bundle_slots(actions)
    _bundle_engines(actions)


def _bundle_makers(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for action, summary, arguments in (
        ("keygen", "Make an Ed25519 key: KEY stays private, KEY.pub goes to devices.", ("key",)),
        ("sign", "Sign a bundle's manifest.", ("bundle", "key")),
        ("pack", "Write a bundle to one file, the same bytes each time.", ("bundle", "archive")),
        ("unpack", "Check such a file and make the bundle folder from it.", ("archive", "folder")),
    ):
        command = actions.add_parser(action, help=summary, description=summary, epilog=NOTICE)
        for name in arguments:
            command.add_argument(name, metavar=name.upper())
        if action == "unpack":
            command.add_argument("--overwrite", action="store_true", help="replace an older bundle")
            trust_option(command)
        if action == "sign":
            command.add_argument(
                "--overwrite", action="store_true", help="replace the signature of another key"
            )
        if action == "pack":
            command.add_argument(
                "--overwrite", action="store_true", help="replace a file that is no packed bundle"
            )
        if action == "keygen":
            command.add_argument("--label", default="", metavar="TEXT", help="what the key is called")


def _bundle_slots(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for action, summary in (
        (
            "install",
            "Verify a bundle, rehearse it on stored epochs, and let it take over between two nights.",
        ),
        ("rollback", "Go back to the previous bundle."),
        ("slots", "Print which bundles a device holds."),
    ):
        command = actions.add_parser(action, help=summary, description=summary, epilog=NOTICE)
        if action == "install":
            command.add_argument("archive", metavar="FILE", help="packed bundle, or the folder of one")
            command.add_argument(
                "--epochs", metavar="DIR", help="folder of the service's nights to rehearse on"
            )
            command.add_argument(
                "--mode", choices=MODES, default="cot", help="mode to rehearse (default: cot)"
            )
            command.add_argument("--threads", type=count, metavar="N", help="threads of the model")
            command.add_argument(
                "--agreement",
                type=float,
                default=0.6,
                metavar="SHARE",
                help="of stages as before (default: 0.6)",
            )
            command.add_argument(
                "--answer", type=seconds, default=20.0, metavar="S", help="for one answer (default: 20)"
            )
            command.add_argument(
                "--minimum", type=seed, metavar="N", help="take no lower release from now on"
            )
            trust_option(command)
        command.add_argument("--slots", required=True, metavar="DIR", help="folder of the two bundles")
        command.add_argument("--json", action="store_true", help="print JSON")


def _bundle_engines(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    summary = "Build a bundle's TensorRT plans for the GPU of this device; those that are there stay."
    engines = actions.add_parser("build-engines", help=summary, description=summary, epilog=NOTICE)
    engines.add_argument(
        "bundle", nargs="?", default="nano", metavar="BUNDLE", help="name or folder (default: nano)"
    )
    engines.add_argument(
        "--precision",
        action="append",
        default=[],
        metavar="PART=NAME",
        help="tower=int8 or llm=int4 and so on (default: what TensorRT does best with)",
    )
    engines.add_argument("--store", metavar="DIR", help="folder of plans (default: $EEGVLM_RT_ENGINES)")
    engines.add_argument(
        "--workspace",
        type=float,
        default=1.0,
        metavar="GB",
        help="memory of one layer's scratch (default: 1)",
    )
    engines.add_argument(
        "--level", type=int, metavar="0-5", help="the builder's effort (default: TensorRT's own)"
    )
    engines.add_argument("--again", action="store_true", help="build plans that are there already too")
    engines.add_argument(
        "--architecture",
        metavar="X.Y",
        help="build for this compute capability without a GPU (TensorRT for RTX alone)",
    )
    engines.add_argument(
        "--into", metavar="DIR", help="also write a bundle that lists the plans, for devices like this one"
    )
    engines.add_argument("--json", action="store_true", help="print JSON")
    trust_option(engines)
