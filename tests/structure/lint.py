"""The structure of the house, checked in seconds: rooms, purity, tidiness, formatting.

Each rule names what is banned and what to use instead. `--deep [PATH…]` adds clang-tidy on the files
that differ from the main branch, or on all below PATH. `--picture` prints the dependency picture of docs/architecture.md.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Room -> rooms it may include (base always). Arrows are transitive. Order = design.
ROOMS = {
    "base": [], "thread": [],
    "tensor": [], "codec": ["tensor"], "privacy": ["tensor"], "model": ["tensor"],
    "data": ["tensor"], "cuda": [], "training": ["model", "data", "codec", "privacy", "cuda"],
    "message": ["tensor"], "job": ["message", "codec"], "topology": ["tensor"],
    "membership": ["job"], "gossip": ["job", "topology", "privacy"],
    "federated": ["job", "privacy"], "node": ["membership", "gossip", "federated"],
    "wire": ["message"], "link": ["wire"], "security": [], "session": ["link", "security"],
    "transport": ["session", "job"],
    "storage": ["message"], "telemetry": ["storage"], "config": [],
    "work": ["job", "training", "security", "storage", "thread"],
    "assembly": ["node", "wire", "work", "telemetry", "config"],
    "runtime": ["assembly", "transport", "thread"], "simulation": ["assembly", "session", "thread"],
    "program": ["runtime", "simulation"],
}
FLOOR = {}
for floor, rooms in {
    "learning": "tensor codec privacy model data cuda training",
    "protocol": "message job topology membership gossip federated node",
    "connection": "wire link security session transport",
    "records": "storage telemetry config",
    "drivers": "work assembly runtime simulation program",
}.items():
    for room in rooms.split():
        FLOOR[room] = floor
PURE = set("base tensor codec privacy message job topology membership gossip federated node wire link".split())

BANNED_IN_PURE = [
    (r"_clock::now", "a clock: use Turn::now, or let the caller pass an Instant"),
    (r"#include <(thread|mutex|condition_variable|future|semaphore|latch|barrier)>", "threads: ask for a job"),
    (r"#include <(random)>|random_device|\bstd::rand\b|\bdrand48\b", "global randomness: use gossamer::stream"),
    (r"#include <(sys/socket\.h|netinet/.*|arpa/inet\.h|asio.*|openssl/.*)>", "sockets or TLS: that is a driver's work"),
    (r"#include <(unordered_map|unordered_set)>", "an unordered container: iteration order must not matter; use std::map or a sorted vector"),
    (r"\bgetenv\b", "the environment: use an option"),
    (r"this_thread|sleep_for", "sleeping: name a deadline"),
    (r"\bstd::(sin|cos|tan|exp|log|log2|log10|pow|tanh)\(", "libm, whose bits differ between machines: use portable_log or portable_exp"),
]
# libm in a pure room is fine where the result never reaches a model or a decision that peers share.
LIBM_ALLOWED = ("topology/",)
BANNED_PUBLIC = r"#include [<\"](asio|openssl/|flatbuffers/|sodium|Eigen/|sqlite3|cuda|toml|CLI/|spdlog|nlohmann)"

problems = []


def problem(path, line, text):
    problems.append(f"{os.path.relpath(path, TOP)}:{line}: {text}")


def tracked(*suffixes):
    out = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True, check=True)
    return [os.path.join(TOP, f) for f in out.stdout.split("\n")
            if f.endswith(suffixes) and os.path.exists(os.path.join(TOP, f))]


def reach(room):
    seen, todo = {"base", room}, [room]
    while todo:
        for next_room in ROOMS[todo.pop()]:
            if next_room not in seen:
                seen.add(next_room)
                todo.append(next_room)
    return seen


def room_of(path):
    """The room of a file, or the door's name with a leading dot."""
    parts = os.path.relpath(path, TOP).split(os.sep)
    if parts[:2] == ["include", "gossamer"]:
        return parts[2] if len(parts) > 3 else "program"
    if parts[0] == "src":
        if parts[1] == "base":
            return "thread" if parts[2] == "thread" else "base"
        return parts[2]
    return "." + parts[0]


def room_of_include(include):
    parts = include.split("/")
    if parts[0] == "gossamer":
        return parts[1] if len(parts) > 2 else "program"
    if parts[0] == "base" and len(parts) > 1:
        return "thread" if parts[1] == "thread" else "base"
    if len(parts) >= 3 and parts[0] in set(FLOOR.values()):
        return parts[1]
    return None


def check_rooms(edges):
    for path in tracked(".cpp", ".hpp"):
        room = room_of(path)
        allowed = reach(room) if room in ROOMS else None
        for number, line in enumerate(open(path), 1):
            found = re.match(r'\s*#include "([^"]+)"', line)
            if not found:
                continue
            include = found.group(1)
            if include.startswith(".."):
                problem(path, number, f'"{include}": name the path from src/ or include/, never ../')
            target = room_of_include(include)
            if target is None or target == room:
                continue
            if target not in ROOMS:
                problem(path, number, f'"{include}" is in no room of tests/structure/lint.py')
            elif allowed is not None:
                edges.add((room, target))
                if target not in allowed:
                    problem(path, number, f"room {room} may not include room {target}: move the code, or ask for it through a contract")
                if f"include{os.sep}gossamer" in path and not include.startswith("gossamer/"):
                    problem(path, number, "a public header includes a private one: make it public, or forward-declare")
            elif room in (".examples", ".peers", ".aggregator", ".simulations") and not include.startswith("gossamer/"):
                problem(path, number, "examples and mains use public headers only")


