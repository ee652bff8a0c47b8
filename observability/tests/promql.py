"""What a PromQL expression refers to. Not a parser, promtool is that: only enough to list its metrics and labels."""

import re

_TOKEN = re.compile(r"""
    (?P<space>\s+)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<range>\[[^\]]*\])
  | (?P<number>[0-9][0-9a-zA-Z.]*)
  | (?P<other>.)
""", re.X)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "offset", "bool", "atan2", "inf", "nan"}
_MATCHER = re.compile(r"""([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""")


def _tokens(expression):
    found = [(match.lastgroup, match.group()) for match in _TOKEN.finditer(expression)]
    return [token for token in found if token[0] != "space"]


def references(expression):
    """(metric, {label: (operator, value)}) of each selector, and the names in by, on and the like."""
    tokens, selectors, labels, at = _tokens(expression), [], set(), 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or text.lower() in _WORDS:
            continue
        if text in _LABEL_LISTS:
            if following == "(":
                while tokens[at][1] != ")":
                    if tokens[at][0] == "name":
                        labels.add(tokens[at][1])
                    at += 1
        elif following == "(" or following in ("by", "without"):
            # A function or an aggregation.
            continue
        elif following == "{":
            inside = []
            while tokens[at][1] != "}":
                inside.append(tokens[at][1])
                at += 1
            matchers = {name: (operator, value[1:-1]) for name, operator, value in _MATCHER.findall("".join(inside))}
            selectors.append((text, matchers))
        else:
            selectors.append((text, {}))
    return selectors, labels


def exported(text):
    """What a server exports, from its /metrics: for each sample name, its labels with the values that they have."""
    metrics = {}
    for line in text.splitlines():
        match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line)
        if match:
            labels = metrics.setdefault(match[1], {})
            for name, _, value in _MATCHER.findall(match[2] or ""):
                labels.setdefault(name, set()).add(value[1:-1])
    return metrics
