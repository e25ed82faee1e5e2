"""The plain data in a pickle, without unpickling it: nothing that the file names is imported, called or set.

A pickle is a program for a small stack machine. The interpreter here knows the opcodes that build texts, numbers,
lists, tuples, dictionaries and numpy arrays. A name of a class or function is kept as a name; what would be the result
of a call is :data:`UNKNOWN`, but for the few calls that numpy's arrays and types are made with, whose arguments are
only put aside. Any other opcode ends the reading.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: A pickle may have so many opcodes.
MOST_STEPS = 1_000_000
#: Modules in which numpy keeps the functions that make arrays, by version.
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


class _Unknown:
    """Something that is not plain data."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A class or function, by name only."""

    module: str
    name: str


@dataclass(eq=False)
class StoredType:
    """The type of an array as it is stored; :meth:`dtype` checks it."""

    code: Any
    order: Any = "|"

    def dtype(self) -> np.dtype:
        """Return the type of plain numbers, or raise ValueError."""
        if not isinstance(self.code, str) or not re.fullmatch(r"[biuf][1248]", self.code) or self.order not in "<>|=":
            raise ValueError("an array of something else than numbers")
        return np.dtype(self.order + self.code)


@dataclass(eq=False)
class StoredArray:
    """An array as it is stored; :meth:`array` checks it."""

    state: tuple[Any, ...] = field(default=())

    def array(self) -> np.ndarray:
        """Return an array of numbers, read-only, or raise ValueError."""
        shape, stored, fortran, data = self._parts()
        dtype = stored.dtype()
        if not isinstance(data, bytes | bytearray) or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError("an array whose data is not of its size")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")

    def objects(self) -> list[Any]:
        """Return the values of an array of objects, or raise ValueError."""
        shape, stored, _, data = self._parts()
        if stored.code not in ("O", "O4", "O8") or not isinstance(data, list) or len(data) != math.prod(shape):
            raise ValueError("no array of objects")
        return data

    def _parts(self) -> tuple[tuple[int, ...], StoredType, bool, Any]:
        shape, stored, fortran, data = self.state if len(self.state) == 4 else (None, None, False, None)
        if not isinstance(shape, tuple) or len(shape) > 8 or not isinstance(stored, StoredType):
            raise ValueError("no array")
        if any(type(n) is not int or n < 0 for n in shape):
            raise ValueError("an array with a size that is no number")
        return shape, stored, fortran is True, data


def plain_data(content: bytes) -> Any:
    """Return the plain data in a pickle: arrays as :class:`StoredArray`, what is no plain data as :data:`UNKNOWN`.

    Raises
    ------
    ValueError
        It is damaged, or holds something that the interpreter does not know.
    """
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
            if step > MOST_STEPS:
                raise ValueError("it is too long")
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.do(opcode.name, argument)
    except (IndexError, KeyError, TypeError, OverflowError, MemoryError, AttributeError) as error:
        raise ValueError(f"it is damaged ({error})") from error
    raise ValueError("it has no end")


#: Opcodes whose argument is the value.
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SILENT = {"PROTO", "FRAME"}


class _Machine:
    """The stack, and the memory of what was on it."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Do one step, or raise ValueError where the opcode is not known."""
        if name in _SILENT:
            return
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            parts = tuple(self.stack[-_TUPLES[name] :])
            del self.stack[-_TUPLES[name] :]
            self.stack.append(parts)
        else:
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise ValueError(f"it holds {name}, which is no plain data")
            step(argument)

    # Memory

    def _memoize(self, _: Any) -> None:
        self.memory[len(self.memory)] = self.stack[-1]

    def _binput(self, place: int) -> None:
        self.memory[place] = self.stack[-1]

    def _binget(self, place: int) -> None:
        self.stack.append(self.memory[place])

    _long_binput, _long_binget = _binput, _binget

    # Containers

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _since_mark(self) -> list[Any]:
        """Return what was put on the stack since the last mark, and take it off."""
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("it is damaged (no mark)")
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif target is not UNKNOWN:
            raise ValueError("it appends to something that is no list")

    def _empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _setitem(self, _: Any) -> None:
        value = self.stack.pop()
        self._update([self.stack.pop(), value])

    def _setitems(self, _: Any) -> None:
        self._update(self._since_mark())

    def _update(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            # A key that is no text or number is of no use here.
            pairs = zip(values[::2], values[1::2], strict=True)
            target.update((key, value) for key, value in pairs if isinstance(key, str | int))
        elif target is not UNKNOWN:
            raise ValueError("it sets items of something that is no dictionary")

    # Sets are of no use here

    def _empty_set(self, _: Any) -> None:
        self.stack.append(UNKNOWN)

    def _additems(self, _: Any) -> None:
        self._since_mark()

    def _frozenset(self, _: Any) -> None:
        self._since_mark()
        self.stack.append(UNKNOWN)

    # Names and what would be calls

    def _global(self, argument: str) -> None:
        self.stack.append(_Name(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name = self.stack.pop()
        self.stack.append(_Name(self.stack.pop(), name))

    def _reduce(self, _: Any) -> None:
        arguments = self.stack.pop()
        self.stack.append(_made(self.stack.pop(), arguments))

    def _newobj(self, _: Any) -> None:
        del self.stack[-2:]
        self.stack.append(UNKNOWN)

    def _newobj_ex(self, _: Any) -> None:
        del self.stack[-3:]
        self.stack.append(UNKNOWN)

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, StoredArray) and isinstance(state, tuple) and len(state) == 5:
            target.state = state[1:]
        elif isinstance(target, StoredType) and isinstance(state, tuple) and len(state) >= 2:
            target.order = state[1]
            if len(state) > 4 and any(part is not None for part in state[2:5]):
                target.code = None  # a type with fields
        elif target is not UNKNOWN:
            raise ValueError("it sets the state of plain data")


def _made(name: Any, arguments: Any) -> Any:
    """Return what stands for the result of a call: the arguments of numpy's own, put aside, or UNKNOWN."""
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        return UNKNOWN
    if name == _Name("numpy", "dtype") and arguments:
        return StoredType(arguments[0])
    if name.module in _MULTIARRAY and name.name == "_reconstruct":
        return StoredArray()
    if name.module in _NUMERIC and name.name == "_frombuffer" and len(arguments) == 4:
        data, stored, shape, order = arguments
        return StoredArray((shape, stored, order == "F", data))
    return UNKNOWN
