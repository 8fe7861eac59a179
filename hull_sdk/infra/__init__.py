"""What a connector needs beside the protocol: cache, rate limits, queue, batcher, instrumentation and clock."""

from __future__ import annotations

from hull_sdk.core.clock import Clock, parse_time
from hull_sdk.infra.batcher import Batcher
from hull_sdk.infra.cache import Cache
from hull_sdk.infra.instrumentation import Instrumentation, Metric, RecordingInstrumentation
from hull_sdk.infra.queues import Job, MemoryQueue, Queue
from hull_sdk.infra.rate_limit import RateLimit
from hull_sdk.infra.redis_cache import RedisCache
from hull_sdk.infra.rq_queue import RQQueue

__all__ = [
    "Batcher",
    "Cache",
    "Clock",
    "Instrumentation",
    "Job",
    "MemoryQueue",
    "Metric",
    "Queue",
    "RQQueue",
    "RateLimit",
    "RecordingInstrumentation",
    "RedisCache",
    "parse_time",
]
