"""What a figure says, and whether it can be read."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.text import Text


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def check_words_fit(figure: Figure) -> None:
    """No two words overlap and none leaves the page."""
    figure.draw_without_rendering()
    hidden = _ticks_outside(figure)
    shown = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden
    ]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    for index, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0, text
        assert box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0, text
        assert box.y1 <= figure.bbox.y1, text
        for other_text, other in boxes[index + 1 :]:
            assert not box.overlaps(other), (text, other_text)


def _ticks_outside(figure: Figure) -> set[Text]:
    """Labels of ticks beyond the ends of their axis, which are there but not drawn."""
    return {
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for low, high in [sorted(axis.get_view_interval())]
        for tick in axis.get_major_ticks()
        if not (axes.axison and low <= tick.get_loc() <= high)
    }
