#!/usr/bin/env python3
"""Writes expected.jsonl: what Prometheus says to the patterns of patterns.txt.

    generate.py DIRECTORY_OF_PROMETHEUS_AND_PROMTOOL > expected.jsonl

Loads the values of patterns.txt as series into a Prometheus on a loopback port, asks it which of them
each pattern matches, or why it refuses the pattern, and what label_replace makes of the captures.
Random patterns come from a fixed seed. Nothing but Python's standard library is needed.
"""

import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 8
GRAMMAR_PATTERNS = 500
SOUP_PATTERNS = 400


def unquoted(text):
    """A line of patterns.txt: a JSON string if it starts with a double quote, else literal text."""
    return json.loads(text) if text.startswith('"') else text


def sections():
    """(kind, name, lines) of patterns.txt, in which `== KIND NAME` begins a section."""
    found = []
    with open(os.path.join(HERE, "patterns.txt"), encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.startswith("== "):
                kind, name = line[3:].split(" ")
                found.append((kind, name, []))
            elif found and line and not line.startswith("== "):
                found[-1][2].append(line)
    return found


def grammar_pattern(rng, depth=0):
    """A pattern that is well formed most of the time."""
    chars = ["a", "b", "K", "k", "\u212a", "s", "ſ", "س", "ж", "1", "-", "_", " ", "{", "}", ","]
    atoms = chars * 2 + [
        ".", ".", "[ab]", "[^a]", "[a-k]", "[^\\n]", "[[:alpha:]]", "[[:^alpha:]s]", "[a&&b]",
        "[a-]", "[]a]", "[K]", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\b", "\\B", "^", "$",
        "\\A", "\\z", "\\pL", "\\PL", "\\p{Lu}", "\\p{^Lu}", "\\p{Arabic}", "[\\P{Greek}]", "[\\W\\d]",
        "\\n", "\\x61", "\\x{633}", "\\141", "\\Qa.\\E", "\\.", "\\-", "(?i)", "(?-i)", "(?m)", "(?-s)",
        "(?U)", "\n",
    ]
    repeats = ["*", "+", "?", "{2}", "{1,}", "{0,2}", "{,2}", "{0}", "*?", "+?", "??", "{1,2}?"]
    groups = ["(", "(", "(?:", "(?i:", "(?P<n>", "(?<m>", "(?m-s:", "(?s-i:", "(?U:"]
    parts = []
    for _ in range(rng.randint(1, 4 if depth == 0 else 3)):
        if depth < 3 and rng.random() < 0.25:
            part = rng.choice(groups) + grammar_pattern(rng, depth + 1) + ")"
        else:
            part = rng.choice(atoms)
        if rng.random() < 0.35:
            part += rng.choice(repeats)
        parts.append(part)
    if rng.random() < 0.3:
        parts.insert(rng.randint(0, len(parts)), "|")
    return "".join(parts)


def soup_pattern(rng):
    """Pieces of syntax in any order: most are refused."""
    pieces = list("()[]{}|*+?^$.,-:\\aAbsx1&~<") + [
        "(?", "(?i", "(?P<", "n>", "[^", "[:", ":]", "[[:word:]]", "\\Q", "\\E", "\\p", "\\p{", "\\x", "\\x{",
        "\\1", "\\07", "{2", "{2,3}", "{1000}", "{30}", "\\b", "س", "\\d-z", "a-z", "&&", "--",
    ]
    return "".join(rng.choice(pieces) for _ in range(rng.randint(1, 7)))


def cases():
    """Values by set, (set, pattern) to match, (set, pattern, template) to expand."""
    values, matches, expansions = {}, [], []
    for kind, name, lines in sections():
        if kind == "values":
            values[name] = [unquoted(line) for line in lines]
        elif kind == "patterns":
            matches += [(name, unquoted(line)) for line in lines]
        elif kind == "captures":
            expansions += [(name, *map(unquoted, line.split("\t"))) for line in lines]
        else:
            sys.exit(f"unknown section {kind}")
    rng = random.Random(SEED)
    for _ in range(GRAMMAR_PATTERNS):
        pattern = grammar_pattern(rng)
        matches.append(("random", pattern))
        if "(" in pattern:
            expansions.append(("random", pattern, "$1|$2|${n}|${m}"))
    matches += [("random", soup_pattern(rng)) for _ in range(SOUP_PATTERNS)]
    return values, list(dict.fromkeys(matches)), expansions


def escaped(text):
    """A string literal of PromQL and of the text format."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class Prometheus:
    def __init__(self, binaries, values, directory):
        self.time = int(time.time()) - 3600
        lines = []
        for name, texts in values.items():
            for text in dict.fromkeys(texts):
                label = f",v={escaped(text)}" if text else ""
                lines.append(f'corpus{{set="{name}"{label}}} 1 {self.time}')
        text = "# TYPE corpus gauge\n" + "\n".join(lines) + "\n# EOF\n"
        source = os.path.join(directory, "values.om")
        with open(source, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        store = os.path.join(directory, "store")
        promtool = os.path.join(binaries, "promtool")
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", source, store]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config = os.path.join(directory, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("{}\n")
        self.process = subprocess.Popen(
            [
                os.path.join(binaries, "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={store}",
                f"--web.listen-address={self.address}",
                "--log.level=error",
            ]
        )

    def wait(self):
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{self.address}/-/ready")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        sys.exit("Prometheus does not become ready")

    def query(self, expression):
        form = urllib.parse.urlencode({"query": expression, "time": self.time}).encode()
        try:
            answer = urllib.request.urlopen(f"http://{self.address}/api/v1/query", form)
        except urllib.error.HTTPError as error:
            answer = error
        return json.load(answer)

    def version(self):
        url = f"http://{self.address}/api/v1/status/buildinfo"
        return json.load(urllib.request.urlopen(url))["data"]["version"]

    def match(self, name, pattern):
        answer = self.query(f'corpus{{set="{name}",v=~{escaped(pattern)}}}')
        if answer["status"] == "error":
            error = answer["error"].split("error parsing regexp: ", 1)[1]
            return {"pattern": pattern, "error": error}
        found = sorted(one["metric"].get("v", "") for one in answer["data"]["result"])
        return {"pattern": pattern, "values": name, "matches": found}

    def expand(self, name, pattern, template):
        # What starts the template tells an empty expansion from no match.
        arguments = f'"m", {escaped("=" + template)}, "v", {escaped(pattern)}'
        answer = self.query(f'label_replace(corpus{{set="{name}"}}, {arguments})')
        if answer["status"] == "error":
            return None
        found = {}
        for one in answer["data"]["result"]:
            if "m" in one["metric"]:
                found[one["metric"].get("v", "")] = one["metric"]["m"][1:]
        expanded = dict(sorted(found.items()))
        return {"pattern": pattern, "template": template, "values": name, "expanded": expanded}


def main():
    (binaries,) = sys.argv[1:]
    values, matches, expansions = cases()
    with tempfile.TemporaryDirectory() as directory:
        prometheus = Prometheus(binaries, values, directory)
        try:
            prometheus.wait()
            lines = [{"prometheus": prometheus.version(), "seed": SEED}]
            lines += [{"values": name, "texts": texts} for name, texts in values.items()]
            lines += [prometheus.match(*case) for case in matches]
            lines += [line for case in expansions if (line := prometheus.expand(*case))]
        finally:
            prometheus.process.terminate()
            prometheus.process.wait()
    for line in lines:
        print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
