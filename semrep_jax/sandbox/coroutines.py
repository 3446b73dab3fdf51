"""In the child: what coroutines give in the end, in an event loop that waits for nothing.

    awaited(f(3), most=60)                    # of an asynchronous generator, what it yields
    awaited(within(manager, None), most=60)   # what entering an asynchronous context gives

Loaded by path, so it imports only the standard library.
"""

import sys
import types


def awaited(result, most):
    """What a coroutine gives, or an asynchronous generator yields, at most so many items; anything else is itself."""
    if isinstance(result, types.AsyncGeneratorType):
        return ("async", *awaited(_collected(result, most), most))
    if not isinstance(result, types.CoroutineType):
        return result
    if "asyncio" in sys.modules:
        return _timeless_loop().run_until_complete(result)
    try:
        while True:
            result.send(None)
    except StopIteration as end:
        return end.value


async def within(manager, raised):
    """What entering an asynchronous context gives, and whether it ends an exception. raised: that, or None."""
    async with manager as value:
        if raised is not None:
            raise raised
        return [value is manager or value, None]
    return ["ended", type(raised).__name__]


async def _collected(generator, most):
    found = []
    async for item in generator:
        found.append(item)
        if len(found) == most:
            return found, "more"
    return found, "end"


def _timeless_loop():
    """An event loop without sockets, whose clock jumps to the next timer: nobody waits for a sleep."""
    base = sys.modules["asyncio"].BaseEventLoop

    class Loop(base):
        now = 0.0

        def __init__(self):
            super().__init__()
            self._selector = self

        def select(self, timeout):
            if timeout is None:
                raise RuntimeError("the coroutine waits for something that never comes")
            self.now += timeout
            return []

        def time(self):
            return self.now

        def _process_events(self, events):
            pass

        def _write_to_self(self):
            pass

    return Loop()
