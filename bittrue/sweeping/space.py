"""Space: what is varied, on which networks, within which limits, for which objectives. The YAML keys are the fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from accel_models.load import load_accelerator
from accel_models.yaml_document import read_document
from bittrue.sweeping.metrics import LIMITABLE, OBJECTIVES, OF_VALUES
from simulator.accelerator.base import Spec
from simulator.accelerator.problems import nearest, problems
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.units import parse_bytes
from simulator.errors import SpecError

Value = Any
"""What a key of an accelerator takes: a number, a word, a quantity such as 64 KiB, or a mapping."""

SEARCHES = ("nsga2", "tpe")
"""Methods that choose a point from the results of those before."""
_WITH_POINTS = ("random", "latin_hypercube", *SEARCHES)


class Range(Spec):
    """Values from one to another, by steps or by factors."""

    first: int | float | str = Field(alias="from")
    """First value; a quantity of bytes may have a unit."""
    last: int | float | str = Field(alias="to")
    """Greatest value."""
    step: int | float | str | None = None
    """Added from one value to the next."""
    factor: int | float | None = Field(default=None, gt=1)
    """Multiplies one value to the next."""

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if (self.step is None) == (self.factor is None):
            raise ValueError("give exactly one of step and factor")
        low, high = _number(self.first), _number(self.last)
        if low > high or (self.step is not None and _number(self.step) <= 0) or (self.factor is not None and low <= 0):
            raise ValueError(f"from {self.first} to {self.last} there is nothing to step through")
        return self

    def values(self) -> list[int | float]:
        """Return all values, rising; whole numbers stay whole."""
        last, found = _number(self.last), [_number(self.first)]
        while True:
            following = found[-1] + _number(self.step) if self.step is not None else found[-1] * (self.factor or 1)
            if following > last * (1 + 1e-9):
                return found
            whole = isinstance(following, float) and following.is_integer() and isinstance(found[0], int)
            found.append(int(following) if whole else following)


class Limit(Spec):
    """Bounds of a figure."""

    least: int | float | None = None
    """Smallest value allowed."""
    most: Annotated[int | float | None, BeforeValidator(lambda v: _number(v))] = None
    """Greatest value allowed; a quantity of bytes may have a unit."""

    def allows(self, value: float) -> bool:
        """Whether `value` lies within."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def _number(value: Any) -> Any:
    return parse_bytes(value) if isinstance(value, str) else value


def _as_network(value: Any) -> Any:
    return {"network": value} if isinstance(value, str) else value


