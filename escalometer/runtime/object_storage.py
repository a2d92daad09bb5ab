"""Tables on S3-compatible object storage: the only door to it, with s3fs.

Endpoint, region and credentials are those of AWS's own tools: botocore reads AWS_ENDPOINT_URL,
AWS_PROFILE, AWS_ACCESS_KEY_ID and the files in ~/.aws. Messages name settings, never their values.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias, cast

from escalometer.errors import EscalometerError, Outage, UsageError
from escalometer.runtime import extras

SCHEME = "s3://"

#: Bytes of a part of an upload, and of a block that is read ahead; S3 allows 10,000 parts.
_PART, _MOST_PARTS = 16 << 20, 9_000

_FULL = {
    *(
        "QuotaExceeded",
        "InsufficientStorage",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
    ),
    *("EntityTooLarge", "507", "413"),
}
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled"}
_BUSY = {
    *("500", "502", "503", "504", "InternalError", "ServiceUnavailable", "SlowDown"),
    *("RequestTimeout", "Throttling"),
}
_CREDENTIALS = {
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID is unknown there",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
    "InvalidToken": "AWS_SESSION_TOKEN is not valid",
    "InvalidClientTokenId": "AWS_ACCESS_KEY_ID is unknown there",
    "ExpiredToken": "AWS_SESSION_TOKEN has expired",
    "ExpiredTokenException": "AWS_SESSION_TOKEN has expired",
    "AuthFailure": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not accepted",
    "401": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not accepted",
}


@dataclass(frozen=True)
class S3Address:
    """An object, or a folder of objects, on object storage.

    Attributes
    ----------
    bucket : str
    key : str
        The object's key; of a folder, it is empty or ends with a slash.
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that a text states, as s3://BUCKET/KEY.

        Raises
        ------
        UsageError
            If it has no bucket.
        """
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not bucket:
            raise UsageError(f"{text!r} is not an address on object storage: s3://BUCKET/KEY")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def path(self) -> str:
        """The address as s3fs takes it."""
        return f"{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.key.rstrip("/").rpartition("/")[2] or self.bucket

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return "" if self.is_folder else Path(self.name).suffix

    @property
    def is_folder(self) -> bool:
        """Whether all objects below the address are meant."""
        return not self.key or self.key.endswith("/")

    def child(self, key: str) -> S3Address:
        """Return the address of an object in this folder."""
        folder = self.key if self.is_folder else f"{self.key}/"
        return S3Address(self.bucket, folder + key)


Location: TypeAlias = Path | S3Address


def is_address(text: str) -> bool:
    """Return whether a text is an address on object storage."""
    return text.startswith(SCHEME)


def location(text: str | Path) -> Location:
    """Return the address that a text states, or the path."""
    return S3Address.parse(text) if isinstance(text, str) and is_address(text) else Path(text)


@contextlib.contextmanager
def opened(address: S3Address) -> Iterator[BinaryIO]:
    """Yield an object to read while the block runs; parts of it are read as they are needed.

    Raises
    ------
    UsageError
        If there is no such object, or credentials do not allow it.
    Outage
        If the storage cannot be reached.
    """
    storage = _storage(address)
    with _named(storage, address, "read"):
        stream = storage.open(address.path, "rb", block_size=_PART, cache_type="readahead")
    try:
        yield cast(BinaryIO, io.BufferedReader(_Reader(stream, storage, address), 1 << 20))
    finally:
        stream.close()


def objects(folder: S3Address, ending: str) -> list[S3Address]:
    """Return the objects in a folder and below whose names have an ending, in order.

    Names that begin with a dot or an underscore are left out, as are folders of such names: other
    programs keep their records and unfinished parts there.

    Raises
    ------
    UsageError, Outage
        As `opened`; also if there is no such object.
    """
    storage = _storage(folder)
    with _named(storage, folder, "list"):
        paths = sorted(storage.find(folder.path))
    found = [S3Address(folder.bucket, path.partition("/")[2]) for path in paths]
    found = [
        address
        for address in found
        if address.key.lower().endswith(ending)
        and not any(
            part.startswith((".", "_")) for part in address.key[len(folder.key) :].split("/")
        )
    ]
    if not found:
        with _named(storage, folder, "list"):
            storage.call_s3("head_bucket", Bucket=folder.bucket)
        raise UsageError(f"{folder} has no object whose name ends in {ending}")
    return found


def check_bucket(address: S3Address) -> None:
    """Refuse an address to write to that has no bucket, or for which there are no credentials.

    Whether objects may be written is not known before: a role may write that may not list.

    Raises
    ------
    UsageError, Outage
        As `opened`.
    """
    storage = _storage(address)
    try:
        with _named(storage, address, "write"):
            storage.call_s3("head_bucket", Bucket=address.bucket)
    except _Denied:
        return


def upload(files: Mapping[S3Address, Path]) -> None:
    """Write files to object storage: all of them, or none where an upload fails.

    Every object appears once all of them have been transferred; an upload that fails or is
    interrupted is aborted, so that no part of it is stored.

    Raises
    ------
    UsageError
        If credentials do not allow it, there is no such bucket, or there is no room.
    Outage
        If the storage cannot be reached.
    """
    begun: list[_Upload] = []
    try:
        for address, file in files.items():
            begun.append(_Upload(address))
            begun[-1].send(file)
        for one in begun:
            one.complete()
    except BaseException:
        for one in begun:
            one.abort()
        raise


class _Upload:
    """An object that is written in parts, and exists once it is complete."""

    def __init__(self, address: S3Address) -> None:
        self._address = address
        self._storage = _storage(address)
        self._id = str(self._call("create_multipart_upload")["UploadId"])
        self._parts: list[dict[str, Any]] = []
        self._is_open = True

    def send(self, file: Path) -> None:
        size = max(_PART, math.ceil(file.stat().st_size / _MOST_PARTS))
        with file.open("rb") as source:
            for number, part in enumerate(iter(lambda: source.read(size), b""), 1):
                sent = self._call("upload_part", UploadId=self._id, PartNumber=number, Body=part)
                self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def complete(self) -> None:
        parts = {"Parts": self._parts}
        self._call("complete_multipart_upload", UploadId=self._id, MultipartUpload=parts)
        self._is_open = False

    def abort(self) -> None:
        if self._is_open:
            # The first error is the one to report; a bucket's lifecycle removes what is left.
            with contextlib.suppress(EscalometerError):
                self._call("abort_multipart_upload", UploadId=self._id)

    def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        with _named(self._storage, self._address, "write"):
            found: Mapping[str, Any] = self._storage.call_s3(
                method, Bucket=self._address.bucket, Key=self._address.key, **arguments
            )
            return found


class _Reader(io.RawIOBase):
    """An object as a file, whose errors are ours."""

    def __init__(self, stream: Any, storage: Any, address: S3Address) -> None:
        self._stream, self._storage, self._address = stream, storage, address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        with _named(self._storage, self._address, "read"):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Denied(UsageError):
    """Credentials without the permission."""


def _storage(address: S3Address) -> Any:
    """Return the client.

    Raises
    ------
    MissingExtra
        With the command that installs the extra.
    """
    with extras.named(f"{address}: object storage"):
        import s3fs

    storage = s3fs.S3FileSystem(
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"total_max_attempts": 3, "mode": "standard"},
        },
    )
    storage.retries = 2  # botocore has tried again already
    return storage


@contextlib.contextmanager
def _named(storage: Any, address: S3Address, action: str) -> Iterator[None]:
    """Turn what botocore and s3fs raise into an error that says what to do."""
    import botocore.exceptions

    known = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
    raised = (*known, OSError, ValueError)  # ValueError: the endpoint is no URL
    try:
        yield
    except raised as error:
        chain = list(_chain(error))
        for link in chain:
            if isinstance(link, botocore.exceptions.ClientError):
                raise _refused(link, storage, address, action) from error
        for link in chain:
            if isinstance(link, botocore.exceptions.BotoCoreError):
                raise _unsent(link, address) from error
        if isinstance(error, ValueError):
            raise _misconfigured(error, address) from error
        if isinstance(error, FileNotFoundError):
            raise _absent(storage, address, action) from error
        if isinstance(error, PermissionError):
            raise _denied(address, action) from error
        raise Outage(
            f"{address}: the object storage did not answer ({type(error).__name__}); try again"
        ) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refused(error: Any, storage: Any, address: S3Address, action: str) -> EscalometerError:
    """Return the error for an answer of the storage; its own words may contain keys."""
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    if code in _CREDENTIALS:
        return UsageError(
            f"{address}: the object storage refuses the credentials: {_CREDENTIALS[code]}"
        )
    if code == "NoSuchBucket":
        return _no_bucket(address)
    if _FULL & {code, status}:
        return UsageError(
            f"{address} cannot be written: the object storage is full or its quota is used up "
            f"({code}); nothing was written there"
        )
    if code in _DENIED or status == "403":
        return _denied(address, action)
    if code in _ABSENT:
        return _absent(storage, address, action)
    if code in _BUSY or status.startswith("5"):
        return Outage(f"{address}: the object storage failed ({code}); try again later")
    return UsageError(f"{address}: the object storage refused to {action} it ({code})")


def _unsent(error: Any, address: S3Address) -> EscalometerError:
    """Return the error for a request that was not sent, or not answered."""
    import botocore.exceptions as known

    if isinstance(error, known.PartialCredentialsError):
        missing = str(error.kwargs.get("cred_var", "a part of them")).upper()
        return UsageError(f"{address}: incomplete credentials for object storage: set {missing}")
    if isinstance(error, known.ProfileNotFound):
        name = error.kwargs.get("profile", "")
        return UsageError(
            f"{address}: AWS_PROFILE is {str(name)!r}, and neither ~/.aws/config nor "
            "~/.aws/credentials has that profile"
        )
    if isinstance(error, known.NoCredentialsError | known.CredentialRetrievalError):
        return UsageError(
            f"{address}: no credentials for object storage: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if isinstance(error, known.HTTPClientError | known.ConnectionError):
        return Outage(
            f"{address}: the object storage cannot be reached; check the network, and the endpoint "
            "in AWS_ENDPOINT_URL"
        )
    if isinstance(error, known.ParamValidationError):
        return UsageError(f"{address} is not a valid address on object storage")
    return _misconfigured(error, address)


def _misconfigured(error: Exception, address: S3Address) -> UsageError:
    return UsageError(
        f"{address}: the settings of object storage are not valid ({type(error).__name__}); check "
        "AWS_ENDPOINT_URL, AWS_REGION and ~/.aws/config"
    )


def _absent(storage: Any, address: S3Address, action: str) -> EscalometerError:
    """Return the error for what does not exist: the bucket, or the object in it."""
    if not address.key:
        return _no_bucket(address)
    try:
        # Without a key, what is absent is the bucket.
        with _named(storage, S3Address(address.bucket, ""), action):
            storage.call_s3("head_bucket", Bucket=address.bucket)
    except _Denied:
        pass
    except UsageError:
        return _no_bucket(address)
    except EscalometerError as error:
        return error
    return UsageError(f"{address} does not exist")


def _no_bucket(address: S3Address) -> UsageError:
    return UsageError(f"{address}: there is no bucket {address.bucket!r} at this endpoint")


def _denied(address: S3Address, action: str) -> _Denied:
    needed = {"read": "s3:GetObject", "list": "s3:ListBucket", "write": "s3:PutObject"}[action]
    return _Denied(
        f"{address}: no permission to {action} it; the credentials need {needed} for this address"
    )
