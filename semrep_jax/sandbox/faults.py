"""Why nothing is known of a candidate that was run, as far as its zygote can tell. Loaded by the zygote by path, so it
imports nothing.

A candidate can bring about either by itself, with some pains; one that is seen to end so twice, the second time alone
and with more wall time, has.
"""

BUSY = "the machine was too busy to run it within its wall time"
KILLED = "its process was killed from outside"
