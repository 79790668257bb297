"""Training steps on one thread beside PyTorch's and JAX's, in turns within one run.

Usage: bench_torch.py BUILD-FOLDER. Each figure is the best of several turns in processor time, so
that other work on the machine disturbs it less; the limit is the fastest rival form that the goal
names. PyTorch runs a step written by hand (torch.autograd.grad, then an in-place update without
gradient), once in its default layout of images and once in channels_last; JAX compiles the whole
step. Without one of them its figures are left out, and a line says why.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from extras import go_on_with_extras  # noqa: E402

go_on_with_extras()
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
TURNS = int(os.environ.get("GOSSAMER_BENCH_TURNS", "7"))
SECONDS = 0.25  # of processor time a turn

# model, input, outputs, batch, words; rivals and goals: (form, goal)
FIGURES = [
    ("softmax-regression", "28x28", 10, 10, 0, [("torch", 5.0)]),
    ("mlp-200-200", "28x28", 10, 10, 0, [("torch", 2.5), ("jax", 1.3)]),
    ("mlp-200-200", "28x28", 10, 32, 0, [("torch", 1.7), ("jax", 1.0)]),
    ("fedavg-cnn", "28x28", 10, 10, 0, [("torch", 1.35), ("torch channels_last", 1.35)]),
    ("fedavg-cnn", "28x28", 10, 32, 0, [("torch", 1.35), ("torch channels_last", 1.35)]),
    ("shakespeare-lstm", "80", 90, 10, 90, [("torch", 1.3)]),
    ("resnet-18", "32x32x3", 100, 20, 0, [("torch channels_last", 1.0)]),
]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Ours:
    def __init__(self, folder, model, shape, outputs, batch, words):
        self.process = subprocess.Popen(
            [os.path.join(folder, "bench", "step_server"), model, shape, str(outputs), str(batch), str(words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.set = self.process.stdout.readline().strip()

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def samples(shape, outputs, batch, words):
    import numpy
    rng = numpy.random.default_rng(1)
    size = (batch, *[int(n) for n in shape.split("x")])
    inputs = rng.integers(0, words, size) if words else rng.random(size)
    return inputs.astype("f4"), rng.integers(0, outputs, batch)


class Torch:
    def __init__(self, about, shape, outputs, batch, words, channels_last):
        import torch
        from torch_network import Network, loss_of
        torch.set_num_threads(1)
        self.torch, self.loss_of = torch, loss_of
        generator = torch.Generator().manual_seed(1)
        self.p = {t["name"]: (torch.randn(t["shape"], generator=generator) * 0.05).requires_grad_()
                  for t in about["tensors"]}
        self.network = Network(about["layers"], channels_last)
        inputs, labels = samples(shape, outputs, batch, words)
        self.x, self.y = torch.from_numpy(inputs), torch.from_numpy(labels)
        self.kind = about["loss"]

    def run(self, steps):
        torch = self.torch
        parameters = list(self.p.values())
        begin = time.process_time()
        for _ in range(steps):
            loss = self.loss_of(self.kind, self.network.forward(self.p, self.x), self.x, self.y, None)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-1e-3)
        return time.process_time() - begin

    def close(self):
        pass


class Jax:
    """The dense nets alone: a compiled step with its parameters donated."""

    def __init__(self, about, shape, outputs, batch, words):
        import jax
        import jax.numpy as jnp
        inputs, labels = samples(shape, outputs, batch, words)
        key = jax.random.PRNGKey(0)
        names = [t["name"] for t in about["tensors"]]
        self.p = {t["name"]: 0.05 * jax.random.normal(key, t["shape"]) for t in about["tensors"]}
        layers = sum(name.endswith(".weight") for name in names)
        x, y = jnp.asarray(inputs.reshape(batch, -1)), jnp.asarray(labels)

        def loss(p):
            h = x
            for i in range(1, layers + 1):
                h = h @ p[f"dense{i}.weight"] + p[f"dense{i}.bias"]
                if i < layers:
                    h = jax.nn.relu(h)
            return -jnp.mean(jax.nn.log_softmax(h)[jnp.arange(batch), y])

        def step(p, _):
            gradients = jax.grad(loss)(p)
            return {name: p[name] - 1e-3 * gradients[name] for name in p}, None

        # Many steps a call, as its users write a round: a call alone costs as much as a small step.
        self.steps = jax.jit(lambda p: jax.lax.scan(step, p, None, length=self.MANY)[0], donate_argnums=0)
        self.p = jax.block_until_ready(self.steps(self.p))
        self.jax = jax

    MANY = 50

    def run(self, steps):
        """Seconds for so many steps, from as many whole calls as they take."""
        calls = -(-steps // self.MANY)
        begin = time.process_time()
        for _ in range(calls):
            self.p = self.steps(self.p)
        self.jax.block_until_ready(self.p)
        return (time.process_time() - begin) * steps / (calls * self.MANY)

    def close(self):
        pass


def best_rates(runners, batch):
    """Samples a second of each, best of the turns."""
    steps = []
    for runner in runners:
        count, seconds = 1, runner.run(1)
        while seconds < SECONDS / 4 and count < 100_000:
            count *= 2
            seconds = runner.run(count)
        steps.append(max(1, round(count * SECONDS / max(seconds, 1e-6))))
    best = [0.0] * len(runners)
    for _ in range(TURNS):
        for i, runner in enumerate(runners):
            best[i] = max(best[i], steps[i] * batch / runner.run(steps[i]))
    return best


def available(name):
    try:
        module = __import__(name)
        return module.__version__
    except ImportError as missing:
        say(f"skipped: steps beside {name}: {missing} (./run setup --extras fetches it)")
        return None


def main():
    folder = sys.argv[1]
    versions = {name: available(name) for name in ("torch", "jax")}
    for model, shape, outputs, batch, words, goals in FIGURES:
        goals = [(form, goal) for form, goal in goals if versions[form.split()[0]]]
        if not goals:
            continue
        about = json.loads(subprocess.run(
            [os.path.join(folder, "bench", "torch_probe"), "describe", model, shape, str(outputs)],
            check=True, capture_output=True).stdout)
        ours = Ours(folder, model, shape, outputs, batch, words)
        rivals = [Jax(about, shape, outputs, batch, words) if form == "jax"
                  else Torch(about, shape, outputs, batch, words, "channels_last" in form) for form, _ in goals]
        rates = best_rates([ours, *rivals], batch)
        for (form, goal), limit in zip(goals, rates[1:]):
            name, *layout = form.split()
            rival = {"torch": "PyTorch", "jax": "JAX"}[name] + " " + versions[name].split("+")[0] + "".join(" " + w for w in layout)
            ratio = rates[0] / limit
            print(json.dumps({"name": f"step of {model}, batch {batch}, against {rival} ({ours.set})", "value": round(rates[0], 1),
                              "unit": "samples/s", "limit": round(limit, 1), "ratio": round(ratio, 3), "goal": goal,
                              "met": None if ours.set not in ("x86-64-v4",) else ratio >= goal}), flush=True)
        for runner in [ours, *rivals]:
            runner.close()


main()
