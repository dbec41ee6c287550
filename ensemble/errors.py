"""The exception tree. Every one of them survives pickling, so it can come home from a worker.

    EnsembleError                 exit 1   an error of ours
    ├── UsageError                exit 2   bad option, bad configuration; nothing was started
    │   └── DataError             exit 2   bad data; names the row and the column
    ├── RunError                  exit 2   a run directory that cannot be used: damaged, missing, held, different
    ├── DiskError                 exit 1   a write was refused; everything committed is safe and the run can be resumed
    ├── TooFewMembersError        exit 4   fewer members than --min-members survived
    └── ClusterLostError          exit 5   the cluster went away; the run can be resumed

A message says what was wrong, the value that was received, where the evidence lies and what to do next.
"""


class EnsembleError(Exception):
    """Root of all errors raised on purpose."""

    exit_code = 1


class UsageError(EnsembleError):
    """What was asked for cannot be done; nothing was started or written."""

    exit_code = 2


class DataError(UsageError):
    """The data cannot be used; the message names the first offending row and column."""


class RunError(EnsembleError):
    """A run directory that is missing, damaged, held by another process or made from something else."""

    exit_code = 2


class DiskError(EnsembleError):
    """The disk refused a write, or could not make it durable; what was committed before is intact."""


class TooFewMembersError(EnsembleError):
    """Fewer members finished than ``--min-members`` asks for."""

    exit_code = 4


class ClusterLostError(EnsembleError):
    """The workers went away all together; everything committed is safe and the run can be resumed."""

    exit_code = 5
