"""In the child: where control goes in a program while it runs.

    reach = Reach()
    sys.settrace(reach.begin); ...; sys.settrace(None)
    reach.moves                               # {(line, line), ...}

Loaded by path, so it imports only the standard library and its neighbours.
"""

import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
values = importlib.import_module("values")
del sys.path[0]


class Reach:
    """Where control goes in the program's functions: from a line to a line, out of the function (-1), or from a line
    that ends in TypeError, AttributeError, KeyError or IndexError, which may say only that an input does not fit,
    nowhere (-2).

    Comprehensions and lambdas are part of the line that they stand on. parts: whether the lines in them are noted too,
    each as a move from it to itself once control has gone on from it.
    """

    PARTS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")

    def __init__(self, parts=False):
        self.moves, self.parts = set(), parts

    def begin(self, frame, event, argument):
        """A function is entered or resumed: what follows its lines.

        frame, event, argument: as `sys.settrace` gives them.
        """
        if frame.f_code.co_filename != values.FILE:
            return None
        part = frame.f_code.co_name in self.PARTS
        if part and not self.parts:
            return None
        last, moves = None, self.moves

        def follow(frame, event, argument):
            nonlocal last
            if event == "exception":
                if last is not None and issubclass(argument[0], (*values.REFUSALS, LookupError)):
                    moves.add((last, -2))
                    last = None
            elif event == "line" or event == "return":
                line = frame.f_lineno if event == "line" else -1
                if last is not None:
                    moves.add((last, last if part else line))
                last = line
            return follow

        return follow
