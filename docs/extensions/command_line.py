"""The directive ``command-line``: what ``naslora COMMAND --help`` says of every command, from the code itself."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command
from typer.testing import CliRunner

from naslora_napari.cli import app as naslora

WIDTH = "100"


def helps() -> dict[str, str]:
    """Return the help of every command, by its name; ``""`` for that of ``naslora`` itself."""
    runner = CliRunner(env={"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH, "NO_COLOR": "1"})
    names = sorted(get_command(naslora).commands)  # type: ignore[attr-defined]
    found = {}
    for name in ("", *names):
        done = runner.invoke(naslora, [*name.split(), "--help"], prog_name="naslora")
        if done.exit_code != 0:
            raise RuntimeError(f"naslora {name} --help failed: {done.output}")
        found[name] = done.output.strip()
    return found


class CommandLine(SphinxDirective):
    """A section for every command."""

    def run(self) -> list[nodes.Node]:
        made: list[nodes.Node] = []
        for name, text in helps().items():
            title = f"naslora {name}".strip()
            section = nodes.section(ids=[nodes.make_id(title)], names=[title])
            section += nodes.title("", "", nodes.literal(text=title))
            section += nodes.literal_block(text, text, language="text")
            made.append(section)
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
