"""What ``hull doctor`` does: it attacks a running connector and says what has to be mended.

It plays an organization that the connector's owner allows for the run, and a host that nobody allowed, and speaks to
the connector over HTTP alone, in whatever language that is written. It never attacks what it was not let in by.
"""

from hull_sdk.doctor.examination import CHECKS, Options, examine
from hull_sdk.doctor.findings import Examination, Finding

__all__ = ["CHECKS", "Examination", "Finding", "Options", "examine"]
