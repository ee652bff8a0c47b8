"""Configuration that needs no running server to be found wrong: syntax, references between files, generated files."""

import json
import re
import subprocess
import tempfile
import unittest

import yaml

import alerts
import log_fields
import promql
import schema
from harness import OBSERVABILITY, ROOT, load

ELK = OBSERVABILITY / "elk"
# Types of fields that can be counted by value, and those that can be measured.
KEYWORDS, NUMBERS = {"keyword"}, {"byte", "short", "integer", "long"}


def run(*command, folder=OBSERVABILITY):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def mapping(name):
    return json.loads((ELK / f"elasticsearch/{name}-template.json").read_text())["template"]["mappings"]["properties"]


class Prometheus(unittest.TestCase):
    def test_configuration_rules_and_their_unit_tests(self):
        run("promtool", "check", "config", "prometheus/prometheus.yml")
        run("promtool", "test", "rules", *(f"prometheus/tests/{file.name}" for file in self.unit_tests()))
        run("amtool", "check-config", "alertmanager/alertmanager.yml")

    @staticmethod
    def unit_tests():
        return (OBSERVABILITY / "prometheus/tests").glob("*.yml")

    def test_each_alert_is_tested_and_leads_somewhere(self):
        tested = {
            case["alertname"]
            for file in self.unit_tests()
            for test in yaml.safe_load(file.read_text())["tests"]
            for case in test["alert_rule_test"]
            if case["exp_alerts"]
        }
        headings = re.findall(r"^#+ (.*)$", (ROOT / "docs/operations.md").read_text(), re.M)
        anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
        dashboards = {json.loads(file.read_text())["uid"] for file in (OBSERVABILITY / "grafana/dashboards").glob("*.json")}
        for rule in alerts.rules():
            with self.subTest(rule["alert"]):
                self.assertIn(rule["alert"], tested, "no unit test in which it fires")
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                notes = rule["annotations"]
                self.assertEqual(notes.keys(), {"summary", "description", "dashboard", "runbook"})
                self.assertIn(notes["runbook"], anchors, "docs/operations.md has no such heading")
                self.assertIn(notes["dashboard"].removeprefix("d/").split("?")[0], dashboards)

    def test_inhibitions_name_alerts_that_are_there(self):
        names = {rule["alert"] for rule in alerts.rules()}
        text = (OBSERVABILITY / "alertmanager/alertmanager.yml").read_text()
        for rule in yaml.safe_load(text)["inhibit_rules"]:
            for matcher in rule["source_matchers"] + rule["target_matchers"]:
                label, pattern = re.fullmatch(r'(\w+)=~?"(.*)"', matcher).groups()
                if label == "alertname":
                    self.assertLessEqual(set(pattern.split("|")), names)


class Grafana(unittest.TestCase):
    def test_dashboards_are_what_their_sources_say(self):
        made = dict(load(OBSERVABILITY / "grafana/make").made())
        self.assertEqual(set(made), set((OBSERVABILITY / "grafana/dashboards").glob("*.json")))
        for path, text in made.items():
            self.assertEqual(path.read_text(), text, "run observability/grafana/make")

    def test_dashboards_are_of_grafanas_schema(self):
        provisioned = yaml.safe_load((OBSERVABILITY / "grafana/provisioning/datasources/verbatim.yml").read_text())
        known = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
        for path in (OBSERVABILITY / "grafana/dashboards").glob("*.json"):
            with self.subTest(path.name):
                dashboard = json.loads(path.read_text())
                self.assertEqual(list(schema.faults(dashboard)), [])
                identities = [panel["id"] for panel in dashboard["panels"]]
                self.assertEqual(len(identities), len(set(identities)))
                for panel in dashboard["panels"]:
                    if panel["type"] != "row":
                        self.assertTrue(panel["description"], panel["title"])
                        self.assertIn((panel["datasource"]["type"], panel["datasource"]["uid"]), known)

    def test_the_schema_check_finds_faults(self):
        path = OBSERVABILITY / "grafana/dashboards/healthy.json"
        faults = {
            "an unknown property": lambda dashboard, panel: panel.update(gridpos={}),
            "a wrong type": lambda dashboard, panel: panel["gridPos"].update(h="8"),
            "an unknown value": lambda dashboard, panel: panel["options"].update(graphMode="pie"),
            "a query without its expression": lambda dashboard, panel: panel["targets"][0].pop("expr"),
            "an unknown panel": lambda dashboard, panel: panel.update(type="stats"),
        }
        for what, spoil in faults.items():
            with self.subTest(what):
                dashboard = json.loads(path.read_text())
                spoil(dashboard, next(panel for panel in dashboard["panels"] if panel["type"] == "stat"))
                self.assertEqual(len(list(schema.faults(dashboard))), 1)

    def test_promtool_reads_every_expression(self):
        rules = [{"record": f"panel:number:{number}", "expr": alerts.filled_in(expression)}
                 for number, (_, expression, _) in enumerate(alerts.dashboard_queries())]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, file)
            file.flush()
            self.assertIn(f"{len(rules)} rules found", run("promtool", "check", "rules", file.name))

    def test_what_an_expression_refers_to_is_found(self):
        selectors, labels = promql.references(
            'histogram_quantile(0.9, sum by (le, path) (rate(a_bucket{x="}", y=~"$n"}[5m] offset 1m)))'
            ' / on (z) group_left (v) b or vector(0)')
        self.assertEqual(selectors, [("a_bucket", {"x": ("=", "}"), "y": ("=~", "$n")}), ("b", {})])
        self.assertEqual(labels, {"le", "path", "z", "v"})


