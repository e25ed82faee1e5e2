"""The directive ``public-api MODULE``: every name in the ``__all__`` of a module, from its docstring."""

from __future__ import annotations

import inspect
from importlib import import_module
from types import FunctionType

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def listing(module: str) -> list[str]:
    """Return the directives of autodoc for what a module offers; of a class also its methods."""
    lines: list[str] = []
    offered = import_module(module)
    for name in offered.__all__:
        found = getattr(offered, name)
        if name.startswith("__"):
            continue
        kind = "autoclass" if inspect.isclass(found) else "autofunction"
        lines.append(f".. {kind}:: {found.__module__}.{found.__qualname__}")
        if inspect.isclass(found) and methods(found):
            lines.append(f"   :members: {', '.join(methods(found))}")
        lines.append("")
    return lines


def methods(found: type) -> list[str]:
    """Return the public methods and properties of a class, those of its bases in this project before its own."""
    ours = [base for base in reversed(found.__mro__) if base.__module__.startswith("naslora_")]
    members = {name: value for base in ours for name, value in vars(base).items() if not name.startswith("_")}
    kinds = (property, classmethod, staticmethod, FunctionType)
    return [name for name, value in members.items() if isinstance(value, kinds) and inspect.getdoc(value)]


class PublicApi(SphinxDirective):
    """What a module offers."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (module,) = self.arguments
        made = nodes.container()
        self.state.nested_parse(StringList(listing(module), source=module), 0, made)
        return made.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("public-api", PublicApi)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
