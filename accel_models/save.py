"""Write an accelerator as the YAML file that `load_accelerator` reads."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from simulator.accelerator.spec import Accelerator
from simulator.errors import SpecError


def save_accelerator(accelerator: Accelerator, path: str | Path, note: str = "") -> Path:
    """Write `accelerator` and return the path; a file that was there is replaced whole or not at all.

    Parameters
    ----------
    note
        A comment at the top.

    Raises
    ------
    SpecError
        The file cannot be written.

    """
    target = Path(path)
    data = accelerator.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)
    comment = "".join(f"# {line}\n" for line in note.splitlines())
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(comment + text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise SpecError(f"{target}: cannot be written ({error})") from None
    return target
