"""The project's own Markdown documents as a part of a page."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markupsafe import Markup

_TABLE = Markup('<div class="scroll" role="region" tabindex="0" aria-label="{}"><table>')


def to_html(document: str, label: str) -> Markup:
    """Returns a document as HTML below a heading of the page, which stands in place of the document's own title.

    Args:
        document: CommonMark with tables; HTML in it is shown as text.
        label: What its tables are called for screen readers.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(document)
    if tokens and tokens[0].tag == "h1":
        del tokens[:3]  # the heading's start, text and end
    for token in tokens:
        if token.type.startswith("heading_"):
            token.tag = f"h{int(token.tag[1:]) + 1}"
        if token.type == "th_open":
            token.attrSet("scope", "col")
    html = parser.renderer.render(tokens, parser.options, {})
    opening = _TABLE.format(label)
    return Markup(html.replace("<table>", opening).replace("</table>", "</table></div>"))  # noqa: S704 - no HTML gets in
