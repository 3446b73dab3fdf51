"""In the child: the processor time that a step may take, and all steps together.

    clock = Clock(step_seconds=0.05, total_seconds=2.0)
    clock.start(); ...; clock.stop()          # TooSlow is raised in between where it takes longer
    clock.rang, clock.over()                  # whether it did; whether the rest is skipped

Loaded by path, so it imports only the standard library.
"""

import signal
import time

PATIENT_STEPS = 3  # slow ones, after which a step has a tenth of the time
MOST_SLOW = 25  # steps, after which the rest are slow too
_TIMER = signal.ITIMER_VIRTUAL
_used = time.process_time  # bound before a program is there, and a clock may be moved


class TooSlow(BaseException):
    """A step took more than its share of processor time."""


class Clock:
    """Ends a step that takes too long; after some of them it is less patient, and then skips the rest."""

    def __init__(self, step_seconds, total_seconds):
        self.step_seconds, self.end = step_seconds, _used() + total_seconds
        self.slow, self.rang = 0, False
        signal.signal(signal.SIGVTALRM, self._ring)

    def _ring(self, number, frame):
        self.rang = True
        raise TooSlow

    def over(self):
        """Whether the rest is skipped: too many steps were slow, or all the time is used up."""
        return self.slow >= MOST_SLOW or _used() > self.end

    def start(self):
        """Give the next step its processor time, a tenth after some slow ones; then TooSlow is raised in the step."""
        self.rang = False
        seconds = self.step_seconds if self.slow < PATIENT_STEPS else self.step_seconds / 10
        signal.setitimer(_TIMER, seconds, self.step_seconds)

    def stop(self):
        """Stop the timer: the step has ended."""
        signal.setitimer(_TIMER, 0)
