"""Public files over HTTP(S): resumed where they broke off, verified, never half there.

`download` brings one file, `unpack` takes members out of an archive. Nothing here knows what the
files are for.
"""

from escalometer.cases.downloads.archives import unpack
from escalometer.cases.downloads.transfer import download

__all__ = ["download", "unpack"]
