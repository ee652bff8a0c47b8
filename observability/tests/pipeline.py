"""The log pipeline for tests: rsyslog and its guard with the real configuration, Elasticsearch played by osmem-server
with the real templates, and between guard and Elasticsearch a receiver that can be told to fail."""

import http.server
import json
import shutil
import subprocess
import threading

import osmem_server

from harness import LIMIT, OBSERVABILITY, Folder, Server, ask, free_port, wait_until

ELK = OBSERVABILITY / "elk"
LOGS, DEAD_LETTERS = "verbatim-logs-*", "verbatim-dead-letters"
# More than any test here writes; osmem-server answers no larger page.
PAGE = 10_000


class Receiver:
    """Passes requests on to Elasticsearch, or fails in the way that `mode` says:

    `pass`; `refuse` hangs up at once; `lose_answer` passes the request on and then hangs up; `unavailable` answers 503 with
    a JSON body, as Elasticsearch without a master does; `gateway` answers 502 with a page of text; `reject` answers 200
    with a 429 for every document; `hang` never answers."""

    def __init__(self, upstream):
        self.upstream, self.mode, self.failed, self.passed = upstream, "pass", 0, 0
        receiver, self.thawed = self, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                mode = receiver.mode
                if mode != "pass" and (self.command == "POST" or receiver.failed):
                    receiver.failed += 1
                if mode == "refuse":
                    self.close_connection = True
                elif mode == "hang":
                    receiver.thawed.wait(LIMIT)
                    self.close_connection = True
                elif mode == "unavailable":
                    self.reply(503, b'{"error":{"type":"cluster_block_exception"},"status":503}')
                elif mode == "gateway":
                    self.reply(502, b"<h1>Bad gateway</h1>", "text/html")
                elif mode == "reject" and self.path.endswith("/_bulk"):
                    heads = [json.loads(line)["create"] for line in body.splitlines()[::2]]
                    error = {"type": "es_rejected_execution_exception", "reason": "queue full"}
                    items = [{"create": {**head, "status": 429, "error": error}} for head in heads]
                    self.reply(200, json.dumps({"took": 1, "errors": True, "items": items}).encode())
                else:
                    status, answer = ask(self.command, receiver.upstream + self.path, body or None,
                                         {"content-type": self.headers.get("content-type", "application/json")})
                    if mode == "lose_answer" or status == 0:
                        self.close_connection = True
                    else:
                        receiver.passed += self.command == "POST"
                        self.reply(status, answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

            do_GET = do_POST = handle_one

            def reply(self, status, body, kind="application/json"):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    # The guard has hung up meanwhile; it will ask again.
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fail(self, mode):
        """From now on it fails so."""
        self.mode, self.failed = mode, 0

    def wait_until_failed(self, times):
        """Until a batch and what came after it, health checks included, have failed so many times."""
        wait_until(f"{times} requests that met '{self.mode}'", lambda: self.failed >= times)

    def heal(self):
        self.mode, self.passed = "pass", 0
        self.thawed.set()
        self.thawed = threading.Event()

    def wait_until_passed(self):
        """Until a batch has got through again: rsyslog is not waiting any more."""
        wait_until("a batch that passes", lambda: self.passed)

    def kill(self):
        self.thawed.set()
        self.server.shutdown()
        self.server.server_close()


class Elasticsearch:
    """osmem-server. It keeps nothing on disk, so that a restart is: take everything out, end it, start it, put it back."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._start()

    def _start(self):
        command = [osmem_server.resolve_binary(), "-addr", f"127.0.0.1:{self.port}", "-no-ja", "-no-stdin-watch"]
        self.server = Server("elasticsearch", command, self.folder)
        self.server.wait_until_ready(lambda: ask("GET", self.url)[0] == 200)
        # The lifecycle is the one part that it does not have; its component is there, and empty.
        self.put("_component_template/verbatim-lifecycle", {"template": {}})
        subprocess.run([ELK / "elasticsearch/setup", "templates"], env={"ELASTICSEARCH_URL": self.url, "PATH": "/usr/bin:/bin"},
                       check=True, capture_output=True)

    def put(self, path, body):
        status, answer = ask("PUT", f"{self.url}/{path}", body)
        assert status in (200, 201), (path, status, answer)

    def restart(self):
        kept = {index: self.documents(index) for index in (LOGS, DEAD_LETTERS)}
        self.server.kill()
        self._start()
        for documents in kept.values():
            for identity, (index, source) in documents.items():
                self.put(f"{index}/_doc/{identity}?op_type=create", source)

    def documents(self, index):
        """Everything in it: (index, document) by id."""
        ask("POST", f"{self.url}/{index}/_refresh")
        status, answer = ask("POST", f"{self.url}/{index}/_search", {"size": PAGE, "query": {"match_all": {}}})
        if status == 404:
            return {}
        hits = answer["hits"]["hits"]
        assert answer["hits"]["total"]["value"] == len(hits) < PAGE
        return {hit["_id"]: (hit["_index"], hit["_source"]) for hit in hits}

    def search(self, query):
        """Documents of the logs that a query finds."""
        status, answer = ask("POST", f"{self.url}/{LOGS}/_search", {"size": PAGE, "query": query})
        assert status == 200, answer
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    def count(self, index):
        ask("POST", f"{self.url}/{index}/_refresh")
        status, answer = ask("GET", f"{self.url}/{index}/_count")
        return answer["count"] if status == 200 else 0

    def kill(self):
        self.server.kill()


class Pipeline:
    """Everything from a log file in `logs` to Elasticsearch."""

    def __init__(self):
        self.folder = Folder()
        try:
            self._start()
        except BaseException:
            self.folder.close()
            raise

    def _start(self):
        here = self.folder.path
        self.logs, self.state, self.settings = here / "log", here / "state", here / "etc"
        for folder in (self.logs, self.state / "guard", self.settings):
            folder.mkdir(parents=True)
        self.elasticsearch = self.folder.add(Elasticsearch(here))
        self.receiver = self.folder.add(Receiver(self.elasticsearch.url))
        self.guard = self.folder.add(self._start_guard())
        self.rsyslog = self.folder.add(Server(
            "rsyslog",
            ["rsyslogd", "-n", "-f", ELK / "rsyslog/rsyslog.conf", "-i", self.state / "rsyslog.pid"],
            here,
            {
                "VERBATIM_SHIPPER_LOGS": f"{self.logs}/*.log*",
                "VERBATIM_SHIPPER_STATE": str(self.state),
                "VERBATIM_SHIPPER_PORT": str(self.guard_port),
            },
        ))

    def _start_guard(self):
        self.guard_port = free_port()
        shutil.copy(ELK / "rsyslog/guard.conf", self.settings)
        (self.settings / "guard-settings.conf").write_text(
            f"listen 127.0.0.1:{self.guard_port};\n"
            f"location / {{ proxy_read_timeout 1s; proxy_pass http://127.0.0.1:{self.receiver.port}; }}\n")
        # One process only: a worker would outlive a master that is killed with these tests.
        guard = Server("guard", ["nginx", "-p", f"{self.state}/", "-c", self.settings / "guard.conf",
                                 "-g", "master_process off;"], self.folder.path)
        guard.wait_until_ready(lambda: ask("GET", f"http://127.0.0.1:{self.guard_port}/")[0] == 200)
        return guard

    def wait_for(self, lines):
        """Waits until so many lines have arrived, as documents or as dead letters."""
        def arrived():
            return self.elasticsearch.count(LOGS) + self.elasticsearch.count(DEAD_LETTERS) >= lines
        try:
            wait_until(f"{lines} lines in Elasticsearch", arrived)
        except AssertionError as error:
            log = self.state / "shipper.log"
            said = log.read_text(errors="replace")[-3000:] if log.exists() else ""
            raise AssertionError(f"{error}; {self.elasticsearch.count(LOGS)} + {self.elasticsearch.count(DEAD_LETTERS)} "
                                 f"arrived; rsyslog: {self.rsyslog.said()[-1000:]}{said}") from None

    def close(self):
        self.folder.close()
