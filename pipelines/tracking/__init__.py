"""MLflow as a mirror of what DVC keeps: live curves while a network trains, and every state of the pipeline afterwards.

Only `store`, `package` and `served` import mlflow, when they are needed. It is written from files and can be deleted
without loss.
"""

from pipelines.tracking.live import LiveRun as LiveRun
from pipelines.tracking.records import curve_name as curve_name
