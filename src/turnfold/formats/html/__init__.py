"""A conversation as one self-contained HTML page."""

from turnfold.formats.html.writer import HtmlWriter

__all__ = ["HtmlWriter"]