class Elastic(unittest.TestCase):
    def test_the_mapping_is_strict_and_flat(self):
        for name in ("logs", "dead-letters"):
            template = json.loads((ELK / f"elasticsearch/{name}-template.json").read_text())
            self.assertEqual(template["template"]["mappings"]["dynamic"], "strict")
            for field, kind in mapping(name).items():
                self.assertNotIn(".", field)
                self.assertNotIn("properties", kind, "a name is never both a value and an object")

    def test_the_mapping_is_the_list_of_fields_that_the_service_has(self):
        listed = json.loads((OBSERVABILITY / "log-fields.json").read_text())
        # Logstash and rsyslog add it.
        listed["@timestamp"] = listed["time"]
        self.assertEqual({field: kind["type"] for field, kind in mapping("logs").items()}, listed)

    def test_the_mapping_has_every_field_that_the_source_logs(self):
        known, found = mapping("logs").keys(), set()
        for crate in log_fields.CRATES:
            for file in (ROOT / crate / "src").rglob("*.rs"):
                fields = log_fields.fields(file.read_text())
                found |= fields
                with self.subTest(file.relative_to(ROOT)):
                    self.assertLessEqual(fields, known, "elk/elasticsearch/logs-template.json lacks a field")
        self.assertLessEqual({"error", "request_id", "projection", "position"}, found, "the source is not read right")

    def test_the_fields_of_a_source_are_found(self):
        source = """
            tracing::error!(error = %chain(&error), %path, ?a.b, seq, target: "x", "took {} of {}, (maybe)", done, all);
            let span = tracing::info_span!("request", request_id = tracing::field::Empty, status); // tracing::info!(not)
            span.record("member_id", text);
        """
        self.assertEqual(log_fields.fields(source),
                         {"error", "path", "a.b", "seq", "request_id", "status", "member_id"})

    def test_kibanas_objects_are_what_their_source_says(self):
        text = load(ELK / "kibana/make").made()
        self.assertEqual((ELK / "kibana/dashboard.ndjson").read_text(), text, "run observability/elk/kibana/make")

    def test_kibanas_objects_refer_to_what_is_there(self):
        objects = [json.loads(line) for line in (ELK / "kibana/dashboard.ndjson").read_text().splitlines()]
        known = {(one["type"], one["id"]) for one in objects}
        self.assertEqual(len(known), len(objects))
        fields = {"verbatim-logs": mapping("logs"), "verbatim-dead-letters": mapping("dead-letters")}
        for one in objects:
            with self.subTest(one["id"]):
                for reference in one["references"]:
                    self.assertIn((reference["type"], reference["id"]), known)
                attributes = one["attributes"]
                if one["type"] == "index-pattern":
                    self.assertIn(fields[one["id"]][attributes["timeFieldName"]]["type"], ("date", "date_nanos"))
                    continue
                if one["type"] == "dashboard":
                    panels = json.loads(attributes["panelsJSON"])
                    names = {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}
                    self.assertEqual(names, {reference["name"] for reference in one["references"]})
                    continue
                view = fields[one["references"][0]["id"]]
                source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
                for field in re.findall(r"([@\w]+) *(?::|>=|<=|<|>)", source["query"]["query"]):
                    self.assertIn(field, view)
                for column in attributes.get("columns", []):
                    self.assertIn(column, view)
                for aggregation in json.loads(attributes.get("visState", '{"aggs": []}'))["aggs"]:
                    field = aggregation["params"].get("field")
                    if aggregation["type"] == "terms":
                        self.assertIn(view[field]["type"], KEYWORDS | NUMBERS)
                    elif aggregation["type"] == "percentiles":
                        self.assertIn(view[field]["type"], NUMBERS)
                    elif field:
                        self.assertIn(view[field]["type"], ("date", "date_nanos"))

    def test_logstash_writes_what_the_templates_expect(self):
        # Logstash itself is not to be had on a plain Debian machine: its files are looked at, not run.
        patterns = [json.loads((ELK / f"elasticsearch/{name}-template.json").read_text())["index_patterns"]
                    for name in ("logs", "dead-letters")]
        self.assertEqual(patterns, [["verbatim-logs-*"], ["verbatim-dead-letters"]])
        pipelines = yaml.safe_load((ELK / "logstash/pipelines.yml").read_text())
        self.assertEqual({pipeline["path.config"].rsplit("/", 1)[1] for pipeline in pipelines},
                         {file.name for file in (ELK / "logstash").glob("*.conf")})
        first = next(pipeline for pipeline in pipelines if pipeline["pipeline.id"] == "verbatim")
        self.assertTrue(first["dead_letter_queue.enable"])
        self.assertEqual(first["queue.type"], "persisted")
        letters = mapping("dead-letters").keys()
        for file in (ELK / "logstash").glob("*.conf"):
            with self.subTest(file.name):
                text = re.sub(r"#.*", "", file.read_text())
                code = re.sub(r'"(?:\\.|[^"\\])*"|/\^.*\$/', "", text, flags=re.S)
                for opening, closing in ("{}", "[]"):
                    self.assertEqual(code.count(opening), code.count(closing))
                self.assertIn('document_id => "%{[@metadata][id]}"', text)
                self.assertIn('action => "create"', text)
                added = set(re.findall(r'"(reason|line)" =>', text))
                self.assertEqual(added | {"@timestamp"}, letters)
        self.assertIn('"verbatim-logs-%{+YYYY.MM.dd}"', (ELK / "logstash/verbatim.conf").read_text())

    def test_filebeat_sends_lines_to_logstash(self):
        config = yaml.safe_load((ELK / "filebeat/filebeat.yml").read_text())
        self.assertIn("output.logstash", config)
        inputs = config["filebeat.inputs"] + [template["config"][0] for provider in config["filebeat.autodiscover"]["providers"]
                                              for template in provider["templates"]]
        for one in inputs:
            self.assertEqual(one["type"], "filestream")
            self.assertTrue(one["id"])
            # Parsed in one place, Logstash.
            self.assertNotIn("ndjson", json.dumps(one))

    def test_setup_is_a_posix_shell_script(self):
        run("sh", "-n", ELK / "elasticsearch/setup")


