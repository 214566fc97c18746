"""Files: written whole or not at all, never over what a person made; opened only where they are files."""

from __future__ import annotations

from .inputs import open_regular
from .outputs import FOLDER_MARK, check_outputs, claim_folder, free_name, staged_file, write_file
from .seal import SEAL, file_digests, is_ours

__all__ = [
    "FOLDER_MARK",
    "SEAL",
    "check_outputs",
    "claim_folder",
    "file_digests",
    "free_name",
    "is_ours",
    "open_regular",
    "staged_file",
    "write_file",
]
