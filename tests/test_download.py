"""Downloads from a server of our own: resumed, checked, and each failure a sentence."""

import collections
import hashlib
import http.server
import threading

import numpy as np
import pytest

from datasets import download, prepare, prepared
from datasets.synthetic import matlab
from tests import small_slices

CONTENT = np.random.default_rng(0).bytes(1_000_000)
CUT = 300_000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what server.content has by path, in the way of server.manner."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers["Range"])
        if server.manner == "moved" and not self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"/moved{self.path}")
            self.end_headers()
            return
        if isinstance(server.manner, int):
            self.send_error(server.manner)
            return
        content = server.content[self.path.removeprefix("/moved")]
        asked, start = self.headers["Range"], 0
        if asked and server.manner != "no ranges":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start < len(content) else 416)
            self.send_header(
                "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
            )
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            body = body[:CUT]
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.content, running.manner = {"/a.zip": CONTENT}, ""
        running.cuts, running.asked = 0, []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


def file_at(server, content=CONTENT, name="a.zip"):
    url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
    return download.File(name, url, len(content), hashlib.md5(content).hexdigest())


def test_a_file_gets_its_name_once_it_is_whole(server, tmp_path):
    download.download([file_at(server)], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and server.asked == [None]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    download.download([file_at(server)], tmp_path)
    download.download([file_at(server)], tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("manner", ["", "moved"])
def test_a_broken_download_is_resumed_where_it_broke_off(server, tmp_path, manner):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:CUT])
    server.manner = manner
    download.download([file_at(server)], tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert set(server.asked) == {"bytes=300000-"}


def test_a_connection_that_breaks_off_is_taken_up_again(server, tmp_path):
    server.cuts = 3
    download.download([file_at(server)], tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [None, *(f"bytes={n}00000-" for n in (3, 6, 9))]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:CUT])
    server.manner = "no ranges"
    download.download([file_at(server)], tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and len(server.asked) == 1


def test_one_without_ranges_that_always_breaks_off_is_given_up(server, tmp_path):
    server.manner, server.cuts = "no ranges", 99
    said = "a.zip could not .*: the connection broke off. 300,000 of 1,000,000 bytes are in"
    with pytest.raises(download.DownloadFailed, match=said):
        download.download([file_at(server)], tmp_path)
    server.cuts = 0
    download.download([file_at(server)], tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_is_gone_is_said_to_be(server, tmp_path):
    server.server_close()
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:CUT])
    with pytest.raises(download.DownloadFailed, match="Connection refused") as caught:
        download.download([file_at(server)], tmp_path)
    for hint in (
        "a.zip could not be fetched",
        "300,000 of 1,000,000",
        "the same command",
    ):
        assert hint in str(caught.value)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:CUT]


@pytest.mark.parametrize(("answer", "times"), [(403, 1), (404, 1), (503, 3)])
def test_a_refusal_is_named(server, tmp_path, answer, times):
    server.manner = answer
    with pytest.raises(download.DownloadFailed, match=f"the server answered {answer} "):
        download.download([file_at(server)], tmp_path)
    assert len(server.asked) == times  # what will not change is not asked again


@pytest.mark.parametrize("status", [204, 200])
def test_what_there_is_outlives_an_answer_that_is_not_the_file(
    server, tmp_path, status
):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:CUT])
    if status == 204:
        server.manner = status
    else:  # a page in the place of the file
        server.manner, server.content["/a.zip"] = "no ranges", b"<html>"
    wanted = file_at(server)
    with pytest.raises(download.DownloadFailed, match=f"the server answered {status} "):
        download.download([wanted], tmp_path)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:CUT]


def test_another_file_than_the_published_is_named_and_deleted(server, tmp_path):
    server.content["/a.zip"] = CONTENT[::-1]
    said = "a.zip from .* is not the file that was published: its MD5 is .*, not .* deleted"
    with pytest.raises(download.DownloadFailed, match=said):
        download.download([file_at(server)], tmp_path)
    assert not [*tmp_path.iterdir()]
    server.content["/a.zip"] = CONTENT
    download.download([file_at(server)], tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_longer_file_than_the_published_is_not_fetched_whole(server, tmp_path):
    server.content["/a.zip"] = CONTENT * 5
    said = r"it has 1,[0-9]{3},[0-9]{3} bytes or more, not 1,000,000"
    with pytest.raises(download.DownloadFailed, match=said):
        download.download([file_at(server)], tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_shorter_file_than_the_published_is_not_waited_for(server, tmp_path):
    server.content["/a.zip"] = CONTENT[:CUT]
    with pytest.raises(download.DownloadFailed, match="a.zip could not be fetched"):
        download.download([file_at(server)], tmp_path)
    assert not (tmp_path / "a.zip").exists()


def test_too_little_space_is_refused_before_anything_is_fetched(
    server, tmp_path, monkeypatch
):
    usage = collections.namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(prepare.shutil, "disk_usage", lambda path: usage)
    # A million bytes, and 64 MiB to spare.
    with pytest.raises(
        prepare.NoSpace, match="1,000 bytes free; downloading.*68,108,864"
    ):
        download.download([file_at(server)], tmp_path)
    assert not server.asked


def test_a_disk_that_fills_up_keeps_what_there_is(server, tmp_path, monkeypatch):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:CUT])

    def fill(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_read", fill)
    with pytest.raises(prepare.NoSpace, match="became full .*give the command again"):
        download.download([file_at(server)], tmp_path)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:CUT]


def test_preparing_downloads_what_no_raw_dir_was_given_for(
    server, tmp_path, monkeypatch
):
    tree = small_slices.write_tree(tmp_path / "published", patients=3, name="10{}")
    matlab.write_folds(tree / "cvind.mat", [1, 2, 3, 1, 2, 3, *[4] * 3058])
    files = []
    for path in tree.iterdir():
        server.content[f"/{path.name}"] = path.read_bytes()
        files.append(file_at(server, path.read_bytes(), path.name))
    name = "figshare_brain_tumor/figshare"
    module, _ = prepare.find_builder(name)
    monkeypatch.setattr(module.Builder, "DOWNLOADS", files)
    server.manner = 503
    with pytest.raises(download.DownloadFailed):
        prepare.prepare(name, tmp_path / "data")
    server.manner = ""
    folder = prepare.prepare(name, tmp_path / "data")
    assert prepared.open_prepared(folder).info.metadata["slices"] == 6
    assert len([*(tmp_path / "data/raw/figshare_brain_tumor_figshare").iterdir()]) == 7


def test_published_files_are_told_by_size_and_md5():
    module, _ = prepare.find_builder("figshare_brain_tumor/figshare")
    assert [file.name[-4:] for file in module.Builder.DOWNLOADS] == [".zip"] * 4 + [
        ".mat"
    ]
    assert sum(file.size for file in module.Builder.DOWNLOADS) == 879_499_062
    for file in module.Builder.DOWNLOADS:
        assert file.url.startswith("https://") and len(file.md5) == 32