class Compose(unittest.TestCase):
    def setUp(self):
        self.compose = yaml.safe_load((OBSERVABILITY / "compose.yaml").read_text())
        self.deploy = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())

    def test_what_it_mounts_and_names_is_there(self):
        services = self.compose["services"]
        for name, service in services.items():
            with self.subTest(name):
                self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+$", "an image is pinned")
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    if source.startswith("./"):
                        self.assertTrue((OBSERVABILITY / source).exists(), source)
                    elif not source.startswith("/"):
                        self.assertIn(source, self.compose["volumes"])
                for secret in service.get("secrets", []):
                    self.assertIn(secret, self.compose["secrets"])
                for other in service.get("depends_on", {}):
                    self.assertIn(other, services)
                for port in service.get("ports", []):
                    self.assertTrue(port.startswith("127.0.0.1:"), "nothing is open to the outside")

    def test_it_joins_the_network_of_the_nodes_and_scrapes_them(self):
        network = self.compose["networks"]["inside"]
        self.assertEqual(network["name"], f"{self.deploy['name']}_inside")
        self.assertIn("inside", self.deploy["networks"])
        targets = yaml.safe_load((OBSERVABILITY / "prometheus/targets/verbatim.yml").read_text())[0]["targets"]
        nodes = {name for name in self.deploy["services"] if name.startswith("node-")}
        self.assertEqual({target.removesuffix(":8080") for target in targets}, nodes)

    def test_secrets_are_made_and_ignored(self):
        with tempfile.TemporaryDirectory() as folder:
            run("cp", OBSERVABILITY / "secrets/make", folder)
            run(f"{folder}/make", "https://hooks.slack.com/services/T/B/x", folder=folder)
            made = set(run("ls", folder).split()) - {"make"}
        self.assertEqual({secret["file"].removeprefix("secrets/") for secret in self.compose["secrets"].values()}, made)
        self.assertIn("*\n", (OBSERVABILITY / "secrets/.gitignore").read_text())


if __name__ == "__main__":
    unittest.main()
