"""The same training steps in PyTorch and JAX, where this Python has them: compare.py FOLDER OUT.json [SECONDS]

PyTorch eager and with a CUDA graph, one replica; JAX compiled, one replica and 64 under vmap. Data on
the card, batches by index there, plain SGD, float32. "tf32" rows let the matrix units round inputs to
10 bits, which is PyTorch's default for convolutions and JAX's for all products; ours never does.
"""
import glob
import json
import os
import signal
import sys
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
started = time.monotonic()
deadline = 0  # of one library's rows
write_down = None  # all rows so far
rows = []


class Late(Exception):
    pass


def late(*_):
    raise Late()


def section(name, seconds, work):
    """Runs one measurement with a limit of its own: what is slow or missing is said, not waited for."""
    seconds_left = deadline - time.monotonic()
    if seconds_left < 3:
        rows.append({"name": name, "value": None, "why": "no time was left"})
        print(f"{name:<56} no time was left", flush=True)
        return
    seconds = min(seconds, int(seconds_left))
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        value = work()
        rows.append({"name": name, "value": value, "unit": "1/s"})
        print(f"{name:<56} {value:14.4g} /s", flush=True)
    except Late:
        rows.append({"name": name, "value": None, "why": f"took more than {seconds} s"})
        print(f"{name:<56} took more than {seconds} s", flush=True)
    except Exception as error:  # a rival that fails is a row, not the end
        rows.append({"name": name, "value": None, "why": str(error)[:200]})
        print(f"{name:<56} failed: {str(error)[:200]}", flush=True)
    finally:
        signal.alarm(0)
        write_down()


def timed(step, sync, count):
    """Steps a second: median of five runs after a warm-up."""
    for _ in range(max(3, count // 10)):
        step()
    sync()
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(count):
            step()
        sync()
        times.append(time.perf_counter() - begin)
    return count / sorted(times)[2]


def torch_rows():
    import torch
    from torch import nn

    device = torch.device("cuda")
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}", flush=True)

    def network(name):
        if name == "2nn":
            return nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(),
                                 nn.Linear(200, 10)).to(device)
        return nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                             nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10)).to(device)

    # The first step of an optimiser imports half of PyTorch: not within a measurement.
    dummy = nn.Linear(2, 2).to(device)
    dummy(torch.rand(2, 2, device=device)).sum().backward()
    torch.optim.SGD(dummy.parameters(), lr=0.01, foreach=True).step()
    data = torch.rand(960, 1, 28, 28, device=device)
    labels = torch.randint(0, 10, (960,), device=device)

    def measure(name, batch, graph, tf32):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        net = network(name)
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01, foreach=True)
        loss_of = nn.CrossEntropyLoss()
        order = torch.randperm(960, device=device)
        index = order[:batch].clone()
        state = {"at": 0}

        def body():
            optimiser.zero_grad(set_to_none=True)
            loss_of(net(data[index]), labels[index]).backward()
            optimiser.step()

        def next_batch():
            at = state["at"]
            index.copy_(order[at:at + batch])
            state["at"] = (at + batch) % (960 - batch)

        def eager():
            next_batch()
            body()

        if not graph:
            return timed(eager, torch.cuda.synchronize, 200)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(5):
                eager()
        torch.cuda.current_stream().wait_stream(stream)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            body()

        def replay():
            next_batch()
            captured.replay()

        return timed(replay, torch.cuda.synchronize, 400)

    def delta_to_host():
        a, b = torch.rand(64 << 20, device=device), torch.rand(64 << 20, device=device)
        return timed(lambda: (a - b).cpu(), torch.cuda.synchronize, 5)

    section("float32 delta of 64M to the host, torch", 20, delta_to_host)
    for name in ("2nn", "cnn"):
        for batch in (10, 32):
            section(f"{name} batch {batch} torch eager", 30, lambda: measure(name, batch, False, False))
            section(f"{name} batch {batch} torch graph", 30, lambda: measure(name, batch, True, False))
            section(f"{name} batch {batch} torch graph tf32", 30, lambda: measure(name, batch, True, True))


