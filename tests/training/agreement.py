"""One step of each network and kind of layer, by us and by PyTorch: the same weights and batch must
give the same loss, gradients and weights after a step of plain SGD. PyTorch computes in double, so
that what differs is ours. Usage: agreement.py PROBE FOLDER-OF-torch_network.py
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

CASES = [  # model, input, outputs, batch, words (inputs are numbers below it), labels a sample
    ("softmax-regression", "28x28", 10, 10, 0, 1),
    ("linear-regression", "13", 1, 10, 0, 1),
    ("mlp-200-200", "28x28", 10, 10, 0, 1),
    ("mlp-200-200", "28x28", 10, 32, 0, 1),
    ("fedavg-cnn", "28x28", 10, 10, 0, 1),
    ("autoencoder", "28x28", 784, 4, 0, 1),
    ("resnet-8", "32x32x3", 10, 4, 0, 1),
    ("resnet-18", "32x32x3", 100, 2, 0, 1),
    ("shakespeare-lstm", "20", 90, 4, 90, 1),
    ("transformer", "16", 96, 4, 96, 16),
    ("matrix-factorization", "2", 1, 16, 3953, 1),
    ("conv 32 3x3 valid relu;conv 64 3x3 valid relu;maxpool 2x2;dense 128 relu;dense 62|0", "28x28", 62, 4, 0, 1),
    ("conv 9 3x3 stride 2 same tanh;avgpool 2x2;conv 6 4x4 same silu;globalpool;dense 5|0", "13x11x3", 5, 3, 0, 1),
    ("dense 24 gelu;dense 16 silu;dense 12 sigmoid;dense 7 tanh;dense 4|2", "20", 4, 6, 0, 1),
    ("dense 12 each;layernorm;gelu;dense 9 each nobias;rmsnorm;dense 5|1", "7x6", 5, 3, 0, 1),
    ("embedding 30 8;gru 16;dense 30 each|0", "9", 30, 3, 30, 9),
    ("dense 24 relu lora 4 alpha 8;dense 10 lora 2|0", "30", 10, 8, 0, 1),
    ("conv 8 3x3 same;groupnorm 4;relu;residual;conv 16 3x3 stride 2 same;shortcut;conv 16 1x1 stride 2 same;add;dense 4|0",
     "8x8x2", 4, 3, 0, 1),
]
RATE = 0.5
TOLERANCE = 2e-4  # of a tensor's gradient, both in the Euclidean norm
# Of the millions of values that meet ReLU there, one lies so near 0 that rounding turns it the other
# way; the gradients of its channel and of all before it then differ by that sample's share.
TOLERANCE_OF = {"resnet-18": 3e-3}


def skip(reason):
    print(f"SKIPPED: agreement with PyTorch: {reason}")
    sys.exit(77)


sys.path.insert(0, sys.argv[2])
from extras import go_on_with_extras  # noqa: E402

go_on_with_extras()
try:
    import numpy
    import torch
except ImportError as missing:
    skip(f"{missing}; ./run setup --extras fetches it")
from torch_network import Network, loss_of  # noqa: E402


def write(path, tensors):
    header, body = {}, b""
    for name, value in tensors.items():
        raw = numpy.ascontiguousarray(value, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def read(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        body = file.read()
    header.pop("__metadata__", None)
    return {name: numpy.frombuffer(body[t["data_offsets"][0]:t["data_offsets"][1]], "<f4").reshape(t["shape"])
            for name, t in header.items()}


def first_values(rng, name, shape):
    if name.endswith(".bias") or len(shape) == 1:
        ones = "norm" in name and name.endswith(".weight")
        return (1.0 if ones else 0.0) + 0.1 * rng.standard_normal(shape)
    inputs = numpy.prod(shape[:-1]) if "conv" in name else shape[0]
    if name.startswith(("embedding", "factors")):
        inputs = 4
    return rng.standard_normal(shape) * (1.3 / numpy.sqrt(inputs))


def compare(probe, case, folder):
    model, shape, outputs, batch, words, positions = case
    rng = numpy.random.default_rng(7)
    asked = [model, shape, str(outputs)]
    about = json.loads(subprocess.run([probe, "describe", *asked], check=True, capture_output=True).stdout)
    extents = [int(n) for n in shape.split("x")]
    tensors = {t["name"]: first_values(rng, t["name"], t["shape"]).astype("f4") for t in about["tensors"]}
    size = (batch, *extents)
    inputs = rng.integers(0, words, size) if words else rng.standard_normal(size)
    sample = {"sample.inputs": inputs.astype("f4")}
    labels = targets = None
    if about["loss"] == 0:
        labels = rng.integers(0, outputs, (batch, positions) if positions > 1 else batch)
        if positions > 1:
            labels[0, -2:] = -1
        sample["sample.labels"] = labels.astype("f4")
    elif about["loss"] < 3:
        targets = rng.random((batch, about["outputs"])).astype("f4")
        sample["sample.targets"] = targets
    source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
    write(source, tensors | sample)
    run = subprocess.run([probe, "step", *asked, str(batch), source, result, str(RATE)], check=True, capture_output=True)
    loss, ours = float(run.stdout), read(result)

    double = {n: torch.from_numpy(v).double().requires_grad_() for n, v in tensors.items()}
    x = torch.from_numpy(sample["sample.inputs"]).double()
    theirs = loss_of(about["loss"], Network(about["layers"]).forward(double, x), x,
                     None if labels is None else torch.from_numpy(labels),
                     None if targets is None else torch.from_numpy(targets).double())
    theirs.backward()
    problems = []
    if abs(loss - theirs.item()) > 1e-5 * max(1.0, abs(theirs.item())):
        problems.append(f"loss {loss}, PyTorch {theirs.item()}")
    largest = max(double[name].grad.norm().item() for name in tensors)
    worst = 0.0
    for name, value in tensors.items():
        wanted = double[name].grad.numpy()
        scale = max(numpy.linalg.norm(wanted), 1e-4 * largest)
        error = numpy.linalg.norm(ours[name] - wanted) / scale
        stepped = value - RATE * wanted
        after = numpy.linalg.norm(ours["after." + name] - stepped) / (RATE * scale + numpy.linalg.norm(value))
        worst = max(worst, error, after)
        if not max(error, after) < TOLERANCE_OF.get(model, TOLERANCE):
            problems.append(f"{name}: gradient off by {error:.2g}, weights after a step by {after:.2g}")
    print(f"{'ok ' if not problems else 'BAD'} {model[:60]} batch {batch}: loss {loss:.6f}, gradients within {worst:.1e}")
    for problem in problems:
        print("    " + problem)
    return not problems


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        good = [compare(sys.argv[1], case, folder) for case in CASES]
    passed = sum(good)
    print(f"test cases: {len(good)} | {passed} passed | {len(good) - passed} failed | 0 skipped")
    return 0 if passed == len(good) else 1


sys.exit(main())
