"""A mutant put in the place of a function of a module that is imported already."""

from __future__ import annotations

from functools import cached_property
from types import CodeType, FunctionType, ModuleType

from bench.mutants.sites import Mutant


def swap_function(module: ModuleType, mutant: Mutant) -> bool:
    """Give a function of the module the mutant's code; return False if only a new import would do."""
    if mutant.function is None or module.__file__ is None:
        return False
    names = mutant.function.split(".")
    live, depth = _find_function(module, names)
    mutated = _find_code(compile(mutant.source, module.__file__, "exec"), names[:depth])
    if live is None or mutated is None or mutated.co_freevars != live.__code__.co_freevars:
        return False
    live.__code__ = mutated
    return True


def _find_function(module: ModuleType, names: list[str]) -> tuple[FunctionType | None, int]:
    """Return the outermost function of those that the names lead through, and the number of its names."""
    here: object = module
    for depth, name in enumerate(names, 1):
        here = _unwrap(vars(here).get(name))
        if isinstance(here, FunctionType):
            return here, depth
        if not isinstance(here, type):
            break
    return None, 0


def _unwrap(found: object) -> object:
    """Return the function below decorators."""
    while not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        match found:
            case property(fget=inner) if inner is not None:
                found = inner
            case staticmethod() | classmethod():
                found = found.__func__
            case cached_property():
                found = found.func
            case _ if not isinstance(found, type) and hasattr(found, "__wrapped__"):
                found = found.__wrapped__
            case _:
                return found
    return found


def _find_code(code: CodeType, names: list[str]) -> CodeType | None:
    """Return the code that the names lead to; None if it is not there, or if there are several."""
    for name in names:
        inner = [each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name]
        if len(inner) != 1:
            return None
        code = inner[0]
    return code if names else None
