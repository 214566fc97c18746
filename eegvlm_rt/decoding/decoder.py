"""Stage scoring and rationale decoding over a shared visual prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backends.base import ManyTexts
from ..errors import InputError
from ..rationale.compose import context_choices
from ..stages import STAGES, Stage
from .lockstep import Lockstep
from .probabilities import token_probabilities
from .reader import Intake, Reader
from .stopping import Stop, never
from .strategies import stream_free, talk_constrained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..backends.base import KVCache, LanguageModel
    from ..devices.buffers import DeviceArray
    from ..rationale.context import NightContext
    from .grammar_tokens import CompiledGrammar
    from .prompt_tokens import PromptTokens
    from .result import Asking, Beginning, Decoded, Stream, Talk

__all__ = ["Decoder"]

MAX_FREE_TOKENS = 256


class Decoder:
    """Asks a language model about one epoch, given the visual tokens of its picture.

    `prefix` reads the picture once; `score_stages` and `decode_rationale` both go on from there, in any order
    and as often as wanted. `detokenize` turns token ids into text, `stage_tokens` gives the token of each
    stage's answer.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompt: PromptTokens,
        grammar: CompiledGrammar,
        detokenize: Callable[[list[int]], str],
        stage_tokens: Mapping[Stage, int],
    ) -> None:
        self._lm = lm
        self._prompt = prompt
        self._grammar = grammar
        self._detokenize = detokenize
        self._stage_tokens = [stage_tokens[stage] for stage in STAGES]
        self._before = lm.embed(prompt.before_image)
        empty = np.zeros((1, 0, lm.hidden_size), np.float32)
        self._behind = lm.embed(prompt.behind_image) if prompt.behind_image else empty

    def prefix(
        self, visual_tokens: NDArray[np.float32] | DeviceArray, night_token: NDArray[np.float32] | None = None
    ) -> KVCache:
        """Read the beginning of a text about one picture, as `beginning` puts it together.

        Raises:
            InputError: as for `beginning`. BackendError: the run failed.
        """
        return self._lm.read(self.beginning(visual_tokens, night_token))

    def beginning(
        self, visual_tokens: NDArray[np.float32] | DeviceArray, night_token: NDArray[np.float32] | None = None
    ) -> Beginning:
        """The visual tokens (V, D) of one picture, between what the prompt puts before and behind them.

        A model with a night memory reads `night_token` (D,) behind them; without one, the embedding of its
        prompt's own token, which stands for an epoch alone.

        Raises:
            InputError: another shape, or a night token for a model without a memory.
        """
        size = self._lm.hidden_size
        if visual_tokens.ndim != 2 or visual_tokens.shape[1] != size:
            raise InputError("visual_tokens", visual_tokens.shape, f"give shape (V, {size})")
        behind = self._behind
        if night_token is not None:
            if behind.shape[1] != 1 or night_token.shape != (size,):
                cure = f"give shape ({size},), to a model whose prompt has a night token"
                raise InputError("night_token", night_token.shape, cure)
            behind = night_token[None, None]
        return [self._before, visual_tokens, behind]

    def score_stages(self, prefix: KVCache) -> dict[Stage, float]:
        """Probabilities of the stages: the softmax over the five stage tokens after the direct question."""
        return self._stages(Reader(self._lm, prefix, self._prompt.direct).logits())

    def most_texts(self, visual_tokens: int, memory_bytes: int) -> int:
        """Epochs whose texts are decoded side by side within so much memory for keys and values; 1 where the
        model reads one text at a time."""
        if not isinstance(self._lm, ManyTexts):
            return 1
        return self._lm.most_texts(self.longest_text(visual_tokens), memory_bytes)

    def longest_text(self, visual_tokens: int) -> int:
        """Tokens of a text about a picture of so many tokens, at most."""
        return int(self._before.shape[1] + visual_tokens + self._behind.shape[1] + self._room)

    def read_many(self, beginnings: Sequence[Beginning]) -> Lockstep:
        """The beginnings of several texts, read together. Raises BackendError where a run fails."""
        assert isinstance(self._lm, ManyTexts)
        return Lockstep(self._lm, beginnings, self._room)

    def score_many(self, lockstep: Lockstep, count: int) -> list[dict[Stage, float] | Exception]:
        """`score_stages` of `count` texts; an error that ends one of them takes its place. Raises
        BackendError where a run fails."""
        talks = [(Intake(self._prompt.direct), self._asking_directly()) for _ in range(count)]
        return lockstep.results(talks)

    def reason_many(
        self, lockstep: Lockstep, contexts: Sequence[NightContext | None], *, stop: Stop = never
    ) -> list[Decoded | Exception]:
        """`decode_rationale`, constrained, of texts with these contexts; an error that ends one of them takes
        its place. Raises BackendError where a run fails."""
        intakes = [Intake(self._prompt.reasoning) for _ in contexts]
        talks = [
            (intake, self._talk(intake, stop, context))
            for intake, context in zip(intakes, contexts, strict=True)
        ]
        return lockstep.results(talks, stop)

    def stream_rationale(
        self,
        prefix: KVCache,
        *,
        constrained: bool = True,
        stop: Stop = never,
        max_free_tokens: int = MAX_FREE_TOKENS,
        context: NightContext | None = None,
    ) -> Stream:
        """Decode the reasoning about the picture in `prefix` piece by piece; the generator returns a
        `Decoded`.

        Constrained: a finding is the choice that is worth most on average (`rationale.worth`), where its
        first token decides it; else, and at all other slots, the most probable choice, token by token. The
        text between the slots costs no run of its own. The stage probabilities are read at the slot `rule`:
        the sum over the rules of each stage. Rule, reasons and stage are then chosen among those of the most
        probable stage that do not contradict the text (`rationale.consistency`), sure ones first
        (`rationale.sureness`); neither in the first version.

        Free: the most probable token of the whole vocabulary until the end token, at most `max_free_tokens`.
        A text that is a path of the grammar is read again up to its rule for the stage probabilities; any
        other text has neither rationale nor probabilities.

        `context`: what the night's record says of the epochs before. A constrained text has a step that
        states it, which is written from the record and read by the model; the first version of the grammar
        has no such step.

        `stop` is asked before every run of the model; a text it ends is cut after its last whole sentence.
        """
        # The picture was read once, into `prefix`; every question goes on from there and leaves it as it was.
        reader = self._reasoning(prefix)
        if constrained:
            return reader.stream(self._talk(reader, stop, context))
        return stream_free(
            reader,
            lambda: self._reasoning(prefix),
            self._grammar,
            self._detokenize,
            eos=self._prompt.eos,
            limit=max_free_tokens,
            stop=stop,
        )

    def decode_rationale(
        self,
        prefix: KVCache,
        *,
        constrained: bool = True,
        stop: Stop = never,
        on_text: Callable[[str], None] | None = None,
        context: NightContext | None = None,
    ) -> Decoded:
        """`stream_rationale` to its end; `on_text` is called with each piece of text as it is decided."""
        stream = self.stream_rationale(prefix, constrained=constrained, stop=stop, context=context)
        while True:
            try:
                piece = next(stream)
            except StopIteration as finished:
                decoded: Decoded = finished.value
                return decoded
            if on_text is not None and piece.text:
                on_text(piece.text)

    @property
    def _room(self) -> int:
        """Tokens that a text may have behind its beginning."""
        return max(len(self._prompt.direct), len(self._prompt.reasoning) + self._grammar.longest)

    def _asking_directly(self) -> Asking[dict[Stage, float]]:
        return self._stages((yield ()))

    def _stages(self, logits: NDArray[np.float32]) -> dict[Stage, float]:
        shares = token_probabilities(logits, self._stage_tokens)
        return {stage: float(share) for stage, share in zip(STAGES, shares, strict=True)}

    def _talk(self, intake: Intake, stop: Stop, context: NightContext | None) -> Talk:
        """The decoding of a constrained rationale."""
        if context is not None and self._grammar.night is not None:
            return talk_constrained(intake, self._grammar.night, stop, context_choices(context))
        return talk_constrained(intake, self._grammar, stop)

    def _reasoning(self, prefix: KVCache) -> Reader:
        return Reader(self._lm, prefix, self._prompt.reasoning)
