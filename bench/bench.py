"""Runs the benchmarks of a build folder and prints each figure beside its limit.

Each program prints one JSON object a line: name, value, unit, limit, ratio, goal, met (true, false,
or null where the machine cannot tell). `limit` is what the machine allows for the same work,
measured in the same run; `ratio` is value / limit in the sense in which more is better, unless the
goal says otherwise.
"""
import json
import os
import subprocess
import sys


def number(value):
    if value is None:
        return "-"
    if isinstance(value, (int, float)):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def main():
    folder = sys.argv[1]
    arguments = sys.argv[2:]
    as_json = "--format" in arguments and arguments[arguments.index("--format") + 1] == "json"
    wanted = [a for a in arguments if not a.startswith("--") and a not in ("json", "text")]
    programs = sorted(
        os.path.join(folder, "bench", name)
        for name in os.listdir(os.path.join(folder, "bench"))
        if name.startswith("bench_") and os.access(os.path.join(folder, "bench", name), os.X_OK)
        and os.path.isfile(os.path.join(folder, "bench", name)))
    here = os.path.dirname(os.path.abspath(__file__))
    programs += sorted(os.path.join(here, name) for name in os.listdir(here)
                       if name.startswith("bench_") and name.endswith(".py"))
    if wanted:
        names = ", ".join(os.path.basename(p).removeprefix("bench_").removesuffix(".py") for p in programs)
        programs = [p for p in programs if any(w in os.path.basename(p) for w in wanted)]
        if not programs:
            print(f"no benchmark's name contains {' or '.join(wanted)}; there are {names}", file=sys.stderr)
            return 2
    if not as_json:
        print(f"{'figure':<52}{'value':>12} {'unit':<14}{'limit':>12}{'ratio':>8}{'goal':>9}  met")
    status = 0
    for program in programs:
        command = [sys.executable, program, folder] if program.endswith(".py") else [program]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in run.stdout:
            if not line.startswith("{"):
                print(line.rstrip(), file=sys.stderr)
                continue
            row = json.loads(line)
            row["met"] = {True: "yes", False: "no", None: "n/a"}.get(row["met"], row["met"])
            if as_json:
                print(json.dumps(row), flush=True)
            else:
                print(f"{row['name']:<52}{number(row['value']):>12} {row['unit']:<14}{number(row['limit']):>12}"
                      f"{number(row['ratio']):>8}{number(row['goal']):>9}  {row['met']}", flush=True)
        if run.wait() != 0:
            print(f"{os.path.basename(program)} failed with {run.returncode}", file=sys.stderr)
            status = 1
    return status


sys.exit(main())
