"""Counts test cases from a Meson test log and prints "N passed, N failed, N skipped".

A doctest program counts by its own summary line; any other test counts as one. A test that died
without a summary is one failure. Lines "SKIPPED: reason" are listed and counted as skipped.
"""
import json
import re
import sys

SUMMARY = re.compile(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped")


def main(path):
    passed = failed = skipped = 0
    with open(path) as log:
        for line in log:
            test = json.loads(line)
            text = (test.get("stdout") or "") + (test.get("stderr") or "")
            text = re.sub(r"\x1b\[[0-9;]*m", "", text)
            skips = re.findall(r"^SKIPPED: .*$", text, re.M)
            for reason in skips:
                print(f"  {test['name']}: {reason}")
            summaries = SUMMARY.findall(text)
            if test["result"] == "SKIP":
                skipped += 1
            elif summaries:
                good = sum(int(s[1]) for s in summaries)
                bad = sum(int(s[2]) for s in summaries)
                if bad == 0 and test["result"] not in ("OK", "EXPECTEDFAIL"):
                    bad = 1
                passed += good - min(len(skips), good)
                failed += bad
                skipped += min(len(skips), good)
            elif test["result"] in ("OK", "EXPECTEDFAIL"):
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1]))
