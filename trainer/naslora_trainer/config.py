"""The settings of a fine-tune, validated before anything runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from naslora_resources.registry import DEFAULT_MODEL

from .errors import UserError

Method = Literal["nas-lora", "nas-pc-lora", "conv-lora", "conv-lora-experts", "lora", "decoder-only"]
Target = Literal["qkv", "qv", "proj", "mlp", "neck"]
#: The names of the registry (naslora_trainer.operations), which is not imported here: it needs torch.
OperationName = Literal[
    "none", "identity", "conv1x1", "conv3x3", "dw_conv3x3", "dw_conv5x5", "dil_conv3x3", "avg_pool3x3",
    "max_pool3x3", "sep_conv3x3_act",
]  # fmt: skip
Preset = Literal["quick", "standard", "thorough"]

#: Optimisation steps of a preset. "quick" takes minutes on two CPU cores.
PRESET_STEPS: dict[Preset, int] = {"quick": 64, "standard": 200, "thorough": 600}

_LINEAR: tuple[OperationName, ...] = (
    "none", "identity", "conv1x1", "dw_conv3x3", "dw_conv5x5", "dil_conv3x3", "avg_pool3x3",
)  # fmt: skip
#: The candidate operations of each method's cell (METHOD: one entry for a baseline, none without a searched cell).
METHOD_OPERATIONS: dict[Method, tuple[OperationName, ...]] = {
    "nas-lora": _LINEAR,
    "nas-pc-lora": _LINEAR,
    "conv-lora": ("conv3x3",),
    "conv-lora-experts": (),
    "lora": ("identity",),
    "decoder-only": (),
}


class FineTuneConfig(BaseModel):
    """Settings of one fine-tune. Every field is checked; an unknown field is an error.

    Attributes
    ----------
    method : str
        ``nas-lora`` (searched cell), ``nas-pc-lora`` (the same on a part of the channels), ``conv-lora`` (one 3 x 3
        convolution as the cell), ``conv-lora-experts`` (a gated mixture of scaled convolutions, Zhong et al. 2024),
        ``lora`` (no cell) or ``decoder-only`` (the image encoder stays as it is).
    preset : str
        Sets ``steps`` when that is not given.
    base : str
        Id of the base model in the registry.
    rank : int
        Rank r of the update of each adapted layer, 1 to 64.
    lora_alpha : float
        The update is scaled by ``lora_alpha / rank``.
    blocks : int
        How many of the encoder's last attention blocks are adapted, 1 to 64 (more than it has: all).
    targets : tuple of str
        What is adapted: in those blocks ``qkv`` (whole) or ``qv`` (q and v only), ``proj``, ``mlp``; and ``neck``, the
        convolutions behind them.
    candidates : tuple of str
        Candidate operations of a searched cell; empty: the linear ones.
    partial : int
        ``nas-pc-lora`` searches one channel in so many, 1 to 64.
    cell_sees : str
        ``window`` (a cell sees one attention window) or ``map`` (windows are put together for it).
    decoder : str
        ``full`` (every weight of the mask decoder is trained) or ``lora`` (low-rank updates of its matrices).
    decoder_rank : int
        Rank of those updates, 1 to 64.
    steps : int
        Optimisation steps over all four stages, 5 to 100000.
    prompts_per_step : int
        Objects of one image trained together in a step, 1 to 256.
    images_per_step : int
        Images whose gradients are added up in a step, 1 to 64.
    adapter_lr, cell_lr, decoder_lr, alpha_lr : float
        Peak learning rates of the projections, the operations of the cell (their weights start near 1, not near 0), the
        mask decoder, and the architecture weights.
    alpha_every : int
        In the search one step in so many first trains the architecture weights, 1 to 100.
    temperature : float
        Of the softmax over operations at the end of the search, 0.01 to 10; it starts at 1.
    box_share : float
        Share of first prompts that are boxes rather than clicks, 0 to 1. Boxes are rehearsed so that a base that knows
        them does not forget them.
    scribble_share : float
        Share of steps whose prompts are scribbles, 0 to 1.
    alternatives : bool, optional
        Teach three masks for a lone click, which can mean a part or the whole, of which only the best is pulled to the
        label (SAM, section 3), or one. None: as what it starts from has learned it.
    correction_share : float
        Share of steps that train on one to five corrective clicks, 0 to 1.
    mask_share : float
        Share of those steps that also give the earlier answer back as a mask prompt, 0 to 1.
    warmup_share, search_share, settle_share : float
        Shares of the steps in the first three stages; the rest is ``consolidate``.
    prune_below : float
        Operations whose probability is lower than this after the search are dropped, 0 to 1.
    fold_tolerance : float
        Validation Dice a fold may cost before the fused branch is kept in its place, 0 to 1.
    interpolate : bool
        Go back from what was learned towards the start as far as that helps on validation objects
        (:mod:`naslora_trainer.interpolation`).
    seed_head : bool
        Also train the head that finds all objects without prompts (:mod:`naslora_trainer.seed_head`).
    cache_mb : int
        Memory of the frozen-prefix cache in MiB, 0 to 1000000; more goes to disk.
    validate_every : int
        Steps between two measurements on validation objects, besides those at the ends of the stages; 0: none.
    shown_images : int
        So many held-out images are shown with the model's answers while it trains, 0 to 8; 0: no pictures at all.
    checkpoint_every : int
        Steps between two checkpoints, 0 to 100000; 0: only when it is asked to stop.
    seed : int
        Seed of every random choice, 0 to 2^32 - 1.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision : str
        ``float32``, ``bfloat16`` (mixed: weights stay float32) or ``auto``: bfloat16 where the device computes it
        faster.
    start : str
        Path of an adapter to go on from; the new one holds both. Empty: from the base model.
    compare_with : str
        Path of the adapter in use, which the new one has to beat; empty: the base model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = "nas-lora"
    preset: Preset = "quick"
    base: str = DEFAULT_MODEL
    rank: int = Field(4, ge=1, le=64)
    lora_alpha: float = Field(4.0, gt=0, le=1024)
    blocks: int = Field(8, ge=1, le=64)
    targets: tuple[Target, ...] = Field(("qkv", "proj", "neck"), min_length=1)
    candidates: tuple[OperationName, ...] = ()
    partial: int = Field(2, ge=1, le=64)
    cell_sees: Literal["window", "map"] = "window"
    decoder: Literal["full", "lora"] = "full"
    decoder_rank: int = Field(8, ge=1, le=64)
    steps: int = Field(0, ge=5, le=100_000, validate_default=False)
    prompts_per_step: int = Field(6, ge=1, le=256)
    images_per_step: int = Field(1, ge=1, le=64)
    adapter_lr: float = Field(2e-3, gt=0, le=1)
    cell_lr: float = Field(2e-2, gt=0, le=1)
    decoder_lr: float = Field(2e-4, gt=0, le=1)
    alpha_lr: float = Field(0.1, gt=0, le=10)
    alpha_every: int = Field(3, ge=1, le=100)
    temperature: float = Field(1.0, ge=0.01, le=10)
    box_share: float = Field(0.35, ge=0, le=1)
    scribble_share: float = Field(0.1, ge=0, le=1)
    alternatives: bool | None = None
    correction_share: float = Field(0.5, ge=0, le=1)
    mask_share: float = Field(0.3, ge=0, le=1)
    warmup_share: float = Field(0.2, ge=0, lt=1)
    search_share: float = Field(0.4, ge=0, lt=1)
    settle_share: float = Field(0.3, ge=0, lt=1)
    prune_below: float = Field(0.08, ge=0, lt=1)
    fold_tolerance: float = Field(0.005, ge=0, le=1)
    interpolate: bool = True
    seed_head: bool = True
    cache_mb: int = Field(1024, ge=0, le=1_000_000)
    validate_every: int = Field(0, ge=0, le=100_000)
    shown_images: int = Field(2, ge=0, le=8)
    checkpoint_every: int = Field(50, ge=0, le=100_000)
    seed: int = Field(0, ge=0, lt=2**32)
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    start: str = ""
    compare_with: str = ""

    @model_validator(mode="before")
    @classmethod
    def _steps_of_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("steps") is None:
            preset = values.get("preset", "quick")
            values = {**values, "steps": PRESET_STEPS.get(preset, PRESET_STEPS["quick"])}
        return values

    @model_validator(mode="after")
    def _shares_fit(self) -> FineTuneConfig:
        if self.warmup_share + self.search_share + self.settle_share > 1:
            raise ValueError("warmup_share + search_share + settle_share must not exceed 1")
        if {"qkv", "qv"} <= set(self.targets):
            raise ValueError("targets can hold qkv or qv, not both")
        return self

    @property
    def operations(self) -> tuple[OperationName, ...]:
        """Names of the candidate operations of the cell."""
        chooses = self.method in ("nas-lora", "nas-pc-lora")
        return self.candidates if self.candidates and chooses else METHOD_OPERATIONS[self.method]

    @property
    def searches(self) -> bool:
        """True when there is a choice of operations to search."""
        return len(self.operations) > 1

    @property
    def adapts_encoder(self) -> bool:
        """True when layers of the image encoder are adapted."""
        return self.method != "decoder-only"

    @property
    def searched_part(self) -> int:
        """One channel in so many passes the operations."""
        return self.partial if self.method == "nas-pc-lora" else 1

    @classmethod
    def checked(cls, **values: Any) -> FineTuneConfig:
        """Return a config, with a :class:`UserError` that names the field when a value does not fit."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "settings"
            raise UserError(f"The fine-tune setting '{field}' is not usable: {first['msg']}.") from error
