"""Counts test cases from a Meson test log and prints "N passed, N failed, N skipped".

A doctest program counts by its own summary line; any other test counts as one. A doctest program
without a summary died, and one that ran no case tested nothing: a failure each. What says
"SKIPPED: reason" is listed and counted as skipped.
"""
import json
import re
import sys

BANNER = "[doctest] doctest version"
SUMMARY = re.compile(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped")


def main(path):
    passed = failed = skipped = 0
    with open(path) as log:
        for line in log:
            test = json.loads(line)
            text = (test.get("stdout") or "") + (test.get("stderr") or "")
            text = re.sub(r"\x1b\[[0-9;]*m", "", text)
            skips = re.findall(r"\bSKIPPED: .*$", text, re.M)
            for reason in skips:
                print(f"  {test['name']}: {reason}")
            summaries = SUMMARY.findall(text)
            if test["result"] == "SKIP":
                skipped += 1
            elif summaries:
                good = sum(int(s[1]) for s in summaries)
                bad = sum(int(s[2]) for s in summaries)
                if bad == 0 and (good == 0 or test["result"] not in ("OK", "EXPECTEDFAIL")):
                    bad = 1
                passed += good - min(len(skips), good)
                failed += bad
                skipped += min(len(skips), good)
            elif BANNER in text:
                failed += 1
            elif test["result"] in ("OK", "EXPECTEDFAIL"):
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1]))
