"""Hostile words in every string that a schema lets a stranger write: found by the schema, so that none is forgotten."""

from __future__ import annotations

import types
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

Model = TypeVar("Model", bound=BaseModel)
PROBE = "<b>\"'&</b>"
"""A field that takes it shows words of a stranger's choice."""


def field_types(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Yields `Model.field` and the type of every field of a model."""
    for name, field in model.model_fields.items():
        constrained = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        yield f"{model.__name__}.{name}", constrained


def takes_words(annotation: Any) -> bool:
    """Returns whether a type is a string whose words are free: no key, no name of a pattern, none of a few choices."""
    if annotation is str:
        return True
    if get_origin(annotation) is not Annotated or not takes_words(get_args(annotation)[0]):
        return False
    try:
        return bool(TypeAdapter(annotation).validate_python(PROBE) == PROBE)
    except ValidationError:
        return False


def parts(annotation: Any) -> tuple[Any, ...]:
    """Returns the types that a type is made of, down one level."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[:1]
    return tuple(part for part in get_args(annotation) if part is not type(None))


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the models in a type, those in their fields too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for _, inner in field_types(annotation):
            yield from models(inner)
        return
    for part in parts(annotation):
        yield from models(part)


def has_words(annotation: Any) -> bool:
    """Returns whether strings of free words stand in a type, models apart."""
    if get_origin(annotation) is Annotated and get_args(annotation)[0] is str:
        return takes_words(annotation)
    return takes_words(annotation) or any(map(has_words, parts(annotation)))


def places_of_words(model: type[BaseModel]) -> set[str]:
    """Returns `Model.field` for every field with free words, of a model and of those in it."""
    fields = set()
    for inner in models(model):
        for field, annotation in field_types(inner):
            if has_words(annotation):
                fields.add(field)
    return fields


class Spoiler:
    """Changes the strings of free words in copies of models, and notes the fields in which it did.

    Attributes:
        reached: Fields, as `Model.field`, in which a string was changed.
    """

    def __init__(self, spoil: Callable[[str], str], spared: Container[str] = ()) -> None:
        self.reached: set[str] = set()
        self._spoil, self._spared = spoil, spared

    def copy(self, model: Model) -> Model:
        """Returns a changed copy, which no schema has checked; empty lists and tables of words get an entry."""
        changes = {}
        for field, annotation in field_types(type(model)):
            name = field.partition(".")[2]
            if field not in self._spared:
                changes[name] = self._value(getattr(model, name), annotation, field)
        return model.model_copy(update=changes)

    def _value(self, value: Any, annotation: Any, field: str) -> Any:
        if isinstance(value, BaseModel):
            return self.copy(value)
        if isinstance(value, str):
            return self._text(value, annotation, field)
        if isinstance(value, Mapping):
            return self._table(value, _inside(annotation, dict), field)
        if isinstance(value, list | tuple):
            [inner, *_] = _inside(annotation, type(value)) or (Any,)
            entries = list(value) or ([""] if takes_words(inner) else [])
            return type(value)([self._value(entry, inner, field) for entry in entries])
        return value

    def _table(self, table: Mapping[str, Any], inner: tuple[Any, ...], field: str) -> dict[str, Any]:
        key_type, value_type = inner
        entries = dict(table)
        if not entries and has_words(value_type):
            entries = {"x": ""}
        copy = {}
        for key, value in entries.items():
            copy[self._text(key, key_type, field)] = self._value(value, value_type, field)
        return copy

    def _text(self, text: str, annotation: Any, field: str) -> str:
        alternatives = parts(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        if not any(map(takes_words, alternatives)):
            return text
        self.reached.add(field)
        return self._spoil(text)


def _inside(annotation: Any, container: type) -> tuple[Any, ...]:
    """Returns the types in a container: in the container itself, in an alternative, or under constraints."""
    if get_origin(annotation) is container:
        return get_args(annotation)
    for part in parts(annotation):
        if inner := _inside(part, container):
            return inner
    return ()
