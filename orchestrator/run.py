from orchestrator.api import *  # noqa
from orchestrator.api import LoadedPlan, RunOptions, RunResult, load_plan, rehearse, resume, run  # noqa
