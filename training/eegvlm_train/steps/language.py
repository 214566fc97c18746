"""Step 3: projector and language model learn to answer, directly and with reasons.

`python -m eegvlm_train train-language DATA OUT --enhancement E --tower T`: the enhancement module stays as
it is, the CLIP tower follows slowly. Every picture is asked both questions in one pass. The language model is
made anew, or is `--language-model FOLDER`, tuned whole or through adapters; `--base CHECKPOINT` goes on from
a whole model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from ..data.imaging import Normalize
from ..data.labels import load_split
from ..data.language import BranchLayout, LanguageBatch, LanguageBatches, NightStates
from ..data.loading import Loader, draw_batches, moved, sweep_batches
from ..data.nightset import NightSet
from ..data.texts import RULE_STAGES, AnswerTexts, TokenWeights
from ..evaluation.metrics import score
from ..model.assembly import Parts, assemble
from ..model.lora import add_adapters, merged_state, save_adapter
from ..model.modeling import EegVlmForConditionalGeneration
from ..model.perception import soft_cross_entropy
from ..model.processing import EegVlmProcessor
from ..model.untrained import ENHANCEMENT, LANGUAGE, set_untrained, untrained_parts
from ..outputs import claim_run
from ..settings import LanguageSettings
from .arguments import add_run_arguments, prepare_run, settings_from
from .loop import Task, fit, parameter_groups
from .memory import courses_of, remember

__all__ = ["LanguageStep", "main", "train_language", "validate_language"]


class LanguageStep(nn.Module):
    """Losses of one batch: `direct` against the teacher's probabilities, `cot` over the weighted answer
    tokens."""

    prefix_ids: Tensor
    night_ids: Tensor
    stage_ids: Tensor
    rule_ids: Tensor

    def __init__(
        self, model: EegVlmForConditionalGeneration, processor: EegVlmProcessor, settings: LanguageSettings
    ) -> None:
        super().__init__()
        processor.check_length(model.config)
        self.settings = settings
        self.model = model
        self.normalize = Normalize(processor.render)
        weights = TokenWeights(settings.literal_weight, 1.0, settings.stage_weight)
        self.texts = AnswerTexts(processor.tokenizer, processor.prompt, weights)
        prefix, night = self.texts.prefix(), self.texts.night()
        direct = len(self.texts.direct_question) + 2
        self.layout = BranchLayout(len(prefix) + model.config.num_visual_tokens + len(night), direct)
        self.register_buffer("prefix_ids", torch.tensor([prefix]), persistent=False)
        self.register_buffer("night_ids", torch.tensor([night], dtype=torch.long), persistent=False)
        self.register_buffer("stage_ids", torch.from_numpy(self.texts.stage_tokens), persistent=False)
        self.register_buffer("rule_ids", torch.from_numpy(self.texts.rule_tokens), persistent=False)

    def train(self, mode: bool = True) -> LanguageStep:
        super().train(mode)
        if not self.settings.train_enhancement:
            self.model.enhancement.eval()
        return self

    def night_tokens(self, batch: LanguageBatch) -> Tensor:
        """(n, 1, D): the memory's token where a sample knows its night, else the night token's own embedding;
        (n, 0, D) for a model without a memory."""
        alone: Tensor = self.model.get_input_embeddings()(self.night_ids).expand(len(batch), -1, -1)
        if not self.model.config.memory_size or not batch.states.shape[1]:
            return alone
        token = self.model.night_token(batch.states.to(alone.dtype), batch.night_logits.to(alone.dtype))
        return torch.where(batch.remembered[:, None, None], token[:, None].to(alone.dtype), alone)

    def text_logits(self, batch: LanguageBatch) -> Tensor:
        """Logits (n, T, V): at place t those of the token after text token t."""
        pixels = self.normalize(batch.grey)
        with torch.set_grad_enabled(self.settings.train_enhancement and torch.is_grad_enabled()):
            look = self.model.enhancement(pixels)
        high = self.model.enhancement.high_of(look)
        tokens = self.model.tokens(pixels, high)
        embed = self.model.get_input_embeddings()
        before = embed(self.prefix_ids).expand(len(tokens), -1, -1)
        night = self.night_tokens(batch)
        inputs = torch.cat([before, tokens.to(before.dtype), night, embed(batch.ids)], dim=1)
        length = batch.ids.shape[1]
        logits: Tensor = self.model.language_model(
            inputs_embeds=inputs,
            attention_mask=self.layout.mask(length, inputs.device),
            position_ids=self.layout.positions(length, inputs.device),
            use_cache=False,
            logits_to_keep=length,
        ).logits
        return logits

    def direct_logits(self, logits: Tensor) -> Tensor:
        """Logits over the vocabulary (n, V) where the direct question asks for the stage."""
        return logits[:, self.layout.direct - 3]

    def with_rule_shares(self, each: Tensor, logits: Tensor, batch: LanguageBatch) -> Tensor:
        """Losses (n, T - 1) whose entry at the rule is taken against all of the teacher's probabilities, not
        the one draw that the text follows: the same mean, far less noise."""
        rows = torch.arange(len(each), device=each.device)
        logs = logits[rows, batch.stage_place - 1].float().log_softmax(-1)[:, self.rule_ids]
        return each.index_put((rows, batch.stage_place - 1), -(batch.rule_shares * logs).sum(-1))

    def forward(self, batch: LanguageBatch) -> dict[str, Tensor]:
        logits = self.text_logits(batch)
        targets, weights = batch.ids[:, 1:], batch.weights[:, 1:]
        each = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), targets, reduction="none")
        each = self.with_rule_shares(each, logits, batch)
        teacher = batch.teacher**self.settings.sharpen
        target = torch.zeros_like(logits[:, 0], dtype=torch.float32)
        target[:, self.stage_ids] = teacher / teacher.sum(-1, keepdim=True)
        losses = {
            "cot": (each * weights).sum() / weights.sum(),
            "direct": soft_cross_entropy(self.direct_logits(logits), target),
        }
        s = self.settings
        losses["loss"] = s.cot_weight * losses["cot"] + s.direct_weight * losses["direct"]
        return losses


@torch.no_grad()
def validate_language(
    module: nn.Module,
    nights: NightSet,
    index: NDArray[np.int64],
    batch_size: int,
    workers: int,
    memory: NightStates | None = None,
) -> dict[str, float]:
    """Losses, and agreement with the teacher's stages: of the direct answer, and of the rule's stage after
    the measured findings as they should be stated ("cot_given_findings"). Where there is a memory, every
    sample knows its night, and is held against who knows it too."""
    assert isinstance(module, LanguageStep)
    module.eval()
    device = module.prefix_ids.device
    make = LanguageBatches(
        nights, module.normalize.spec, module.texts, most_probable=True, memory=memory, memory_share=1.0
    )
    sums: dict[str, float] = {}
    direct, cot = [], []
    rule_stages = torch.from_numpy(RULE_STAGES).to(device)
    for raw in Loader(workers, (0,))(make, sweep_batches(index, batch_size)):
        batch = moved(raw, device)
        for name, value in module(batch).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(raw.grey)
        logits = module.text_logits(batch).float()
        direct.append(module.direct_logits(logits)[:, module.stage_ids].softmax(-1).cpu().numpy())
        rows = torch.arange(len(logits), device=device)
        rules = logits[rows, batch.stage_place - 1][:, module.rule_ids].softmax(-1)
        by_stage = torch.zeros(len(rules), 5, device=device).index_add_(1, rule_stages, rules)
        cot.append(by_stage.cpu().numpy())
    figures = {name: value / len(index) for name, value in sums.items()}
    truth = (nights.teacher if memory is None else nights.context)[index].argmax(1)
    for name, parts in (("direct", direct), ("cot_given_findings", cot)):
        probabilities = np.concatenate(parts)
        result = score(truth, probabilities.argmax(1), probabilities)
        figures |= {f"{name}_acc": result.accuracy, f"{name}_kappa": result.kappa}
        figures |= {f"{name}_mf1": result.macro_f1, f"{name}_ece": result.ece or 0.0}
    return figures


def prepare_model(
    parts: Parts, settings: LanguageSettings
) -> tuple[EegVlmForConditionalGeneration, EegVlmProcessor]:
    """The assembled model with what the settings train left trainable."""
    model, processor = assemble(parts, settings)
    if settings.tuning != "full":
        add_adapters(model, settings)
    model.freeze_unused()
    model.enhancement.requires_grad_(settings.train_enhancement)
    model.enhancement.to_high.requires_grad_(settings.train_enhancement or model.enhancement.in_time)
    if model.config.memory_size:
        model.memory.requires_grad_(False)
    if not settings.tower_rate_share:
        model.vision_tower.requires_grad_(False)
    if settings.gradient_checkpointing:
        recompute_activations(model.language_model)
    return model, processor


def recompute_activations(language_model: LlamaForCausalLM) -> None:
    """Gradient checkpointing, by the name that the installed transformers (renamed in 5.24) has for it."""
    enable = getattr(language_model, "activation_checkpointing_enable", None)
    (enable or language_model.gradient_checkpointing_enable)()


def language_groups(step: LanguageStep, settings: LanguageSettings) -> list[dict[str, object]]:
    """The vision networks at `tower_rate_share` of the rate, projector and embeddings at `projector_rate`,
    the rest at the whole rate."""
    rate, decay = settings.learning_rate, settings.weight_decay
    joining = rate if settings.projector_rate is None else settings.projector_rate
    slow = rate * settings.tower_rate_share
    language = step.model.language_model

    def joins(name: str) -> bool:
        return "embed_tokens" in name or "lm_head" in name

    return [
        *parameter_groups(step.model.vision_tower, slow, decay),
        *parameter_groups(step.model.enhancement, slow, decay, lambda name: not name.startswith("to_high")),
        *parameter_groups(step.model.enhancement.to_high, joining, decay),
        *parameter_groups(step.model.projector, joining, decay),
        *(parameter_groups(step.model.memory_token, joining, decay) if step.model.config.memory_size else ()),
        *parameter_groups(language, joining, decay, joins),
        *parameter_groups(language, rate, decay, lambda name: not joins(name)),
    ]


def export_language(
    model: EegVlmForConditionalGeneration, processor: EegVlmProcessor, settings: LanguageSettings, out: Path
) -> None:
    """`out` becomes a checkpoint. One tuned through adapters has them in `out/adapter` too; over 4 bits these
    are all there is, and `eegvlm_train merge` joins them to their base."""
    state = None
    if settings.tuning != "full":
        save_adapter(model, settings, out / "adapter")
    if settings.tuning == "lora":
        state = merged_state(model, settings.lora_alpha / settings.lora_rank)
    if settings.tuning != "qlora":
        model.save_pretrained(out, state_dict=state, max_shard_size=settings.max_shard_size)
    else:
        model.config.save_pretrained(out)
    processor.save_pretrained(out)


def night_states(
    model: EegVlmForConditionalGeneration, nights: NightSet, settings: LanguageSettings
) -> NightStates | None:
    """What the model's memory holds after each epoch of some nights; None where it has no memory.

    A device is switched on anywhere: the memory begins anew at random places of every night.
    """
    if not model.config.memory_size:
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network: nn.Module = model.eval()
    network.to(device)
    courses = courses_of(model, nights, settings.workers)
    states = remember(model.memory, courses, np.random.default_rng([0x4E16, settings.seed]))
    network.to("cpu")
    return states


def train_language(
    settings: LanguageSettings,
    train: NightSet,
    held_out: NightSet,
    parts: Parts,
    out: Path,
    *,
    resume: bool = False,
    tensorboard: bool = False,
) -> int:
    """Train on nights already loaded and leave the checkpoint in `out`. Returns the steps done."""
    model, processor = prepare_model(parts, settings)
    left = set(untrained_parts(model.config)) - {LANGUAGE}
    if ENHANCEMENT in left and not settings.train_enhancement:
        print("enhancement: never trained; give --enhancement, or --set train_enhancement=true", flush=True)
    set_untrained(model.config, left - ({ENHANCEMENT} if settings.train_enhancement else set()))
    step = LanguageStep(model, processor, settings)
    memory = night_states(model, train, settings)
    held_out_memory = night_states(model, held_out, settings)
    make = LanguageBatches(
        train,
        processor.render,
        step.texts,
        settings.sharpen,
        findings_noise=settings.findings_noise,
        memory=memory,
        memory_share=settings.memory_share,
        memory_opinion=settings.memory_opinion,
    )
    weights = train.sampling_weights(settings.balance)

    def batches(first: int, rank: int) -> Iterator[LanguageBatch]:
        seed = (settings.seed, rank)
        drawn = draw_batches(weights, settings.batch_size, np.random.default_rng([*seed, first]))
        return Loader(settings.workers, seed, first)(make, drawn)

    def export(module: nn.Module, out: Path) -> None:
        assert isinstance(module, LanguageStep)
        export_language(module.model, processor, settings, out)

    index = held_out.every(settings.validation_epochs)
    task = Task(
        step_module=step,
        groups=language_groups(step, settings),
        batches=batches,
        validate=lambda module: validate_language(
            module, held_out, index, settings.batch_size, settings.workers, held_out_memory
        ),
        export=export,
    )
    print(f"{len(train)} epochs of {len(train.names)} nights; {len(index)} epochs held out", flush=True)
    return fit(task, settings, out, resume=resume, tensorboard=tensorboard)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="eegvlm_train train-language", description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--enhancement", type=Path, help="checkpoint of train-enhancement")
    parser.add_argument("--tower", type=Path, help="checkpoint of train-tower")
    parser.add_argument("--vision", type=Path, help="checkpoint of train-vision, for both")
    parser.add_argument("--language-model", type=Path, help="folder of `eegvlm_train language-model`")
    parser.add_argument("--base", type=Path, help="resume this whole checkpoint")
    args = parser.parse_args(argv)
    settings = settings_from(args, LanguageSettings)
    inputs = [args.data, args.enhancement, args.tower, args.vision, args.language_model, args.base]
    claim_run(args, "train-language", inputs)
    prepare_run(settings.seed, args.threads)
    parts = Parts(args.enhancement or args.vision, args.tower or args.vision, args.language_model, args.base)
    train, held_out = load_split(
        args.data, settings.labels, night_opinion=settings.night_opinion, max_nights=args.max_nights
    )
    train_language(
        settings, train, held_out, parts, args.out, resume=args.resume, tensorboard=args.tensorboard
    )
    return 0
