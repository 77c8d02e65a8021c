"""What all models of the configuration have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Shape(BaseModel):
    """A mapping with known keys only, whose values are taken as they are, never converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def renamed(cls, name: str, value: object) -> object:
        """Return what to write for a value that has the wrong `name`, below another one."""
        return value


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the keys a user writes."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
