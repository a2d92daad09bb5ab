"""Public files over HTTP(S): resumed after an interruption, verified, never left half written.

`download` brings one file, `unpack` extracts members of an archive. Both are independent of the
files' content.
"""

from escalometer.cases.downloads.archives import unpack
from escalometer.cases.downloads.transfer import download

__all__ = ["download", "unpack"]
