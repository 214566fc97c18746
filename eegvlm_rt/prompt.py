"""The prompt: what stands around the picture, the two questions, and how answers are cut into token segments.

A text is tokenised segment by segment and the ids are joined, in training and in decoding alike, so a
segment's ids never depend on its neighbors. The visual tokens stand before the question: both questions share
one visual prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Protocol

from .errors import InputError
from .rationale.grammar import GRAMMAR_VERSION
from .rationale.grammar import segments as rationale_segments
from .stages import STAGES, Stage

__all__ = ["Mode", "PromptSpec", "TextTokenizer", "rationale_segments"]


class Mode(StrEnum):
    """How an answer is made: by the stage head, by a stage token, or by a rationale that ends in one."""

    HEAD = "head"
    DIRECT = "direct"
    COT = "cot"

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Mode named by `text`; raises InputError for another."""
        try:
            return cls(text)
        except ValueError:
            raise InputError("mode", text, "use head, direct or cot") from None


class _Encoding(Protocol):
    @property
    def ids(self) -> list[int]: ...


class TextTokenizer(Protocol):
    """What is used of `tokenizers.Tokenizer`."""

    def encode(self, sequence: str, /, *, add_special_tokens: bool = ...) -> _Encoding: ...

    def token_to_id(self, token: str, /) -> int | None: ...


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """Special tokens, system text and questions. `{bos}{system}{visual tokens}{night}{question}` is the
    prompt.

    `night` is the token that stands for the night memory: its own embedding where an epoch is alone, the
    memory's token where there is one. A model without a memory has none (""). `grammar` is the version of the
    rationale that the model writes.
    """

    bos: str = "<s>"
    eos: str = "</s>"
    pad: str = "<pad>"
    image: str = "<image>"
    night: str = ""
    system: str = ""
    direct_question: str = "Which sleep stage is this epoch? Answer with one of W, N1, N2, N3, R.\nStage:"
    cot_question: str = "Explain step by step, then give the sleep stage.\n"
    grammar: str = GRAMMAR_VERSION

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The special tokens, in the order of their ids in a tokenizer trained here."""
        return (self.pad, self.bos, self.eos, self.image, *self.night_segments())

    def night_segments(self) -> list[str]:
        """The segment between the visual tokens and the question, where the model has a memory."""
        return [self.night] if self.night else []

    @property
    def stage_answers(self) -> tuple[str, ...]:
        """Direct answers in the order of the stages; the same texts close a rationale."""
        return tuple(f" {stage.name}" for stage in STAGES)

    def question(self, mode: Mode) -> str:
        """Question of a language-model mode; raises InputError for `head`, which asks none."""
        match mode:
            case Mode.DIRECT:
                return self.direct_question
            case Mode.COT:
                return self.cot_question
            case _:
                raise InputError("mode", str(mode), "only direct and cot have a question")

    def prefix_segments(self) -> list[str]:
        """Segments before the visual tokens."""
        return [self.bos, self.system] if self.system else [self.bos]

    def answer_segments(self, mode: Mode, answer: Stage | Mapping[str, str]) -> list[str]:
        """Segments of an answer and its end: a stage for `direct`, the choice of every slot for `cot`.

        Raises:
            InputError: the answer does not fit the mode.
            RationaleError: the choices are no path of the grammar.
        """
        if mode is Mode.DIRECT and isinstance(answer, Stage):
            return [self.stage_answers[answer], self.eos]
        if mode is Mode.COT and isinstance(answer, Mapping):
            return [*rationale_segments(answer), self.eos]
        raise InputError(
            "answer", type(answer).__name__, "give a Stage for direct, the choices of all slots for cot"
        )

    def segments(
        self, mode: Mode, answer: Stage | Mapping[str, str] | None = None, *, visual_tokens: int = 1
    ) -> list[str]:
        """Every segment of a sample: prefix, image placeholders, question, and the answer if given."""
        image = [self.image] * visual_tokens
        question_segments = [*self.prefix_segments(), *image, *self.night_segments(), self.question(mode)]
        return question_segments if answer is None else question_segments + self.answer_segments(mode, answer)

    def encode(self, tokenizer: TextTokenizer, segments: Sequence[str]) -> list[int]:
        """Joined token ids of `segments`; a segment that is a special token is that one id."""
        ids: list[int] = []
        for segment in segments:
            if segment in self.special_tokens:
                ids.append(self.token_id(tokenizer, segment))
            else:
                ids.extend(tokenizer.encode(segment, add_special_tokens=False).ids)
        return ids

    def token_id(self, tokenizer: TextTokenizer, token: str) -> int:
        """Id of a special token; raises InputError where the tokenizer has none."""
        number = tokenizer.token_to_id(token)
        if number is None:
            raise InputError("tokenizer", token, "use a tokenizer that has this special token")
        return number

    def stage_token_ids(self, tokenizer: TextTokenizer) -> tuple[int, ...]:
        """Ids of the five stage answers in the order of the stages.

        Raises:
            InputError: an answer is not exactly one token, or two answers share one.
        """
        ids = []
        for answer in self.stage_answers:
            encoded = tokenizer.encode(answer, add_special_tokens=False).ids
            if len(encoded) != 1 or encoded[0] in ids:
                raise InputError("tokenizer", answer, "every stage answer must be one token of its own")
            ids.append(encoded[0])
        return tuple(ids)

    def to_dict(self) -> dict[str, str]:
        """JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PromptSpec:
        """Inverse of `to_dict`; raises InputError for a missing, unknown or non-text field.

        A prompt without `night` is of a model without a memory; one without `grammar` is older than that
        field and has the first version.
        """
        names = {field.name for field in fields(cls)}
        values = {"grammar": "1", "night": "", **values}
        if set(values) != names:
            raise InputError("prompt", sorted(values), f"give exactly the fields {sorted(names)}")
        for name, value in values.items():
            if not isinstance(value, str):
                raise InputError(f"prompt.{name}", value, "give a text")
        return cls(**values)
