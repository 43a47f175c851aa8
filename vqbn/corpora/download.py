"""Downloads that go on where they stopped, and archives that are unpacked whole or not at all."""

import contextlib
import gzip
import http.client
import logging
import os
import ssl
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

from vqbn.errors import InputError
from vqbn.jobs import progress

logger = logging.getLogger(__name__)

BLOCK = 1 << 20
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def download(url: str, target: str | Path, retries: int = 5, wait: float = 2.0, timeout: float = 60.0) -> Path:
    """Fetch `url` into the file `target`, which appears only when all of it is there.

    What has arrived is kept in `<target>.part`, and a later call, or the next attempt after a cut connection, asks for
    the rest only. A file that is there already is not fetched again.

    Args:
        url: an http or https address.
        target: the file to make.
        retries: attempts in a row that may bring nothing new.
        wait: seconds before the second attempt; doubled for each further one.
        timeout: seconds without data after which a connection counts as cut.

    Returns:
        `target`.

    Raises:
        InputError: the address does not exist, the server refuses, or it stays unreachable.
        OSError: the file can't be written; what has arrived is kept.
    """
    target = Path(target)
    if target.exists():
        logger.info("%s: is there already", target)
        return target
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: expected an address that begins with https:// or http://")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    most = _size(part)
    idle = 0
    while True:
        try:
            if _fetch_rest(url, part, timeout):
                os.replace(part, target)
                return target
            problem = "the connection was cut"
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code} {error.reason}"
            if error.code not in TRY_AGAIN:
                raise InputError(f"{url}: {problem}: check the address, or fetch {target.name} another way") from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            problem = f"no connection ({getattr(error, 'reason', '') or error})"
        idle = 0 if _size(part) > most else idle + 1
        most = max(most, _size(part))
        if idle >= retries:
            raise InputError(
                f"{url}: {problem}: check the network and run the same command again "
                f"({_size(part)} bytes are kept in {part}), or fetch {target.name} another way"
            )
        logger.warning("%s: %s; trying again", url, problem)
        time.sleep(wait * 2**idle)


def _fetch_rest(url: str, part: Path, timeout: float) -> bool:
    """Append what is missing to `part`; say whether the file is whole now."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing lies beyond what is here: either it is all there is, or it belongs to another file.
        if error.headers.get("Content-Range", "") == f"bytes */{have}":
            return True
        part.unlink()
        return False
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        with _naming(part), part.open("ab" if resumed else "wb") as file:
            for block in progress(_blocks(response), _count(length), f"fetching {part.stem} (MiB)"):
                file.write(block)
    return length is None or _size(part) == start + int(length)


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body, until it ends or the connection breaks."""
    while True:
        try:
            block = response.read(BLOCK)
        except http.client.IncompleteRead as error:
            yield error.partial
            raise ConnectionError("the connection was cut") from error
        if not block:
            return
        yield block


def _size(file: Path) -> int:
    """Bytes in a file; 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def _count(length: str | None) -> int | None:
    """Blocks in a body of that many bytes, where the server says how many there are."""
    return None if length is None else -(-int(length) // BLOCK)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Give an error that names no file, such as a full disk's, the name of what is being written."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def unpack(archive: str | Path, target: str | Path, inside: str) -> Path:
    """Unpack the folder `inside` of a .tar.gz archive as the folder `target`, which appears only when it is whole.

    Args:
        archive: a tar file, compressed with gzip.
        target: the folder to make; it must not exist.
        inside: the one folder at the archive's top.

    Returns:
        `target`.

    Raises:
        InputError: the archive is damaged, cut short or unsafe, or has no such folder.
        OSError: it can't be written, the disk is full; nothing is left behind.
    """
    archive, target = Path(archive), Path(target)
    advice = "remove it and run the same command again"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as folder:
        try:
            with _naming(target), gzip.open(archive) as stream, tarfile.open(fileobj=stream) as file:
                members = progress(iter(file), None, f"unpacking {archive.name} (files)")
                file.extractall(folder, members=members, filter="data")
                while stream.read(BLOCK):  # the checksum is at the very end, beyond what tarfile reads
                    pass
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise InputError(f"{archive}: damaged, cut short or unsafe ({error}): {advice}") from error
        if not Path(folder, inside).is_dir():
            found = ", ".join(sorted(path.name for path in Path(folder).iterdir())[:5]) or "nothing"
            raise InputError(f"{archive}: has no folder {inside}, but {found}: {advice}")
        os.replace(Path(folder, inside), target)
    return target
