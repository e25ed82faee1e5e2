"""Tables and figures from the result files of benchmarks: the pages keep the words.

The directive ``results NAME`` holds a table in Markdown whose numbers are fields in braces, as of ``str.format``. They
are looked up in ``benchmarks/results/NAME.json``, with ``:under: KEY`` under that key. Below the table stand machine,
date and seeds, as the file has them. The role ``result`` is the same within a sentence.
"""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import directives
from result_files import FOLDER, filled, load, origin, without_file
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole


class Results(SphinxDirective):
    """A table with figures of a result file, and where they are from."""

    required_arguments = 1
    option_spec = {"under": directives.unchanged}
    has_content = True

    def run(self) -> list[nodes.Node]:
        (name,) = self.arguments
        try:
            document = load(name)
            table = filled(document, "\n".join(self.content), self.options.get("under", ""))
            text = f"{table}\n\n{origin(name, document)}{without_file(self.content)}\n"
        except (OSError, KeyError) as error:
            raise self.error(f"results {name}: {error!r}") from error
        self.env.note_dependency(str(FOLDER / f"{name}.json"))
        return self.parse_text_to_nodes(text)


class Result(SphinxRole):
    """Figures of a result file in a sentence: the name of the file, and the template."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        name, template = self.text.split(maxsplit=1)
        self.env.note_dependency(str(FOLDER / f"{name}.json"))
        return [nodes.Text(filled(load(name), template))], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of both."""
    app.add_directive("results", Results)
    app.add_role("result", Result())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
