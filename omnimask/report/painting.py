"""Pictures of one sample several times over: as it is, and with its tokens in colours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 4  # paintings beside one another


def easels(
    titles: Sequence[str], *, rows: int = 1, aspect: float = 1.0
) -> tuple["Figure", list[list["Axes"]]]:
    """A figure with a titled column of `rows` bare panels for each of `titles`, at most `ACROSS`
    columns beside one another; by title, its panels. `aspect` is a panel's height over its width.
    """
    from matplotlib.figure import Figure

    across = min(len(titles), ACROSS)
    bands = -(-len(titles) // across)
    width = 9 / ACROSS
    size = (width * across, bands * (rows * width * aspect + 0.3))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(bands * rows, across, squeeze=False)
    found = []
    for number in range(bands * across):
        band, column = divmod(number, across)
        own = [panels[band * rows + row, column] for row in range(rows)]
        for axes in own:
            axes.set_xticks([])
            axes.set_yticks([])
            if number >= len(titles):
                axes.remove()
        if number < len(titles):
            own[0].set_title(titles[number], fontsize=8.5)
            found.append(own)
    return figure, found
