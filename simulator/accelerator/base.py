"""Spec: the base of every part of a specification."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Spec(BaseModel):
    """Base of every part of a specification: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_values_are_not_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic would take `rows: true` (YAML 1.1: also yes and on) as rows: 1
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(f"{str(value).lower()} is a truth value, which this key does not take")
        return value
