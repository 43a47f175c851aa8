"""Downloads against a server on loopback that cuts connections, forgets files and refuses ranges."""

import errno
import http.server
import io
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from vqbn.corpora import download as module
from vqbn.corpora.download import download, unpack
from vqbn.errors import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at any path; attributes say how badly."""

    daemon_threads = True
    cuts = ()  # after so many bytes the connection breaks, one number per request
    ranges = True
    chunked = False
    statuses = ()  # answers before the real ones

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/corpus.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        number = len(server.requests)
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        if number < len(server.statuses):
            self.send_error(server.statuses[number])
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = CONTENT[start:]
        self.send_response(206 if wanted and server.ranges else 200)
        if wanted and server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        cut = number - len(server.statuses) < len(server.cuts)
        sent = body[: server.cuts[number - len(server.statuses)]] if cut else body
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for begin in range(0, len(sent), 10_000):
                chunk = sent[begin : begin + 10_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"" if cut else b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(sent)
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_arrives_whole_and_is_not_fetched_twice(server, tmp_path):
    for _ in range(2):
        assert download(server.url, tmp_path / "deep/file").read_bytes() == CONTENT
    assert server.requests == [None]
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["file"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_connection_goes_on_where_it_broke(server, tmp_path, chunked):
    server.cuts, server.chunked = (100_000, 50_000), chunked
    assert download(server.url, tmp_path / "file", wait=0).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_run_goes_on_with_what_the_first_one_got(server, tmp_path):
    server.cuts = (70_000, 0, 0)
    with pytest.raises(InputError, match=rf"cut: check the network and run .* \(70000 bytes are kept in {tmp_path}"):
        download(server.url, tmp_path / "file", retries=2, wait=0)
    assert not (tmp_path / "file").exists()
    server.cuts = ()
    assert download(server.url, tmp_path / "file", wait=0).read_bytes() == CONTENT
    assert server.requests[-1] == "bytes=70000-"


def test_a_server_without_ranges_is_asked_from_the_start(server, tmp_path):
    server.cuts, server.ranges = (100_000,), False
    assert download(server.url, tmp_path / "file", wait=0).read_bytes() == CONTENT


def test_a_part_that_is_all_there_is_taken(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "file", wait=0).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    assert download(server.url, tmp_path / "file", wait=0).read_bytes() == CONTENT


def test_an_overloaded_server_is_asked_again(server, tmp_path):
    server.statuses = (503, 500)
    assert download(server.url, tmp_path / "file", wait=0).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404])
def test_a_missing_file_ends_at_once(server, tmp_path, status):
    server.statuses = (status,) * 9
    with pytest.raises(InputError, match=rf"corpus.tar.gz: the server answers {status} .*: check the address"):
        download(server.url, tmp_path / "file", wait=0)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_message(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=r"no connection \(.*refused\): check the network and run the same command"):
        download(server.url, tmp_path / "file", retries=2, wait=0)


def test_only_web_addresses_are_taken(tmp_path):
    with pytest.raises(InputError, match="file:///etc/passwd: expected an address that begins with https"):
        download("file:///etc/passwd", tmp_path / "file")


def test_a_full_disk_names_the_file_and_keeps_nothing_whole(server, tmp_path, monkeypatch):
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        download(server.url, tmp_path / "file", wait=0)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "file.part")
    assert not (tmp_path / "file").exists()


def archive(path: Path, entries: dict[str, bytes | tarfile.TarInfo]) -> Path:
    """A .tar.gz with those files."""
    with tarfile.open(path, "w:gz") as file:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                file.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def test_the_folder_inside_becomes_the_target(tmp_path):
    unpack(archive(tmp_path / "a.tar.gz", {"top/a/b.txt": b"hello", "README": b""}), tmp_path / "out", "top")
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"hello"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tar.gz", "out"]


@pytest.mark.parametrize("damage", ["cut", "not an archive", "flipped bytes", "other folder", "climbs out", "link"])
def test_a_bad_archive_is_refused_and_leaves_nothing(tmp_path, damage):
    entries = {"top/a.bin": CONTENT}
    if damage == "other folder":
        entries = {"bottom/a.txt": b"x"}
    elif damage == "climbs out":
        entries["../../escaped.txt"] = b"x"
    elif damage == "link":
        entries["top/link"] = link("top/link", "/etc/passwd")
    file = archive(tmp_path / "a.tar.gz", entries)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:150_000])
    elif damage == "not an archive":
        file.write_bytes(b"<html>busy</html>")
    elif damage == "flipped bytes":
        content = bytearray(file.read_bytes())
        content[200_000:200_100] = bytes(100)
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"a.tar.gz: .*: remove it and run the same command again"):
        unpack(file, tmp_path / "out", "top")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]
    assert not (tmp_path.parent / "escaped.txt").exists()


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing_half_made(tmp_path, monkeypatch):
    def full(source, target, *_, **__):
        target.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    file = archive(tmp_path / "a.tar.gz", {"top/a.bin": CONTENT})
    monkeypatch.setattr(module.tarfile, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left") as caught:
        unpack(file, tmp_path / "out", "top")
    assert caught.value.filename == str(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]