def _one_of(known: tuple[str, ...]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(
                f"{name!r} is no figure for this{nearest(name, list(known))}; there are {', '.join(known)}"
            )
        return name

    return AfterValidator(check)


class NetworkChoice(Spec, extra="allow"):
    """A network by name or file, with the keywords of a built-in one beside it."""

    network: str
    """Built-in name or file (relative to the space's own file, or to the working directory)."""

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords for `load_network`."""
        return {key: tuple(v) if isinstance(v, list) else v for key, v in (self.model_extra or {}).items()}


class Accuracy(Spec):
    """What values are computed on, for the objective accuracy_loss, or with `dataset` miou_loss."""

    images: int | tuple[str, ...] = Field(default=1)
    """How many images of random patches to draw, or image files (relative to the space's own file); with `dataset`, how
    many of its samples to take, the first ones."""
    seed: int = Field(default=0, ge=0)
    """Of images that are drawn."""
    dataset: str | None = None
    """Labelled images as ``bittrue eval -d`` takes them, KIND:PATH (relative to the space's own file)."""
    split: str = "val"
    """Of the data set."""

    @model_validator(mode="after")
    def _has_images(self) -> Self:
        if not self.images or (isinstance(self.images, int) and self.images < 0):
            raise ValueError("images is a number from 1 on, or a list of files")
        if self.dataset is not None and not isinstance(self.images, int):
            raise ValueError("images is a number of samples where there is a dataset")
        if self.dataset is not None and ":" not in self.dataset:
            raise ValueError(f"dataset {self.dataset!r}: write KIND:PATH, e.g. voc:VOCdevkit")
        return self

    @property
    def figure(self) -> str:
        """The figure that it serves."""
        return "accuracy_loss" if self.dataset is None else "miou_loss"

    def plain(self) -> dict[str, Any]:
        """Return what decides values, as JSON has it."""
        unused = {"dataset", "split"} if self.dataset is None else {"seed"}
        return self.model_dump(mode="json", exclude=unused)

    def beside(self, folder: Path) -> Self:
        """Return it with paths relative to `folder` made good; SpecError where a file or folder is not there."""
        if self.dataset is not None:
            kind, _, place = self.dataset.partition(":")
            root = folder / Path(place).expanduser()
            if not root.is_dir():
                raise SpecError(f"accuracy.dataset: no folder {root}")
            return self.model_copy(update={"dataset": f"{kind}:{root}"})
        if isinstance(self.images, int):
            return self
        files = tuple(str(folder / name) for name in self.images)
        missing = [name for name in files if not Path(name).is_file()]
        if missing:
            raise SpecError(f"accuracy.images: no file {missing[0]}")
        return self.model_copy(update={"images": files})


class Space(Spec):
    """A space of design points."""

    name: str
    """Short identifier."""
    description: str = ""
    """What is asked, in a sentence."""
    accelerator: str
    """Preset or YAML file (relative to the space's own file) that is varied."""
    networks: tuple[Annotated[NetworkChoice, BeforeValidator(_as_network)], ...] = Field(min_length=1)
    """Networks that every accelerator is timed on."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Changes of the accelerator that hold for all points, by dotted key."""
    vary: dict[str, Range | tuple[Value, ...]] = Field(default_factory=dict)
    """Choices of a key: a list, or {from, to, step or factor}; every key with every other."""
    together: tuple[dict[str, Value], ...] = ()
    """Alternatives of several keys that change together; as one more thing that varies."""
    constraints: dict[Annotated[str, _one_of(LIMITABLE)], Limit] = Field(default_factory=dict)
    """Limits of figures; those known before an evaluation leave a point out, the others keep it off the front."""
    objectives: tuple[Annotated[str, _one_of(OBJECTIVES)], ...] = ("total_time_s", "total_energy_pj")
    """What the Pareto front weighs: two or three figures."""
    accuracy: Accuracy | None = None
    """Compute values too, for accuracy_loss or miou_loss; the networks need weights."""
    method: Literal["grid", "random", "latin_hypercube", "nsga2", "tpe"] = "grid"
    """grid = all points; random and latin_hypercube draw `points` of them; nsga2 and tpe search for the front, each
    next point chosen from the results of those before."""
    points: int | None = Field(default=None, ge=1)
    """Accelerators to draw or to try, for methods other than grid."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of the draw or the search."""
    limit: int | None = Field(default=None, ge=1)
    """Take so many points at most, evenly spread over the space in its order: a sweep in small."""

    @model_validator(mode="after")
    def _is_a_space(self) -> Self:
        if not self.vary and not self.together:
            raise ValueError("nothing varies; give vary or together")
        empty = [key for key, choices in self.vary.items() if not isinstance(choices, Range) and not choices]
        if empty:
            raise ValueError(f"vary.{empty[0]} has no values")
        if (self.method == "grid") != (self.points is None):
            raise ValueError(f"points is for the methods {', '.join(_WITH_POINTS)}, and needed there")
        if self.searches and len(self.networks) > 1:
            raise ValueError(f"{self.method} weighs the figures of one network; give each a space of its own")
        wanted = [figure for figure in OF_VALUES if figure in (*self.objectives, *self.constraints)]
        if wanted != ([] if self.accuracy is None else [self.accuracy.figure]):
            raise ValueError(
                "accuracy_loss needs accuracy, e.g. accuracy: {images: 2}, miou_loss one with a data set, e.g. "
                'accuracy: {dataset: "voc:VOCdevkit", images: 8}, and that is for nothing else'
            )
        if not 2 <= len(set(self.objectives)) == len(self.objectives) <= 3:
            raise ValueError("objectives are two or three different figures")
        return self

    @property
    def searches(self) -> bool:
        """Whether points are chosen from the results of those before."""
        return self.method in SEARCHES

    def axes(self) -> list[list[dict[str, Value]]]:
        """Return, for each thing that varies, its alternatives as changes of the accelerator."""
        found = []
        for key, choices in self.vary.items():
            values = choices.values() if isinstance(choices, Range) else choices
            found.append([{key: value} for value in values])
        if self.together:
            found.append([dict(alternative) for alternative in self.together])
        return found

    def small(self, limit: int | None, keywords: Mapping[str, Any]) -> Self:
        """Return the same space with fewer points and other keywords of its networks, e.g. a smaller image."""
        networks = [choice.model_dump() | dict(keywords) for choice in self.networks]
        return type(self).model_validate(
            self.model_dump(by_alias=True) | {"networks": networks, "limit": limit or self.limit}
        )

    def base(self) -> Accelerator:
        """Return the accelerator that is varied, with `fixed` applied."""
        accelerator = load_accelerator(self.accelerator)
        return accelerator.evolve(self.fixed) if self.fixed else accelerator


def read_space(path: str | Path) -> Space:
    """Read a space from a YAML file.

    Raises
    ------
    SpecError
        The file cannot be read, or what is in it is no space: every problem with its line; or a change that the
        accelerator does not take.

    """
    document = read_document(Path(path))
    try:
        space = Space.model_validate(document.data)
    except ValidationError as error:
        lines = [f"{path}:{document.line(p.location)}: {p}" for p in problems(error, Space)]
        raise SpecError("\n".join(lines)) from None
    if document.problems:
        raise SpecError("\n".join(f"{path}:{line}: {text}" for line, text in document.problems))
    space = _beside(space, Path(path))
    check_changes(space)
    return space


def _beside(space: Space, path: Path) -> Space:
    """Make good the paths that are relative to the space's own file."""
    folder = path.parent
    update: dict[str, Any] = {}
    if space.accuracy is not None:
        try:
            update["accuracy"] = space.accuracy.beside(folder)
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from None
    if space.accelerator.endswith((".yaml", ".yml")) and (folder / space.accelerator).is_file():
        update["accelerator"] = str(folder / space.accelerator)
    files = [folder / choice.network for choice in space.networks]
    update["networks"] = tuple(
        choice.model_copy(update={"network": str(file)}) if Path(choice.network).suffix and file.is_file() else choice
        for choice, file in zip(space.networks, files, strict=True)
    )
    return space.model_copy(update=update)


def check_changes(space: Space) -> None:
    """Try every alternative on the accelerator by itself; SpecError naming the key and value that it does not take."""
    base = space.base()
    for axis in space.axes():
        for changes in axis:
            try:
                base.evolve(changes)
            except SpecError as error:
                if len(space.axes()) == 1 or _is_unknown_key(base, changes):
                    raise SpecError(f"{space.name}: {error}") from None


def _is_unknown_key(base: Accelerator, changes: Mapping[str, Value]) -> bool:
    """Whether a key does not exist; a value may be refused alone and taken beside another change."""
    known = base.model_dump()
    for key in changes:
        node: Any = known
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return True
            node = node[part]
    return False
