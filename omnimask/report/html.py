"""HTML from Python values: text is escaped unless it is `Html` already."""

import base64
import html
from collections.abc import Mapping, Sequence


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


def picture(data: bytes, *, media_type: str, alt: str) -> Html:
    """The picture inside the page, as base64."""
    source = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return element("img", attributes={"src": source, "alt": alt})


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
