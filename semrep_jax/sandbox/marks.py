"""Marks in what is known of a step, which the child writes and the parent reads. Loaded by path in the one, imported in
the other."""

NO_OUTCOME = ("slow", "skipped", "void", "unreadable")  # how a step may end without one (see `session`)
MAX_ITEMS = 60  # read of an iterator
TEXT = ["text"]  # in the place of an exception's text
MEMBERS, ARGUMENTS, CAUSE = "members", "arguments", "cause"  # of what exceptions hold
