"""The Playground's screen: a form, answers at once, words soon after, pinned rows beneath."""

from lorabench.ui.playground_answers import answers, ask, show_answers
from lorabench.ui.playground_files import show_files
from lorabench.ui.playground_form import form
from lorabench.ui.playground_maps import show_words
from lorabench.ui.playground_pins import show_pins

__all__ = ["answers", "ask", "form", "show_answers", "show_files", "show_pins", "show_words"]
