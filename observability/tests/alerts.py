"""Metrics: the real Prometheus and Alertmanager with our files, a real server that fails, and a stand-in for Slack."""

import json
import re
import shutil
import time
import unittest
import urllib.parse

import yaml

import promql
from harness import OBSERVABILITY, ROOT, Folder, Server, Verbatim, ask, free_port, load, wait_until
from slack import Slack
from stomp import Stomp

# From the failure to the message in Slack.
ALERT_LIMIT = 10.0
# What the tests shorten in the rules, and nothing else: for how long one error counts. Otherwise the end of an alert
# would take a minute to be seen.
SHORTER = {"[1m]": "[10s]", "offset 1m": "offset 10s"}
# Prometheus makes these.
OF_PROMETHEUS = {"up": {}, "ALERTS": {"alertname": set(), "alertstate": set(), "severity": set()}}
# Labels that a scrape adds.
OF_SCRAPE = {"instance", "job"}
# Matched values that a series need not have to be right.
ANY_VALUE = {"job", "instance", "alertstate"}


def dashboard_queries():
    """(where, expression, whether no data is fine) of each panel and annotation."""
    make = load(OBSERVABILITY / "grafana/make")
    for path in sorted((OBSERVABILITY / "grafana/sources").glob("*.toml")):
        source = make.tomllib.loads(path.read_text())
        for row in source["row"]:
            for panel in row["panel"]:
                for query in panel["queries"]:
                    if "expr" in query:
                        yield f"{path.stem}: {panel['title']}", query["expr"], query.get("may_be_empty", False)
        for annotation in make.dashboard(source)["annotations"]["list"]:
            yield f"{path.stem}: annotation {annotation['name']}", annotation["expr"], True


