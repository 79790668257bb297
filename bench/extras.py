"""Where PyTorch and JAX are: in this Python, or in the one that ./run setup --extras made."""
import importlib.util
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def go_on_with_extras():
    """Starts the program anew in the other Python where this one has no PyTorch and that one may."""
    other = os.environ.get("GOSSAMER_PYTHON") or os.path.join(TOP, "build-python", "bin", "python3")
    if importlib.util.find_spec("torch") or os.environ.get("GOSSAMER_IN_EXTRAS") or not os.access(other, os.X_OK):
        return
    os.environ["GOSSAMER_IN_EXTRAS"] = "1"
    os.execv(other, [other, *sys.argv])
