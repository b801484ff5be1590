"""What the import hook of `--jaxtyping-packages` puts around the functions and records of ours.

jaxtyping's own decorator binds every call's arguments and checks them twice, also where no
annotation has a shape: that took half of the time of a training run. What is checked is the same.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ForwardRef, Literal, get_args, get_origin

from jaxtyping import AbstractArray, jaxtyped

Check = Callable[[Any], Any]
# The makers of sample data, which write 40 for a float and are no part of any training.
UNCHECKED = "omnimask.sample_data"


def checked(item: Any = None, *, typechecker: Check) -> Any:
    """In place of `jaxtyping.jaxtyped`: arguments and result have their types and shapes."""
    if item is None:
        return functools.partial(checked, typechecker=typechecker)
    if item.__module__.startswith(UNCHECKED):
        return item
    if isinstance(item, type):
        if dataclasses.is_dataclass(item) and "__init__" in vars(item):
            item.__init__ = checked(item.__init__, typechecker=typechecker)
        return item
    hints = getattr(item, "__annotations__", {}).values()
    found = [part for hint in hints for part in _parts(hint)]
    shaped = any(isinstance(part, type) and issubclass(part, AbstractArray) for part in found)
    # Names that are there for type checkers only are left to jaxtyping, which lets them pass.
    named = any(isinstance(part, str | ForwardRef) for part in found)
    if named or not inspect.isfunction(item) or (shaped and inspect.isgeneratorfunction(item)):
        return jaxtyped(item, typechecker=typechecker)
    function = typechecker(item)
    return _of_one_shape(function) if shaped else function


def _parts(hint: Any) -> Iterator[Any]:
    """An annotation and all annotations inside it."""
    yield hint
    if get_origin(hint) is not Literal:
        for part in hint if isinstance(hint, list) else get_args(hint):
            yield from _parts(part)


def _of_one_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    """A letter stands for the same size in all arguments and the result of a call."""

    @functools.wraps(function)
    def within_one_call(*args: Any, **keywords: Any) -> Any:
        with jaxtyped("context"):
            return function(*args, **keywords)

    return within_one_call
