"""How good a network is on a data set: in float, on the device, and with registers of other widths."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

FLOAT = "float"
DEVICE = "device"
REGISTERS = "registers"
EVALUATION_SCHEMA = 1


@dataclass(frozen=True)
class EvaluationRow:
    """Scores of one machine over all images that were evaluated."""

    machine: str
    """float = the float network; device = the accelerator as it is; registers = with registers of other widths."""
    accumulator_bits: int | None
    """Width of the accumulator; None in float."""
    partial_sum_bits: int | None
    """Width of the partial-sum register; None in float and where the dataflow has none."""
    pixels: int
    """Pixels that count: all that the data set does not ignore."""
    correct: int
    """Pixels whose predicted class is the true one."""
    class_iou: tuple[float | None, ...]
    """Intersection over union of each class over all images, TP / (TP + FP + FN); None for a class that is neither in
    the truth nor predicted."""
    events: int | None
    """Overflow events in all layers and images; None in float."""
    images_with_events: int | None
    """Images with at least one overflow event; None in float."""

    @property
    def miou(self) -> float:
        """Mean of class_iou over the classes that have one: of the data set, not of images. 0..1."""
        known = [iou for iou in self.class_iou if iou is not None]
        return sum(known) / len(known) if known else 0.0

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are correct: correct / pixels, 0..1."""
        return self.correct / self.pixels if self.pixels else 0.0

    @property
    def name(self) -> str:
        """What a table calls it: float, the device, or the width of the registers."""
        if self.machine == REGISTERS:
            return f"{self.accumulator_bits}-bit registers"
        return self.machine


@dataclass(frozen=True)
class UnusableSample:
    """A sample of the data set that was left out."""

    sample: str
    """Its name."""
    problem: str
    """The file, and what is wrong with it."""


@dataclass(frozen=True)
class EvaluationRecord:
    """All scores of an evaluation as plain data. Same network, device and files: the same bytes."""

    network: str
    """Name of the network."""
    accelerator: str
    """Name of the accelerator."""
    dataset: str
    """Kind of data set: voc, camvid ..."""
    split: str
    """Which split of it."""
    fit: str
    """How images were brought to the network's input: stretch or pad."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of class_iou."""
    images: int
    """Images that were evaluated."""
    wanted_images: int
    """Images that were to be evaluated; more than images + unusable where the evaluation was stopped."""
    rows: tuple[EvaluationRow, ...]
    """Scores: float first where there is a float network, then the device, then other widths, ascending."""
    overflow: str = ""
    """What the device's registers do past their range: wrap, saturate or trap; of both registers where they
    differ."""
    unusable: tuple[UnusableSample, ...] = ()
    """Samples left out because a file of theirs cannot be used; they count in no score."""
    notes: tuple[str, ...] = ()
    """What the reader must know."""
    network_hash: str = ""
    """SHA-256 of the network that ran on the device."""
    spec_hash: str = ""
    """SHA-256 of the accelerator's specification and energy table."""
    tool_version: str = ""
    """Version of bittrue."""
    seed: int = 0
    """Seed of stochastic rounding."""
    schema_version: int = EVALUATION_SCHEMA
    """Version of this schema."""

    @property
    def finished(self) -> bool:
        """Whether every image that was wanted is either evaluated or listed as unusable."""
        return self.images + len(self.unusable) >= self.wanted_images

    @property
    def float_row(self) -> EvaluationRow | None:
        """Scores of the float network; None where there is none."""
        return next((row for row in self.rows if row.machine == FLOAT), None)

    @property
    def device_row(self) -> EvaluationRow:
        """Scores of the device as it is."""
        return next(row for row in self.rows if row.machine == DEVICE)

    @property
    def reference_row(self) -> EvaluationRow:
        """Scores without overflow: the row of 32-bit registers, or the device's own where there is no such row."""
        return next((row for row in self.rows if row.machine == REGISTERS and row.accumulator_bits == 32), None) or (
            self.device_row
        )

    @property
    def quantization_loss(self) -> float | None:
        """What integers cost: miou of float minus that of reference_row; None without a float network."""
        return None if self.float_row is None else self.float_row.miou - self.reference_row.miou

    @property
    def overflow_loss(self) -> float:
        """What overflow costs on the device: miou of reference_row minus that of the device."""
        return self.overflow_loss_of(self.device_row)

    def overflow_loss_of(self, row: EvaluationRow) -> float:
        """Return what overflow costs in a row: miou of reference_row minus its own."""
        return self.reference_row.miou - row.miou

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row a machine: its scores, its losses, and the IoU of each class (needs the extra `data`)."""
        import pandas as pd

        return pd.DataFrame([self.columns(row) for row in self.rows])

    def columns(self, row: EvaluationRow) -> dict[str, Any]:
        """Return one row of evaluation.csv."""
        fields = asdict(row)
        iou = fields.pop("class_iou")
        losses = {
            "quantization_loss": None if row.machine == FLOAT else self.quantization_loss,
            "overflow_loss": None if row.machine == FLOAT else self.overflow_loss_of(row),
        }
        scores = {"miou": row.miou, "pixel_accuracy": row.pixel_accuracy}
        return (
            {"network": self.network, "accelerator": self.accelerator, "dataset": self.dataset, "split": self.split}
            | {"images": self.images}
            | fields
            | scores
            | losses
            | {f"iou.{name}": value for name, value in zip(self.classes, iou, strict=True)}
        )
