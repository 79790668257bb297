"""The same steps by the build of the maths library that the loader picks, and by its baseline
(glibc's loader is told to look for no other). Usage: bench_sets.py BUILD-FOLDER"""
import json
import os
import subprocess
import sys

LOADER = "/lib64/ld-linux-x86-64.so.2"
TURNS = 7


def start(command):
    process = subprocess.Popen([*command, "mlp-200-200", "28x28", "10", "10", "0"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def run(process, steps):
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main():
    server = os.path.join(sys.argv[1], "bench", "step_server")
    if not os.access(LOADER, os.X_OK):
        print(f"skipped: instruction sets: no {LOADER}", file=sys.stderr)
        return
    best, best_set = start([server])
    base, base_set = start([LOADER, "--glibc-hwcaps-mask", "none", server])
    rates = [0.0, 0.0]
    for _ in range(TURNS):
        for i, process in enumerate((best, base)):
            rates[i] = max(rates[i], 10 * 1000 / run(process, 1000))
    for process in (best, base):
        process.stdin.close()
        process.wait()
    ratio = rates[0] / rates[1]
    print(json.dumps({"name": f"mlp-200-200, batch 10, {best_set} against {base_set}", "value": round(rates[0]),
                      "unit": "samples/s", "limit": round(rates[1]), "ratio": round(ratio, 2), "goal": 3,
                      "met": ratio >= 3 if best_set == "x86-64-v4" else None}), flush=True)


main()
