"""HTML from Python values: text is escaped unless it is `Html` already. The parts of every page."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from omnimask.foundation.records import to_json
from omnimask.report.style import CSS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


_EMPTY = ("img", "meta", "br")


def element(name: str, *children: str, attributes: Mapping[str, str] | None = None) -> Html:
    """`<name ...>children</name>`; children that are not `Html`, and attributes, are escaped."""
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in (attributes or {}).items())
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*children)}</{name}>")


def styled(name: str, css_class: str, *children: str) -> Html:
    return element(name, *children, attributes={"class": css_class})


def joined(*children: str) -> Html:
    return Html("".join(c if isinstance(c, Html) else html.escape(c) for c in children))


def page(title: str, *children: str, scripts: str = "") -> str:
    """A whole page that opens without a network; `scripts` stand in its head."""
    view = {"name": "viewport", "content": "width=device-width, initial-scale=1"}
    head = element(
        "head",
        element("meta", attributes={"charset": "utf-8"}),
        element("meta", attributes=view),
        element("title", title),
        element("style", Html(CSS)),
        scripts,
    )
    body = element("body", element("main", *children))
    return f"<!doctype html>\n{element('html', head, body, attributes={'lang': 'en'})}\n"


def plotly_script() -> Html:
    """plotly.js, for the head of a page with scenes."""
    from plotly.offline import get_plotlyjs

    return element("script", Html(get_plotlyjs()))


def section(title: str, *children: str, anchor: str = "") -> Html:
    attributes = {"id": anchor} if anchor else {}
    return element("section", element("h2", title), *children, attributes=attributes)


def picture(data: bytes, *, media_type: str, alt: str) -> Html:
    """The picture inside the page, as base64."""
    source = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return element("img", attributes={"src": source, "alt": alt})


def figure_picture(figure: "Figure", *, alt: str, dpi: int = 130) -> Html:
    """A matplotlib figure inside the page, as PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return picture(buffer.getvalue(), media_type="image/png", alt=alt)


def captioned(caption: str, *children: str) -> Html:
    return element("figure", *children, element("figcaption", caption))


def with_interval(value: str, low: str, high: str) -> Html:
    """A score with its interval behind it."""
    return joined(styled("span", "strong", value), styled("span", "small", f"  ({low} – {high})"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, num_text: int = 1) -> Html:
    """A table whose first `num_text` columns are text and whose others are numbers."""

    def row(cell: str, values: Sequence[str]) -> Html:
        return element(
            "tr",
            *(
                styled(cell, "text" if number < num_text else "number", value)
                for number, value in enumerate(values)
            ),
        )

    body = (row("td", values) for values in rows)
    return styled(
        "div",
        "scroll",
        element("table", element("thead", row("th", head)), element("tbody", *body)),
    )


def paragraphs(texts: Sequence[str], *, css_class: str = "note") -> Html:
    return joined(*(styled("p", css_class, text) for text in texts))


def folded(title: str, *children: str) -> Html:
    return element("details", element("summary", title), *children)


def folded_recipe(recipe: Any) -> Html:
    return folded("Recipe", element("pre", json.dumps(to_json(recipe), indent=2)))
