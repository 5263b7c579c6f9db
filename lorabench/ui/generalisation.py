"""The Generalisation page: a form, a job that outlives the tab, and what the heatmap says.

generalisation.arrive()               values of the address, or of the job it names, into the widgets
form = generalisation.draw_form()     what would be asked, and whether Run was pressed
generalisation.start_if_asked(form)   submit it; an equal request attaches to the one under way
generalisation.draw_result(form)      empty, running, failed or finished
"""

from lorabench.ui.generalisation_address import arrive
from lorabench.ui.generalisation_form import Form, draw_form
from lorabench.ui.generalisation_job import draw_result, start_if_asked

__all__ = ["Form", "arrive", "draw_form", "draw_result", "start_if_asked"]
