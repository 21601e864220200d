"""What a job may raise. What is kept of anything it raises is decided by `common.described`."""

from common.described import MAX_MESSAGE as MAX_MESSAGE
from common.described import MAX_TRACE as MAX_TRACE
from common.described import WITHHELD as WITHHELD
from common.described import Described as Described
from common.described import chain as chain
from common.described import describe as describe


class JobError(Exception):
    """The base of this app's errors."""

    safe_message = True


class Permanent(JobError):
    """Trying again would not help: the job fails at once. The message must hold no user text."""


class ClaimLost(JobError):
    """Someone else has taken the job over, or it is gone: record nothing."""


class JobCancelled(JobError):
    """Someone has asked that this job end."""


class WorkerStopping(JobError):
    """This worker is being stopped: the job goes back and its attempt does not count."""


class NotFinished(JobError):
    """A handler returned without finishing, failing or giving back this job."""
