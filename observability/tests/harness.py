"""What the tests share: child processes that never outlive them, HTTP, waiting with a limit, and a Verbatim to watch."""

import atexit
import ctypes
import http.client
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "observability"
BINARY = pathlib.Path(os.environ.get("VERBATIM_BINARY", ROOT / "target/debug/verbatim"))
# Between two looks at something that gives no signal.
POLL = 0.02
# How long anything that runs here may take to start, stop or answer. Generous: the machine may be busy.
LIMIT = 30.0

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def wait_until(what, condition, limit=LIMIT):
    """The first true value of `condition`; fails after `limit` seconds, saying `what` was waited for."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() - began > limit:
            raise AssertionError(f"waited {limit} s for: {what} (last: {value!r})")
        time.sleep(POLL)


def free_port():
    """Below the ports that outgoing connections get, so that none of them takes it before its server does."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def ask(method, url, body=None, headers=None, limit=LIMIT):
    """Status and body (parsed if it is JSON) of one HTTP request; a status of 0 if there is no connection."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=limit)
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        headers.setdefault("content-type", "application/json")
    try:
        connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def load(path):
    """A Python program whose name does not end in .py, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.parent.name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def _child():
    # A test that is killed takes its children along. (Blocked, ignored and so on stay as the test has them: with SIGXFSZ
    # ignored, as Python has it, a write past RLIMIT_FSIZE is an error and not the end of the process.)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A child process in the foreground, its output in a file."""

    def __init__(self, name, command, folder, environment=None, output=None):
        self.name, self.command, self.environment = name, [str(part) for part in command], environment or {}
        self.output = output or folder / f"{name}.out"
        self.folder, self.process = folder, None
        self.start()

    def start(self):
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_child,
                restore_signals=False,
            )

    def wait_until_ready(self, condition):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.said()[-2000:]}")
            return condition()

        wait_until(f"{self.name} is ready", is_ready)

    def stop(self, number=signal.SIGTERM):
        """Asks it to end, and waits until it has."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def said(self):
        return pathlib.Path(self.output).read_text(errors="replace")


class LogFile:
    """Takes what a process writes to a pipe into a file that can be rotated, as journald, Docker or a shell does."""

    def __init__(self, path):
        self.path, self.lock = pathlib.Path(path), threading.Lock()
        self.file = open(self.path, "ab", buffering=0)
        self.rotated, self.readers = 0, []

    def follow(self, pipe):
        def copy():
            with pipe:
                for line in pipe:
                    with self.lock:
                        self.file.write(line)

        reader = threading.Thread(target=copy, daemon=True)
        reader.start()
        self.readers.append(reader)

    def write(self, data):
        with self.lock:
            self.file.write(data)

    def rotate(self):
        """Moves the file aside as VERBATIM_LOG_FILE and logrotate do, .1 to .2 and so on, and goes on in a new one."""
        with self.lock:
            for number in range(self.rotated, 0, -1):
                pathlib.Path(f"{self.path}.{number}").rename(f"{self.path}.{number + 1}")
            self.path.rename(f"{self.path}.1")
            self.rotated += 1
            self.file.close()
            self.file = open(self.path, "ab", buffering=0)

    def close(self):
        for reader in self.readers:
            reader.join(LIMIT)
        self.file.close()

    def lines(self):
        return lines_of(self.path)


def lines_of(path):
    """All lines of a log file and of what was put aside from it, the oldest first, without their line feeds."""
    aside = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: int(file.suffix[1:]), reverse=True)
    return [line for file in [*aside, path] for line in file.read_bytes().split(b"\n") if line]


class Verbatim:
    """The real server in embedded mode, with its log in a `LogFile` or nowhere."""

    def __init__(self, folder, log=None, environment=None):
        self.data, self.log, self.port, self.process = folder / "data", log, free_port(), None
        self.environment = environment or {}
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.log else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            preexec_fn=_child,
            restore_signals=False,
        )
        if self.log:
            self.log.follow(self.process.stdout)
        wait_until("Verbatim answers", self._is_ready)

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{BINARY} ended with {self.process.returncode}")
        return ask("GET", f"{self.url}/health/ready")[0] == 200

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(LIMIT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def fill_disk(self):
        """From now on it can write to no file: each write fails as on a full disk. (A pipe still takes its log.)"""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def make_room(self):
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

    def call(self, method, path, body=None, token=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers["authorization"] = f"Bearer {token}"
        return ask(method, f"{self.url}/api/v1{path}", body, headers)

    def member(self, name):
        """Registers a member and logs in; the access token."""
        account = {"email": f"{name}@example.org", "password": "correct horse battery staple"}
        self.expect(201, "POST", "/members", {**account, "display_name": name})
        return self.expect(200, "POST", "/auth/login", account)["access_token"]

    def expect(self, status, method, path, body=None, token=None, **headers):
        answer = self.call(method, path, body, token, **headers)
        if answer[0] != status:
            raise AssertionError(f"{method} {path}: {answer}, not {status}")
        return answer[1]


class Folder:
    """A temporary folder with everything that was started in it; `close` ends and removes it all. What is open when the
    tests end, or are asked to, is closed then."""

    _open = []

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="verbatim-stack-"))
        # nginx's worker, which is another user when root runs the tests, has its temporary files below it.
        self.path.chmod(0o755)
        self.started = []
        self._open.append(self)

    def add(self, thing):
        self.started.append(thing)
        return thing

    def close(self):
        while self.started:
            self.started.pop().kill()
        shutil.rmtree(self.path, ignore_errors=True)
        if self in self._open:
            self._open.remove(self)

    @classmethod
    def close_all(cls):
        while cls._open:
            cls._open[-1].close()


def _end(*_):
    Folder.close_all()
    # Not by an exception: unittest would take it for a failed test, and go on with the next.
    os._exit(1)


atexit.register(Folder.close_all)
signal.signal(signal.SIGTERM, _end)
