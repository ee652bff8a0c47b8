"""Logs: from the real server's lines to documents under the strict mapping, whatever happens on the way."""

import http.client
import json
import unittest

from harness import LIMIT, LogFile, Verbatim, lines_of, wait_until
from pipeline import DEAD_LETTERS, LOGS, Pipeline


def unique(pairs):
    assert len(dict(pairs)) == len(pairs), f"a field stands twice in a line: {pairs}"
    return dict(pairs)


def parse(line):
    """The JSON object that a line of Verbatim's log is; None if it is something else."""
    try:
        value = json.loads(line, object_pairs_hook=unique)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def line_of(number, **fields):
    """A line as Verbatim writes them."""
    return json.dumps({
        "v": 0, "name": "verbatim", "msg": "answered", "level": 30, "hostname": "node-1", "pid": 4711,
        "time": f"2026-11-22T16:34:26.{number:09d}Z", "target": "verbatim_api::http", "line": 123, "file": "observe.rs",
        "request_id": f"01a2041b-e2c1-744d-9490-{number:012x}", "status": 201, "latency_us": 1_000 + number, **fields,
    }).encode() + b"\n"


class Shipping(unittest.TestCase):
    def setUp(self):
        self.pipeline = Pipeline()
        self.addCleanup(self.pipeline.close)
        self.elasticsearch, self.receiver = self.pipeline.elasticsearch, self.pipeline.receiver
        self.log = LogFile(self.pipeline.logs / "verbatim.log")
        self.addCleanup(self.log.close)
        self.written = 0

    def write(self, count):
        for number in range(self.written, self.written + count):
            self.log.write(line_of(number))
        self.written += count

    def assert_all_arrived(self, path=None):
        """Each line of the log is one document with the same fields and values, and nothing else is there; the documents."""
        written = set()
        for line in lines_of(path or self.log.path):
            value = parse(line)
            self.assertIsNotNone(value, f"not a JSON object: {line}")
            key = json.dumps(value, sort_keys=True)
            self.assertNotIn(key, written, "two lines are the same: this test can't tell what was doubled")
            written.add(key)
        self.pipeline.wait_for(len(written))
        # Whatever is still on its way would be too much.
        self.pipeline.rsyslog.stop()
        self.assertEqual(self.elasticsearch.documents(DEAD_LETTERS), {})
        documents = self.elasticsearch.documents(LOGS)
        arrived = set()
        for index, document in documents.values():
            self.assertEqual(document.pop("@timestamp"), document["time"])
            self.assertEqual(index, "verbatim-logs-" + document["time"][:10].replace("-", "."))
            arrived.add(json.dumps(document, sort_keys=True))
        self.assertEqual(arrived, written)
        self.assertEqual(len(documents), len(written), "lines were doubled")
        return [document for _, document in documents.values()]

    def test_a_real_run_arrives_line_by_line(self):
        server = self.pipeline.folder.add(Verbatim(self.pipeline.folder.path, self.log))
        ann, bob, eve = (server.member(name) for name in ("ann", "bob", "eve"))
        room = server.expect(201, "POST", "/rooms", {"name": "Engineering"}, ann)["room_id"]
        server.expect(200, "POST", f"/rooms/{room}/members", {}, bob)
        messages = f"/rooms/{room}/messages"
        for number in range(80):
            message = server.expect(201, "POST", messages, {"body": f"message {number}"}, ann, idempotency_key=f"a{number}")
            server.expect(200, "GET", f"{messages}?after={number}", None, bob)
        server.expect(200, "PUT", f"/rooms/{room}/read-cursor", {"seq": message["seq"]}, bob)
        # Users' mistakes.
        for number in range(20):
            server.expect(403, "POST", messages, {"body": "let me in"}, eve, idempotency_key=f"e{number}")
            server.expect(401, "GET", messages)
        server.expect(404, "GET", "/rooms/00000000-0000-0000-0000-000000000000", None, ann)
        # The operator rotates the log and restarts the service.
        self.log.rotate()
        server.stop()
        server.start()
        ann = server.expect(200, "POST", "/auth/login",
                            {"email": "ann@example.org", "password": "correct horse battery staple"})["access_token"]
        # An infrastructure failure.
        server.fill_disk()
        server.expect(503, "POST", messages, {"body": "no room"}, ann, idempotency_key="full")
        server.make_room()
        for number in range(40):
            server.expect(201, "POST", messages, {"body": "goes on"}, ann, idempotency_key=f"b{number}")
        self.log.rotate()
        server.stop()
        wait_until("the whole log is written", lambda: b'"stopped"' in self.log.lines()[-1])

        fields = self.assert_all_arrived()
        self.assertGreater(len(fields), 240)
        with self.subTest("refused requests, the failure and both runs are found by field"):
            self.assertEqual(sum(document.get("status") == 403 for document in fields), 20)
            errors = [document for document in fields if document["level"] == 50]
            self.assertEqual([document.get("status") for document in errors], [503])
            # With its causes: which failure it is, not only what it hindered.
            self.assertRegex(errors[0]["error"], r"(?i)committing events: .*(disk|full|write)")
            self.assertEqual(len({document["pid"] for document in fields}), 2)
            self.assertGreater(sum("member_id" in document for document in fields), 100)
        with self.subTest("everything about one request is found by its id"):
            failure = next(document for document in fields if document.get("status") == 503)
            wanted = [document for document in fields if document.get("request_id") == failure["request_id"]]
            found = self.elasticsearch.search({"term": {"request_id": failure["request_id"]}})
            self.assertEqual(len(found), len(wanted))

    def test_files_that_the_service_rolls_by_itself_arrive(self):
        path = self.pipeline.logs / "node-1.log"
        server = self.pipeline.folder.add(Verbatim(self.pipeline.folder.path, environment={
            "VERBATIM_LOG_FILE": str(path), "VERBATIM_LOG_FILE_MIB": "1", "VERBATIM_NODE": "node-1"}))
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
        self.addCleanup(client.close)
        # Refused, and logged all the same.
        while not path.with_name("node-1.log.1").exists():
            for _ in range(100):
                client.request("GET", "/api/v1/members/me")
                client.getresponse().read()
        server.stop()
        self.assertEqual({document["hostname"] for document in self.assert_all_arrived(path)}, {"node-1"})

    def test_restarts_of_each_lose_nothing_and_double_nothing(self):
        shipper = self.pipeline.rsyslog
        self.write(200)
        self.pipeline.wait_for(200)
        with self.subTest("rsyslog restarts; lines are written, and the log is rotated, while it is away"):
            shipper.stop()
            self.write(50)
            self.log.rotate()
            self.write(50)
            shipper.start()
            self.pipeline.wait_for(300)
        with self.subTest("rsyslog is killed with lines on their way"):
            self.receiver.fail("refuse")
            self.write(300)
            self.log.rotate()
            self.write(30)
            self.receiver.wait_until_failed(2)
            shipper.kill()
            self.receiver.heal()
            shipper.start()
            self.pipeline.wait_for(630)
        with self.subTest("Elasticsearch restarts"):
            self.receiver.fail("refuse")
            self.write(50)
            self.receiver.wait_until_failed(1)
            self.elasticsearch.restart()
            self.receiver.heal()
            self.pipeline.wait_for(680)
        self.assert_all_arrived()

    def test_outages_of_the_receiver_lose_nothing_and_double_nothing(self):
        for mode in ("refuse", "unavailable", "gateway", "reject", "lose_answer", "hang"):
            with self.subTest(mode):
                self.receiver.fail(mode)
                self.write(100)
                # The second try.
                self.receiver.wait_until_failed(2)
                self.receiver.heal()
                self.receiver.wait_until_passed()
                self.pipeline.wait_for(self.written)
        self.assert_all_arrived()

    def test_bad_lines_are_dead_letters_with_their_reason(self):
        bad = {
            b"thread 'main' panicked at src/main.rs:1:1:": "not a JSON object",
            b'"a string"': "not a JSON object",
            b"[1, 2]": "not a JSON object",
            b'{"level": 30, "msg": "cut off': "not a JSON object",
            b'{"level": 30}': "not a JSON object with a time",
            b"\xff\xfe caf\xe9 \x01\x02": "not a JSON object",
            b"x" * 100_000: "not a JSON object",
            line_of(1_000_001, time="yesterday").strip(): "not a JSON object with a time",
            line_of(1_000_002, surprise=1).strip(): "strict_dynamic_mapping_exception",
            line_of(1_000_003, status="201").strip(): "mapper_parsing_exception",
            line_of(1_000_004, error={"kind": "io"}).strip(): "mapper_parsing_exception",
        }
        self.write(10)
        for line in bad:
            self.log.write(line + b"\n")
        self.write(10)
        self.log.write(line_of(1_000_005, msg="MSG").replace(b"MSG", b"caf\xe9"))
        self.pipeline.wait_for(21 + len(bad))
        self.pipeline.rsyslog.stop()
        messages = [document["msg"] for _, document in self.elasticsearch.documents(LOGS).values()]
        self.assertEqual(sorted(messages), ["answered"] * 20 + ["caf "])
        letters = {document["line"]: document["reason"] for _, document in self.elasticsearch.documents(DEAD_LETTERS).values()}
        self.assertEqual(len(letters), len(bad))
        for line, reason in bad.items():
            with self.subTest(line[:40]):
                value = parse(line)
                if value is not None and "time" in value and value["time"] != "yesterday":
                    # It came back from Elasticsearch: the same object, maybe not the same bytes.
                    found = [r for text, r in letters.items()
                             if (parse(text) or {}).get("request_id") == value["request_id"]]
                elif line.startswith(b"\xff"):
                    found = [r for text, r in letters.items() if " caf" in text]
                else:
                    found = [r for text, r in letters.items() if text == line.decode()]
                self.assertEqual(len(found), 1)
                self.assertIn(reason, found[0])


if __name__ == "__main__":
    unittest.main()
