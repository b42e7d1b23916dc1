"""Ways to reach a target. Opened by the worker only; a channel judges nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from scanner.channels.shell import Batch
    from scanner.model import Cause


class ChannelError(Exception):
    """A target could not be reached or would not talk: the cause, and a sentence without secrets."""

    def __init__(self, cause: Cause, detail: str) -> None:
        self.cause, self.detail = cause, detail
        super().__init__(f"{cause}: {detail}")


class ShellTransport(Protocol):
    """Something that can run one `sh -s` and stream its output; `ssh` and `local` are the two."""

    def run(self, batch: Batch) -> None:
        """Send ``batch.script`` to a fresh ``sh -s`` and feed what comes back until end, deadline or limit.

        May be called from two threads at once (the slow batch beside the fast one). Raises ChannelError when
        the connection breaks, `batch.deadline` seconds pass, or the batch refuses more output; what came
        before stays in the batch.
        """

    def close(self) -> None:
        """Give the connection up; never raises."""
