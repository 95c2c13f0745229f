"""Several options as one decorator, and their values as one argument of the command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

Command = Callable[..., Any]


def apply_in_order(*options: Command) -> Callable[[Command], Command]:
    """Return a decorator that applies ``options``; the help lists them in the order given here."""

    def decorate(command: Command) -> Command:
        # A decorator that is applied later comes earlier in the help.
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def bundle_options(name: str, bundle: type[NamedTuple], *options: Command) -> Callable[[Command], Command]:
    """Return a decorator that adds ``options`` and gives their values to the command as one argument.

    The argument is called ``name`` and is a ``bundle``, whose fields are called like the options' parameters.
    A field for which there is no option keeps its default.
    """

    make_bundle: Callable[..., object] = bundle

    def decorate(command: Command) -> Command:
        @wraps(command)
        def call(**values: Any) -> Any:
            given = {field: values.pop(field) for field in bundle._fields if field in values}
            return command(**{name: make_bundle(**given)}, **values)

        return apply_in_order(*options)(call)

    return decorate
