"""Decoding: stage probabilities and rationales from a language model, along a grammar."""

from __future__ import annotations

from .decoder import Decoder
from .grammar_tokens import CompiledGrammar, compile_grammar
from .prompt_tokens import PromptTokens, prompt_tokens
from .result import Decoded, Finish, Piece
from .stopping import Stop, stop_when

__all__ = [
    "CompiledGrammar",
    "Decoded",
    "Decoder",
    "Finish",
    "Piece",
    "PromptTokens",
    "Stop",
    "compile_grammar",
    "prompt_tokens",
    "stop_when",
]
