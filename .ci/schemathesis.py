"""Lets schemathesis test a running `verbatim serve` against the OpenAPI document that it publishes.

Starts the debug build on a free port with a data folder of its own, registers a member and a room over REST, runs
`schemathesis run` with that member's token (settings: schemathesis.toml beside this file), stops the server with
SIGTERM, and passes only if all of it went well: no failed check, no panic in the server's log, exit code 0.

Usage: schemathesis.py TARGET_DIR
Leaves server.log, junit.xml and the settings used in TARGET_DIR/schemathesis.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

READY_WITHIN = 60  # seconds, for a debug build on a busy two-core machine
RUN_WITHIN = 600  # seconds; a run takes about 60
STOP_WITHIN = 30  # seconds from SIGTERM to exit
HERE = pathlib.Path(__file__).resolve().parent


class Failure(Exception):
    """Something that fails the suite; its text is all that a reader needs."""


def free_port() -> int:
    """A port that nothing listens on at the moment. The kernel gives it to no one else soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(method: str, url: str, body: object = None, token: str | None = None) -> tuple[int, bytes]:
    """One HTTP request with a JSON body; answers the status and the body, for errors too."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def expect(status: int, method: str, url: str, body: object, token: str | None = None) -> dict:
    """The same, where any other status than `status` fails the suite."""
    got, answer = call(method, url, body, token)
    if got != status:
        raise Failure(f"{method} {url} answered {got} instead of {status}: {answer[:500]!r}")
    return json.loads(answer)


def wait_until_ready(server: subprocess.Popen, base: str) -> None:
    """Returns once /health/ready answers 200; a server that exits before fails at once."""
    deadline = time.monotonic() + READY_WITHIN
    last = "no connection"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Failure(f"the server exited with code {server.returncode} before it was ready")
        try:
            status, answer = call("GET", f"{base}/health/ready")
            if status == 200:
                return
            last = f"{status} {answer[:300]!r}"
        except OSError as error:
            last = str(error)
        time.sleep(0.1)
    raise Failure(f"the server was not ready within {READY_WITHIN} s; last answer: {last}")


def sign_up(base: str) -> dict[str, str]:
    """Registers a member who owns a room with a message in it; answers the settings' variables."""
    api = f"{base}/api/v1"
    account = {"email": "schemathesis@example.com", "password": "a long enough passphrase"}
    expect(201, "POST", f"{api}/members", {**account, "display_name": "Schemathesis"})
    token = expect(200, "POST", f"{api}/auth/login", account)["access_token"]
    room = expect(201, "POST", f"{api}/rooms", {"name": "schemathesis"}, token)["room_id"]
    expect(201, "POST", f"{api}/rooms/{room}/messages", {"body": "hello"}, token)
    return {"VERBATIM_TOKEN": token, "VERBATIM_ROOM_ID": room}


def run_schemathesis(base: str, variables: dict[str, str], reports: pathlib.Path) -> None:
    # schemathesis fills in variables itself, but not in dictionaries; and the token is not to be written to a file.
    settings = (HERE / "schemathesis.toml").read_text()
    config = reports / "schemathesis.toml"
    config.write_text(settings.replace("${VERBATIM_ROOM_ID}", variables["VERBATIM_ROOM_ID"]))
    command = [
        sys.executable, "-m", "schemathesis.cli",
        "--config-file", str(config),
        "run", f"{base}/openapi.json",
        "--report-junit-path", str(reports / "junit.xml"),
    ]  # fmt: skip
    try:
        code = subprocess.run(command, env={**os.environ, **variables}, timeout=RUN_WITHIN).returncode
    except subprocess.TimeoutExpired:
        raise Failure(f"schemathesis did not finish within {RUN_WITHIN} s") from None
    if code != 0:
        raise Failure(f"schemathesis found failures (exit code {code})")


def stop(server: subprocess.Popen) -> None:
    """SIGTERM, as an operator would; anything but a prompt exit with 0 fails the suite."""
    if server.poll() is not None:
        raise Failure(f"the server died during the run, with code {server.returncode}")
    server.send_signal(signal.SIGTERM)
    try:
        code = server.wait(timeout=STOP_WITHIN)
    except subprocess.TimeoutExpired:
        raise Failure(f"the server did not stop within {STOP_WITHIN} s of SIGTERM") from None
    if code != 0:
        raise Failure(f"the server exited with {code} instead of 0 after SIGTERM")


def main() -> None:
    target = pathlib.Path(sys.argv[1]).resolve()
    binary = target / "debug" / "verbatim"
    if not binary.exists():
        raise Failure(f"{binary} is missing; `cargo build --workspace --all-targets` builds it")
    reports = target / "schemathesis"
    reports.mkdir(parents=True, exist_ok=True)
    log = reports / "server.log"
    base = f"http://127.0.0.1:{free_port()}"
    # Settings of the person at the keyboard must not change what is tested.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}

    with tempfile.TemporaryDirectory(prefix="verbatim-schemathesis-") as data, log.open("wb") as output:
        server = subprocess.Popen(
            [binary, "serve", "--listen", base.removeprefix("http://"), "--data", data],
            cwd=data, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until_ready(server, base)
            run_schemathesis(base, sign_up(base), reports)
            stop(server)
        except (Failure, OSError, ValueError, KeyError) as failure:
            tail = log.read_text(errors="replace").splitlines()[-40:]
            print(f"\nlast lines of {log}:", *tail, sep="\n  ", file=sys.stderr)
            raise Failure(failure) from failure
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()

    panics = [line for line in log.read_text(errors="replace").splitlines() if "panicked at" in line]
    if panics:
        raise Failure(f"the server panicked, see {log}: {panics[0][:300]}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"\nERROR: {failure}")
