"""The errors of the council.

    CouncilError
    ├── ConfigError            a configuration that can't be used: names the key and what it may be
    ├── QuestionError          a question that can't be asked: empty, or longer than the members can read
    ├── DatasetError           a file of questions that can't be read
    ├── CalibrationError       a guarantee that can't be given, or a calibration that can't be read or doesn't fit
    ├── StartError             members could not be started: names the member, the path, what to do
    ├── KeysError              the keys' file can't be read or written, or has no such key
    ├── DeadlineError          no verdict came within the time that the asker gave
    ├── Overloaded             no room for one more question now: says when to ask again
    ├── GoingDown              no question is taken any more: those at work are finished
    ├── RemoteError            a council elsewhere that can't be reached, refuses the key, or is none
    └── RetrievalError
        ├── EmbedderError      the embedding model is missing or is not the one that was published
        ├── StoreError         the store can't be read or written
        │   └── StoreInUse     another process has the embedded store open
        └── DocumentError      a document can't be read

Each message is one line for the person who meets it: what is wrong, where, and what to do.
"""

from __future__ import annotations

import math


class CouncilError(Exception):
    """Anything that the council reports to its user in one line."""


class ConfigError(CouncilError):
    """A configuration that can't be used."""


class QuestionError(CouncilError):
    """A question that can't be asked."""


class DatasetError(CouncilError):
    """A file of questions that can't be read."""


class CalibrationError(CouncilError):
    """A guarantee that can't be given, or a calibration that can't be used."""


class StartError(CouncilError):
    """Members that could not be started."""


class KeysError(CouncilError):
    """Keys that can't be read, written or found."""


class DeadlineError(CouncilError):
    """No verdict came within the time that the asker gave."""


class Overloaded(CouncilError):
    """No room for one more question now. `retry_after_s`, a whole number of at least 1: when there may be."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(retry_after_s))


class RemoteError(CouncilError):
    """A council elsewhere that can't be reached, refuses the key, or is none."""


class GoingDown(CouncilError):
    """No question is taken any more: those at work are finished."""


class RetrievalError(CouncilError):
    """Passages that could not be stored or found."""


class EmbedderError(RetrievalError):
    """An embedding model that is missing, or not the published one."""


class StoreError(RetrievalError):
    """A store that can't be read or written."""


class StoreInUse(StoreError):
    """An embedded store that another process has open."""


class DocumentError(RetrievalError):
    """A document that can't be read."""