def check_purity():
    for path in tracked(".cpp", ".hpp"):
        public = f"{os.sep}include{os.sep}gossamer" in path
        room = room_of(path)
        for number, line in enumerate(open(path), 1):
            if public and re.search(BANNED_PUBLIC, line):
                problem(path, number, "a heavy library in a public header: keep it in a .cpp")
            if room not in PURE:
                continue
            code = line.split("//")[0]
            for pattern, advice in BANNED_IN_PURE:
                if re.search(pattern, code):
                    if "libm" in advice and any(part in path for part in LIBM_ALLOWED):
                        continue
                    problem(path, number, f"pure room {room} uses {advice}")


def check_tidy():
    for path in tracked(".cpp", ".hpp", ".cu", ".py", ".md", ".build", ".toml", "run"):
        text = open(path, errors="replace").read()
        lines = text.split("\n")
        code = path.endswith((".cpp", ".hpp"))
        if code and len(lines) > 402 and not re.search(r"long because|Long because", text[:1500]):
            problem(path, len(lines), f"{len(lines)} lines: split it, or say at the top why it is long (\"Long because …\")")
        for number, line in enumerate(lines, 1):
            if code and len(line) > 100:
                problem(path, number, f"{len(line)} columns: wrap at 100")
            if line != line.rstrip():
                problem(path, number, "space at the end of the line")
            if re.search(r"\b(FIXME|TODO|XXX)\b", line) and "structure" not in path:
                problem(path, number, "unfinished work: finish it, or describe it in an issue")
            if f"{os.sep}tests{os.sep}" in path and code and re.search(r"sleep_for|usleep|[^_]sleep\(", line):
                problem(path, number, "sleeping in a test: wait for a condition with a deadline")
            if re.search(r"/(home|root)/[a-z]", line) and "structure" not in path:
                problem(path, number, "a path of one machine")
    for path in tracked(".hpp"):
        if "#pragma once" not in open(path).read():
            problem(path, 1, "no #pragma once")
    for path in tracked(".md"):
        titles = [l for l in open(path) if l.startswith("# ")]
        if len(titles) != 1:
            problem(path, 1, f"{len(titles)} titles: a document has one")


def check_build_lists():
    names = {}
    for path in tracked("meson.build"):
        folder = os.path.dirname(path)
        for name in re.findall(r"'([^']+\.cpp)'", open(path).read()):
            names[os.path.normpath(os.path.join(folder, name))] = True
        # A loop over names builds 'x.cpp' from 'x'.
        for stem in re.findall(r"'([a-z_0-9/]+)'", open(path).read()):
            names[os.path.normpath(os.path.join(folder, stem + ".cpp"))] = True
    for path in tracked(".cpp"):
        if path not in names:
            problem(path, 1, "in no meson.build: name it there")


def check_format():
    files = tracked(".cpp", ".hpp")
    run = subprocess.run(["clang-format-16", "--dry-run", "-Werror", "--ferror-limit=1", *files],
                         capture_output=True, text=True, cwd=TOP)
    found = re.findall(r"^(.+?):(\d+):\d+: error: code should be clang-formatted", run.stderr, re.M)
    for path, line in found:
        problem(os.path.join(TOP, path), line, "not formatted: ./run format")
    if run.returncode and not found:
        problem(os.path.join(TOP, ".clang-format"), 1, f"clang-format-16 failed: {run.stderr[:200]}")


def picture(edges):
    """One line a room: what it uses directly, in the order of the house."""
    order = list(ROOMS)
    lines = []
    for room in order:
        uses = sorted({b for a, b in edges if a == room and b != "base"}, key=order.index)
        mark = "◦" if room in PURE else " "
        lines.append(f"{mark} {FLOOR.get(room, 'base'):<11}{room:<12}{' '.join(uses)}".rstrip())
    return "\n".join(lines)


def check_picture(edges):
    path = os.path.join(TOP, "docs", "architecture.md")
    if not os.path.exists(path):
        return
    found = re.search(r"<!-- picture -->\n```\n(.*?)\n```", open(path).read(), re.S)
    if not found or found.group(1) != picture(edges):
        problem(path, 1, "the dependency picture is stale: python3 tests/structure/lint.py --picture")


def changed_files():
    """Since this branch left main, or, on main, since the last commit; and what is not committed."""
    def git(*words):
        return subprocess.run(["git", "-C", TOP, *words], capture_output=True, text=True).stdout.split()
    left = git("merge-base", "HEAD", "main")
    base = left[0] if left and left != git("rev-parse", "HEAD") else "HEAD~1"
    return git("diff", "--name-only", base)


def deep(places):
    """clang-tidy on what changed, or on all sources below `places`."""
    if places:
        places = [os.path.relpath(os.path.abspath(p), TOP) for p in places]
        files = [os.path.relpath(f, TOP) for f in tracked(".cpp")]
        files = [f for f in files if any(p == "." or f == p or f.startswith(p + "/") for p in places)]
    else:
        files = [f for f in changed_files() if f.endswith(".cpp") and os.path.exists(os.path.join(TOP, f))]

    def tidy(file):
        return subprocess.run(["clang-tidy-16", "-p", "build", "--quiet", file], cwd=TOP,
                              capture_output=True, text=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for run in pool.map(tidy, files):
            if run.returncode:
                problems.append(run.stdout.strip() or run.stderr.strip())


edges = set()
check_rooms(edges)
if "--picture" in sys.argv:
    print(picture(edges))
    sys.exit(0)
check_purity()
check_tidy()
check_build_lists()
check_format()
check_picture(edges)
if "--deep" in sys.argv:
    deep(sys.argv[sys.argv.index("--deep") + 1:])
for text in problems:
    print(text)
print(f"lint: {len(problems)} problem{'' if len(problems) == 1 else 's'}")
sys.exit(1 if problems else 0)
