"""The fields that Verbatim's source gives to its log lines. A line of a failure that no test brings about would otherwise
be the first to tell that the strict mapping refuses it, and at the worst time."""

import re

CRATES = ("api", "application", "domain", "infrastructure", "migrations", "observability", "projections")

_MACRO = re.compile(r"\btracing::(?:error|warn|info|debug|trace|event|(?:error|warn|info|debug|trace)_span|span)!\s*\(")
_RECORD = re.compile(r'\.record\(\s*"([^"]+)"')
_STRING = re.compile(r'"(?:\\.|[^"\\])*"', re.S)
_COMMENT = re.compile(r"//[^\n]*")
_OPEN, _CLOSE = "([{", ")]}"


def _arguments(text, start):
    """The top-level arguments of a macro whose opening parenthesis is just before `start`."""
    depth, at, argument, arguments = 1, start, start, []
    while depth:
        string = _STRING.match(text, at)
        if string:
            at = string.end()
            continue
        letter = text[at]
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if depth == 0 or (depth == 1 and letter == ","):
            arguments.append(text[argument:at].strip())
            argument = at + 1
        at += 1
    return arguments


def fields(source):
    """Names of fields in a Rust source: `name = value`, `%name`, `?name`, `name`; what follows the message is no field."""
    code = _COMMENT.sub("", source)
    found = set(_RECORD.findall(code))
    for macro in _MACRO.finditer(code):
        spans = "span" in macro.group()
        for argument in _arguments(code, macro.end()):
            if re.match(r"(target|parent|name)\s*:|tracing::Level|Level::", argument):
                continue
            if argument.startswith('"'):
                if spans:
                    # A span's name; its fields come after it.
                    continue
                break
            match = re.match(r"([a-z_][\w.]*)\s*=(?!=)|[%?]?([a-z_][\w.]*)$", argument)
            if match:
                found.add(match[1] or match[2])
    return found
