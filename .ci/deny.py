"""Checks dependencies against deny.toml, for machines without cargo-deny. Works offline.

Usage: cargo metadata --format-version 1 | deny.py deny.toml

Reads `licenses.allow`, `bans.deny`, `bans.wildcards` and `sources.allow-registry`. It trusts the licence that a crate
declares (cargo-deny also reads licence texts). Prints each violation; exit code 1 if there is any.
"""

import json
import re
import sys
import tomllib


def allowed(expression: str, allow: set[str]) -> bool:
    """Whether an SPDX licence expression can be met with the allowed licences alone.

    AND binds tighter than OR; WITH belongs to the licence before it. The old "MIT/Apache-2.0" means OR. Raises
    ValueError for anything that is not such an expression.
    """
    # The separators before the identifiers: "/" is none of an identifier's characters.
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek() -> str | None:
        return tokens[position] if position < len(tokens) else None

    def take() -> str:
        nonlocal position
        token = peek()
        if token is None:
            raise ValueError(f"{expression!r} ends too early")
        position += 1
        return token

    def any_of() -> bool:
        result = all_of()
        while peek() == "OR":
            take()
            result = all_of() or result
        return result

    def all_of() -> bool:
        result = licence()
        while peek() == "AND":
            take()
            result = licence() and result
        return result

    def licence() -> bool:
        name = take()
        if name == "(":
            result = any_of()
            if take() != ")":
                raise ValueError(f"{expression!r} lacks a closing parenthesis")
            return result
        if name in {")", "AND", "OR", "WITH"}:
            raise ValueError(f"{expression!r} has {name} where a licence should be")
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allow

    result = any_of()
    if peek() is not None:
        raise ValueError(f"{expression!r} goes on after its end")
    return result


def violations(metadata: dict, rules: dict) -> list[str]:
    """One line for each rule that a package breaks."""
    allow = set(rules["licenses"]["allow"])
    banned = {ban["crate"]: ban.get("reason", "") for ban in rules["bans"]["deny"]}
    sources = {f"registry+{url}" for url in rules["sources"]["allow-registry"]}
    members = set(metadata["workspace_members"])
    found = []
    for package in metadata["packages"]:
        who = f"{package['name']} {package['version']}"
        try:
            if not package["license"]:
                found.append(f"{who}: declares no licence")
            elif not allowed(package["license"], allow):
                found.append(f"{who}: licence {package['license']} is not in the list")
        except ValueError as error:
            found.append(f"{who}: not a licence expression: {error}")
        if package["name"] in banned:
            found.append(f"{who}: banned: {banned[package['name']]}")
        if package["id"] not in members and package["source"] not in sources:
            found.append(f"{who}: comes from {package['source'] or 'a path outside the workspace'}")
        if package["id"] in members and rules["bans"]["wildcards"] == "deny":
            found += [
                f"{who}: takes any version of {dependency['name']}"
                for dependency in package["dependencies"]
                if dependency["req"] == "*" and not dependency.get("path")
            ]
    return found


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        rules = tomllib.load(file)
    metadata = json.load(sys.stdin)
    found = violations(metadata, rules)
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(metadata['packages'])} packages checked, {len(found)} violations")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