def jax_rows():
    import jax
    import jax.numpy as jnp
    from jax import lax

    print(f"JAX {jax.__version__} on {jax.devices()[0]}", flush=True)
    key = jax.random.PRNGKey(1)
    data = jax.random.uniform(key, (960, 28, 28, 1))
    labels = jax.random.randint(key, (960,), 0, 10)

    def dense(key, a, b):
        return {"w": jax.random.normal(key, (a, b)) * (2 / a) ** 0.5, "b": jnp.zeros(b)}

    def conv(key, a, b):
        return {"w": jax.random.normal(key, (5, 5, a, b)) * (2 / (25 * a)) ** 0.5, "b": jnp.zeros(b)}

    def start(name, key):
        k = jax.random.split(key, 4)
        if name == "2nn":
            return [dense(k[0], 784, 200), dense(k[1], 200, 200), dense(k[2], 200, 10)]
        return [conv(k[0], 1, 32), conv(k[1], 32, 64), dense(k[2], 3136, 512), dense(k[3], 512, 10)]

    def forward(name, p, x):
        if name == "2nn":
            x = x.reshape(x.shape[0], -1)
            x = jax.nn.relu(x @ p[0]["w"] + p[0]["b"])
            x = jax.nn.relu(x @ p[1]["w"] + p[1]["b"])
            return x @ p[2]["w"] + p[2]["b"]
        for layer in p[:2]:
            x = lax.conv_general_dilated(x, layer["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x + layer["b"])
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = x.reshape(x.shape[0], -1)
        x = jax.nn.relu(x @ p[2]["w"] + p[2]["b"])
        return x @ p[3]["w"] + p[3]["b"]

    def measure(name, batch, replicas, precision, count):
        def loss(p, index):
            z = forward(name, p, data[index])
            return -jnp.take_along_axis(jax.nn.log_softmax(z), labels[index][:, None], 1).mean()

        def step(p, index):
            g = jax.grad(loss)(p, index)
            return jax.tree_util.tree_map(lambda w, d: w - 0.01 * d, p, g), None

        def epoch(p, indices):
            return lax.scan(step, p, indices)[0]

        with jax.default_matmul_precision(precision):
            keys = jax.random.split(key, replicas)
            indices = jax.random.randint(key, (replicas, count, batch), 0, 960)
            if replicas == 1:
                p, run, indices = start(name, keys[0]), jax.jit(epoch), indices[0]
            else:
                p, run = jax.vmap(lambda k: start(name, k))(keys), jax.jit(jax.vmap(epoch))
            p = jax.block_until_ready(run(p, indices))
            times = []
            for _ in range(5):
                begin = time.perf_counter()
                p = jax.block_until_ready(run(p, indices))
                times.append(time.perf_counter() - begin)
        return count * replicas / sorted(times)[2]

    for name in ("2nn", "cnn"):
        for replicas in (1, 64):
            count = 200 if replicas == 1 else 50
            for label, precision in (("", "highest"), (" tf32", "default")):
                section(f"{name} batch 32 jax replicas {replicas}{label}", 45,
                        lambda: measure(name, 32, replicas, precision, count))


def ratios(ours, shown):
    """The goals: ours over the rival's, where both were measured."""
    mine = {row["name"]: row["value"] for row in ours["figures"]}
    theirs = {row["name"]: row["value"] for row in rows if row.get("value")}
    best = {}
    for name, value in mine.items():
        for mode in (" graph", " persistent"):
            if name.endswith(mode):
                short = name[:-len(mode)]
                best[short] = max(best.get(short, 0), value)
    goals = []

    def against(name, value, rival, goal):
        ratio = value / rival if value and rival else None
        met = None if ratio is None or goal is None else ratio >= goal
        goals.append({"name": name, "ratio": ratio, "goal": goal, "met": met})
        if shown:
            text = "-" if ratio is None else f"{ratio:.2f}"
            verdict = "" if met is None else "met" if met else "missed"
            print(f"{name:<56} {text:>10}  goal {goal if goal else '-'}  {verdict}")

    packed = mine.get("delta, clip, int8, with the copy to the host")
    against("delta, clip, int8 and copy against torch's float32 delta", 1e3 / packed if packed else None,
            theirs.get("float32 delta of 64M to the host, torch"), 4)
    for net in ("2nn", "cnn"):
        one, many = best.get(f"{net} batch 32 replicas 1"), best.get(f"{net} batch 32 replicas 64")
        eager = theirs.get(f"{net} batch 32 torch eager")
        for name, value, rival, goal in (
                (f"{net} batch 32 against torch eager", one, eager, 5),
                (f"{net} batch 32 against torch graph", one, theirs.get(f"{net} batch 32 torch graph"), 1.5),
                (f"{net} batch 32 against torch graph tf32", one, theirs.get(f"{net} batch 32 torch graph tf32"), None),
                (f"{net} 64 replicas against torch eager", many, eager, 20),
                (f"{net} 64 replicas against jax vmap", many, theirs.get(f"{net} batch 32 jax replicas 64"), 2),
                (f"{net} 64 replicas against jax vmap tf32", many,
                 theirs.get(f"{net} batch 32 jax replicas 64 tf32"), None)):
            against(name, value, rival, goal)
    return goals


def main():
    global deadline, write_down
    folder, out_path = sys.argv[1:3]
    # Imports count, and what is left over is for writing.
    end = started + float(sys.argv[3] if len(sys.argv) > 3 else 150) - 3
    ours = {"figures": []}  # of the parts that came to be
    for path in sorted(glob.glob(os.path.join(folder, "bench-*.json"))):
        with open(path) as part:
            ours["figures"] += json.load(part)["figures"]

    def write_down(shown=False):  # what there is, should the time run out
        with open(out_path + ".tmp", "w") as out:
            json.dump({"rivals": rows, "goals": ratios(ours, shown)}, out, indent=1)
        os.replace(out_path + ".tmp", out_path)

    for name, work, share in (("PyTorch", torch_rows, 0.45), ("JAX", jax_rows, 1.0)):
        try:
            deadline = time.monotonic() + (end - time.monotonic()) * share
            work()
        except ImportError as error:
            print(f"{name} is not here: {error}", flush=True)
            rows.append({"name": name, "value": None, "why": str(error)})
        except Exception as error:
            print(f"{name} failed: {error}", flush=True)
            rows.append({"name": name, "value": None, "why": str(error)[:200]})
        write_down(shown=name == "JAX")


main()
