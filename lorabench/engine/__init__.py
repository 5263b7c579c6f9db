"""Who uses the model, and when: one owner thread, a queue with priorities, remembered scores, jobs.

    Engine       requests in, tickets out; one thread alone touches the model
    ScoreStore   answers computed once, kept on disk
    JobManager   long work with a name, progress, cancel, and a life after restarts

There is no torch here: a model is whatever keeps the `Model` protocol, and what a job does
is handed in from above.
"""

from lorabench.engine.job_context import JobContext
from lorabench.engine.job_table import Job, JobStatus
from lorabench.engine.jobs import JobManager, Runner
from lorabench.engine.owner import Engine
from lorabench.engine.protocol import Model
from lorabench.engine.status import EngineStatus
from lorabench.engine.store import ENGINE_VERSION, ScoreStore, score_key
from lorabench.engine.tickets import Priority, Progress, Ticket

__all__ = [
    "ENGINE_VERSION",
    "Engine",
    "EngineStatus",
    "Job",
    "JobContext",
    "JobManager",
    "JobStatus",
    "Model",
    "Priority",
    "Progress",
    "Runner",
    "ScoreStore",
    "Ticket",
    "score_key",
]