def rules():
    for file in sorted((OBSERVABILITY / "prometheus/rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def filled_in(expression):
    """As Grafana sends it with all nodes chosen."""
    return expression.replace("$node", ".*").replace("$__rate_interval", "30s")


def stem(metric):
    """The name of a histogram without what its samples add to it."""
    return metric.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")


class Alerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.addClassCleanup(cls.folder.close)
        here, add = cls.folder.path, cls.folder.add
        cls.verbatim, cls.slack = add(Verbatim(here)), add(Slack())
        cls.use()

        shutil.copytree(OBSERVABILITY / "alertmanager", here / "alertmanager")
        (here / "alertmanager/slack_webhook_url").write_text(cls.slack.url)
        alertmanager = free_port()
        cls.alertmanager = add(Server("alertmanager", [
            "prometheus-alertmanager", "--config.file=alertmanager.yml", f"--storage.path={here}/alertmanager-data",
            f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=",
        ], here / "alertmanager", output=here / "alertmanager.out"))

        shutil.copytree(OBSERVABILITY / "prometheus", here / "prometheus")
        cls.target(here, "verbatim", cls.verbatim.port)
        cls.target(here, "alertmanager", alertmanager)
        for file in (here / "prometheus/rules").glob("*.yml"):
            text = file.read_text()
            for long, short in SHORTER.items():
                assert long in text, f"{file.name} has no {long} any more"
                text = text.replace(long, short)
            file.write_text(text)
        port = free_port()
        cls.prometheus_url = f"http://127.0.0.1:{port}"
        cls.prometheus = add(Server("prometheus", [
            "prometheus", "--config.file=prometheus/prometheus.yml", f"--storage.tsdb.path={here}/prometheus-data",
            f"--web.listen-address=127.0.0.1:{port}",
        ], here))
        cls.alertmanager.wait_until_ready(lambda: ask("GET", f"http://127.0.0.1:{alertmanager}/-/ready")[0] == 200)
        cls.prometheus.wait_until_ready(lambda: ask("GET", f"{cls.prometheus_url}/-/ready")[0] == 200)
        # increase() needs two samples to see a third.
        wait_until("three scrapes", lambda: cls.samples("count_over_time(up[1m])") >= 3)

    @staticmethod
    def target(here, name, port):
        (here / f"prometheus/targets/{name}.yml").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))

    @classmethod
    def use(cls):
        """A little of everything, so that all is counted: requests, messages, refusals, sessions of both kinds."""
        server = cls.verbatim
        cls.ann = server.member("ann")
        room = server.expect(201, "POST", "/rooms", {"name": "Engineering"}, cls.ann)["room_id"]
        cls.messages = f"/rooms/{room}/messages"
        server.expect(201, "POST", cls.messages, {"body": "hello"}, cls.ann, idempotency_key="one")
        server.expect(401, "GET", cls.messages)
        client = cls.folder.add(Stomp(server.port, cls.ann))
        client.send("SUBSCRIBE", {"id": "0", "destination": f"/topic/{room}"})
        client.send("SEND", {"destination": f"/publish/{room}", "receipt": "r", "content-type": "application/json"},
                    '{"body":"hello"}')
        client.wait_for("RECEIPT")

    @classmethod
    def query(cls, expression):
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        status, answer = ask("GET", cls.prometheus_url + path)
        if status != 200:
            raise AssertionError(f"{expression}: {answer}")
        return answer["data"]["result"]

    @classmethod
    def samples(cls, expression):
        result = cls.query(expression)
        return float(result[0]["value"][1]) if result else 0.0

    def exported(self):
        return OF_PROMETHEUS | promql.exported(ask("GET", f"{self.verbatim.url}/metrics")[1])

    def test_3_an_infrastructure_error_reaches_slack_within_ten_seconds_and_ends(self):
        server, slack = self.verbatim, self.slack
        self.assertIsNone(slack.first("CRITICAL"), "an alert before the failure")
        failed = time.monotonic()
        server.fill_disk()
        server.expect(503, "POST", self.messages, {"body": "no room"}, self.ann, idempotency_key="two")
        arrived, alert = wait_until("the alert in Slack", lambda: slack.first("CRITICAL: Errors on"))
        server.make_room()
        server.expect(201, "POST", self.messages, {"body": "goes on"}, self.ann, idempotency_key="two")
        room_again = time.monotonic()
        ended, end = wait_until("the end in Slack", lambda: slack.first("Ended: Errors on"), 60)
        print(f"\n    from the failure to Slack: {arrived - failed:.1f} s; "
              f"from the end of the failure to Slack: {ended - room_again:.1f} s (errors count for 10 s here, 60 s in earnest)")
        self.assertLess(arrived - failed, ALERT_LIMIT)
        self.assertEqual(slack.faults, [])
        node = f"127.0.0.1:{server.port}"
        self.assertIn(node, alert["title"])
        self.assertIn(node, alert["text"])
        self.assertEqual((alert["color"], end["color"]), ("danger", "good"))
        self.assertEqual(alert["title_link"], f"http://localhost:3000/d/verbatim-healthy?var-node={node}")
        buttons = {action["text"]: action["url"] for action in alert["actions"]}
        self.assertEqual(buttons["Dashboard"], alert["title_link"])
        self.assertRegex(buttons["What to do"], r"operations\.md#verbatimerrors$")
        self.assertIn("/#/silences/new?filter=", buttons["Silence"])

    def test_4_a_dead_node_is_told_of_too(self):
        # The last one, by its name: the server does not come back.
        began = time.monotonic()
        self.verbatim.kill()
        arrived, _ = wait_until("the alert in Slack", lambda: self.slack.first("CRITICAL: 127.0.0.1", began))
        print(f"\n    from the death of a node to Slack: {arrived - began:.1f} s (10 s of them are the rule's patience)")
        self.assertEqual(self.slack.faults, [])

    def test_1_expressions_name_only_what_the_server_exports(self):
        known, used = self.exported(), set()
        queries = [(rule["alert"], rule["expr"]) for rule in rules()]
        queries += [(where, expression) for where, expression, _ in dashboard_queries()]
        self.assertGreater(len(queries), 50)
        for where, expression in queries:
            with self.subTest(where):
                selectors, grouped = promql.references(filled_in(expression))
                self.assertTrue(selectors, expression)
                labels = set(OF_SCRAPE)
                for metric, matchers in selectors:
                    if metric not in known:
                        self.fail(f"the server exports no {metric}: {expression}")
                    used.add(metric)
                    labels |= known[metric].keys()
                    for label, (operator, value) in matchers.items():
                        self.assertIn(label, known[metric].keys() | OF_SCRAPE, f"{metric} has no such label: {expression}")
                        values = known[metric].get(label)
                        if operator == "=" and label not in ANY_VALUE and values:
                            self.assertIn(value, values, f"{metric} has no such {label}: {expression}")
                self.assertLessEqual(grouped, labels, expression)
        with self.subTest("each metric of ours is on a dashboard or in a rule"):
            looked_at = {stem(metric) for metric in used}
            for metric in known:
                if metric.startswith("verbatim_"):
                    self.assertTrue(stem(metric) in looked_at, f"nobody looks at {stem(metric)}")

    def test_1_the_documentation_names_the_metrics_that_are_exported(self):
        text = (ROOT / "docs/observability.md").read_text()
        table = text[text.index("\n## Metrics"):text.index("\n## What it costs")]
        named = set(re.findall(r"`(verbatim_\w+)", table))
        exported = {stem(metric) for metric in self.exported() if metric.startswith("verbatim_")}
        self.assertEqual(named, exported)

    def test_2_expressions_have_data(self):
        for where, expression, may_be_empty in dashboard_queries():
            with self.subTest(where):
                result = self.query(filled_in(expression))
                if not may_be_empty:
                    self.assertTrue(result, f"no data: {expression}")
        for rule in rules():
            with self.subTest(rule["alert"]):
                self.query(rule["expr"])


if __name__ == "__main__":
    unittest.main()
