#!/usr/bin/env python3
"""Known holes in the crates that xrdct is built of: Cargo.lock against the RustSec advisory database.

usage: advisories.py check [--offline] [--lock FILE] [--snapshot FILE] [--policy FILE]
       advisories.py refresh [CLONE]

`check` asks today's database (a shallow git clone of github.com/RustSec/advisory-db) and, where that cannot be reached, the
snapshot in .ci/advisories.tsv; it says which, and how old it is. It fails on every vulnerable, unsound or unmaintained crate that
`[advisories] ignore` of deny.toml does not name, and on every name there that is no longer needed. The rules are those of
`cargo deny check advisories`, which reads the same deny.toml; this needs nothing but python.
`refresh` makes the snapshot anew, from a clone that is there or from a fresh one.
"""
import argparse
import datetime
import os
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    import tomllib
except ModuleNotFoundError:  # python before 3.11
    from pip._vendor import tomli as tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / ".ci/advisories.tsv"
DATABASE = "https://github.com/RustSec/advisory-db"
PATIENCE = 60  # seconds for a clone
OLD = 90  # days after which a snapshot is called old


def git(*words, seconds=None):
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=seconds, env=environment, check=True)
    return done.stdout.strip()


def read_clone(clone):
    """(commit, day, rows) of a clone: what concerns crates and was not withdrawn."""
    commit, day = git("-C", str(clone), "log", "-1", "--format=%H %cs").split()
    rows = []
    for file in sorted(pathlib.Path(clone).glob("crates/*/RUSTSEC-*.md")):
        text = file.read_text(encoding="utf-8")
        front = re.match(r"```toml\n(.*?)\n```(.*)", text, re.S)
        if not front:
            sys.exit(f"{file}: no advisory")
        facts = tomllib.loads(front[1])
        advisory, versions = facts["advisory"], facts.get("versions", {})
        if "withdrawn" in advisory:
            continue
        safe = [*versions.get("unaffected", []), *versions.get("patched", [])]
        title = re.search(r"^# (.*)", front[2], re.M)
        kind = advisory.get("informational", "vulnerability").strip()
        rows.append([advisory["id"], advisory["package"], kind, " | ".join(safe), title[1].strip() if title else ""])
    return commit, day, rows


def write_snapshot(path, commit, day, rows):
    head = [
        f"# RustSec advisory-db {commit} {day}; made by scripts/advisories.py refresh",
        "# https://rustsec.org, public domain (CC0-1.0) or CC-BY-4.0. id, crate, kind, versions that are safe, title",
    ]
    path.write_text("\n".join(head + ["\t".join(row) for row in rows]) + "\n", encoding="utf-8")


def read_snapshot(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    _, _, _, commit, day = lines[0].split(";")[0].split()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return commit, day, rows


def fetched():
    """Today's database, or None and why not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            git("clone", "--quiet", "--depth", "1", DATABASE, folder, seconds=PATIENCE)
            return read_clone(folder), ""
        except FileNotFoundError:
            return None, "git is not installed"
        except subprocess.TimeoutExpired:
            return None, f"{DATABASE} does not answer"
        except subprocess.CalledProcessError as error:
            return None, f"{DATABASE} cannot be reached ({(error.stderr.strip() or 'git failed').splitlines()[-1]})"


def version(text):
    """Order of semantic versions: numbers, then pre-releases before the release."""
    text = text.split("+")[0]
    numbers, _, pre = text.partition("-")
    numbers = [int(number) for number in numbers.split(".")]
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")] if pre else []
    return tuple(numbers + [0] * (3 - len(numbers))), (not pre, parts)


def bump(text, caret):
    """First version that is no longer compatible (^), or no longer has these first two numbers (~)."""
    numbers = [int(number) for number in text.split("-")[0].split(".")]
    if caret:
        place = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        place = min(len(numbers), 2) - 1
    return ".".join(str(n) for n in numbers[:place] + [numbers[place] + 1] + [0] * (2 - place))


def fits(found, requirement):
    for part in requirement.split(","):
        operator, wanted = re.fullmatch(r"\s*(>=|<=|>|<|=|\^|~|)\s*([0-9][^\s]*)\s*", part).groups()
        v, w = version(found), version(wanted)
        exact = v[0] == w[0] if wanted.count(".") == 2 else found.startswith(wanted + ".")
        holds = {
            ">=": v >= w, ">": v > w, "<=": v <= w, "<": v < w, "=": exact and v >= w,
            "^": w <= v < version(bump(wanted, True)), "": w <= v < version(bump(wanted, True)),
            "~": w <= v < version(bump(wanted, False)),
        }[operator]
        if not holds:
            return False
    return True


def check(options):
    lock = tomllib.loads(options.lock.read_text(encoding="utf-8"))
    policy = tomllib.loads(options.policy.read_text(encoding="utf-8")).get("advisories", {})
    ignored = {entry["id"] if isinstance(entry, dict) else entry for entry in policy.get("ignore", [])}
    database, why = (None, "not asked") if options.offline else fetched()
    commit, day, rows = database or read_snapshot(options.snapshot)
    age = (datetime.date.today() - datetime.date.fromisoformat(day)).days
    source = "today's database" if database else f"the snapshot, as today's database is not to be had: {why}"
    print(f"advisories: {len(rows)} of {day} ({age} days old, {commit[:10]}), from {source}")
    if not database and age > OLD:
        print(f"advisories: the snapshot is old; refresh it where {DATABASE} can be reached: scripts/advisories.py refresh")
    packages = {}
    for package in lock["package"]:
        if "source" in package:
            packages.setdefault(package["name"], []).append(package["version"])
    hits, needed = [], set()
    for advisory, name, kind, safe, title in rows:
        for found in packages.get(name, []):
            if kind == "notice" or any(fits(found, requirement) for requirement in safe.split(" | ") if requirement):
                continue
            needed.add(advisory)
            if advisory not in ignored:
                hits.append(f"{name} {found}: {kind}: {title} (https://rustsec.org/advisories/{advisory})")
    hits += [f"deny.toml ignores {advisory}, which concerns nothing in Cargo.lock" for advisory in sorted(ignored - needed)]
    for hit in hits:
        print(f"advisories: {hit}", file=sys.stderr)
    count = sum(map(len, packages.values()))
    if hits:
        sys.exit(f"advisories: {len(hits)} to answer in {count} crates: update, replace, or name in deny.toml with a reason")
    print(f"advisories: none concerns the {count} crates" + (f", {len(ignored)} ignored with a reason" if ignored else ""))


def refresh(options):
    if options.clone:
        read = read_clone(options.clone)
    else:
        read, why = fetched()
        if not read:
            sys.exit(f"advisories: {why}")
    write_snapshot(options.snapshot, *read)
    print(f"advisories: {options.snapshot}: {len(read[2])} of {read[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshot", type=pathlib.Path, default=SNAPSHOT)
    commands = parser.add_subparsers(required=True)
    checking = commands.add_parser("check")
    checking.add_argument("--offline", action="store_true")
    checking.add_argument("--lock", type=pathlib.Path, default=ROOT / "Cargo.lock")
    checking.add_argument("--policy", type=pathlib.Path, default=ROOT / "deny.toml")
    checking.set_defaults(run=check)
    refreshing = commands.add_parser("refresh")
    refreshing.add_argument("clone", nargs="?", type=pathlib.Path)
    refreshing.set_defaults(run=refresh)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
