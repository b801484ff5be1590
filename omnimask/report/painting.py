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
    grid = figure.add_gridspec(bands * rows, across)
    found = []
    for number, title in enumerate(titles):
        band, column = divmod(number, across)
        # Title by title, so that a part of the figure can be cut out (`drawing/panels.py`).
        own = [figure.add_subplot(grid[band * rows + row, column]) for row in range(rows)]
        for axes in own:
            axes.set_xticks([])
            axes.set_yticks([])
        own[0].set_title(title, fontsize=8.5)
        found.append(own)
    return figure, found
