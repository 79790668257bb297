"""A network of ours, told by its layers' texts, as PyTorch computes it.

Parameters are a dict of tensors by our names and in our shapes (images are height x width x
channels, weights inputs x outputs); `forward` takes a batch of samples and gives the outputs.
`channels_last` and the default layout differ only in how PyTorch lays out images in between.
"""
import math

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}
WORDS = {"same", "valid", "stride", "nobias", "each", "lora", "alpha"}


class Layer:
    def __init__(self, text):
        words = text.split()
        self.kind = words[0]
        self.numbers = []
        self.options = {}
        self.activation = None
        i = 1
        while i < len(words):
            word = words[i]
            if word in ("stride", "lora", "alpha"):
                self.options[word] = float(words[i + 1])
                i += 1
            elif word in WORDS:
                self.options[word] = True
            elif word in ACTIVATIONS:
                self.activation = word
            else:
                self.numbers.append(float(word.split("x")[0]))
            i += 1


class Network:
    def __init__(self, layers, channels_last=False):
        self.layers = [Layer(text) for text in layers]
        self.channels_last = channels_last

    def forward(self, p, x):
        counts = {}
        branches = []
        images = False  # x is then count x channels x height x width

        def flat_images(x):
            return x.permute(0, 2, 3, 1) if images else x

        for layer in self.layers:
            kind = layer.kind
            counts[kind] = counts.get(kind, 0) + 1
            name = f"{kind}{counts[kind]}"
            if kind in ("conv", "maxpool", "avgpool") and not images:
                x = x.unsqueeze(-1) if x.dim() == 3 else x
                x = x.permute(0, 3, 1, 2)
                if not self.channels_last:
                    x = x.contiguous()
                images = True
            if kind in ("dense", "flatten", "lstm", "gru", "attention", "layernorm", "rmsnorm",
                        "position") and images:
                x = flat_images(x)
                images = False
            if kind == "dense":
                x = self.dense(p, name, layer, x)
            elif kind == "conv":
                x = self.conv(p, name, layer, x)
            elif kind in ("maxpool", "avgpool"):
                size = int(layer.numbers[0])
                stride = int(layer.options.get("stride", size))
                x = (F.max_pool2d if kind == "maxpool" else F.avg_pool2d)(x, size, stride)
            elif kind == "globalpool":
                x = x.mean((2, 3)) if images else x.flatten(1, -2).mean(1)
                images = False
            elif kind == "groupnorm":
                x = F.group_norm(x, int(layer.numbers[0]), p[name + ".weight"], p[name + ".bias"])
            elif kind == "layernorm":
                x = F.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"])
            elif kind == "rmsnorm":
                x = F.rms_norm(x, x.shape[-1:], p[name + ".weight"], eps=1e-5)
            elif kind in ACTIVATIONS:
                x = ACTIVATIONS[kind](x)
            elif kind == "flatten":
                x = x.flatten(1)
            elif kind == "embedding":
                x = F.embedding(x.flatten(1).long(), p[name + ".weight"])
            elif kind == "position":
                x = x + p[name + ".weight"]
            elif kind == "factors":
                x = self.factors(p, name, layer, x)
            elif kind in ("lstm", "gru"):
                x = self.recurrent(p, name, kind, x)
            elif kind == "last":
                x = x[:, -1]
            elif kind == "attention":
                x = self.attention(p, name, int(layer.numbers[0]), x)
            elif kind == "residual":
                branches.append([x, images, None])
            elif kind == "shortcut":
                branches[-1][2] = x
                x, images = branches[-1][0], branches[-1][1]
            elif kind == "add":
                begin, _, main = branches.pop()
                x = x + (begin if main is None else main)
            elif kind != "dropout":
                raise ValueError(kind)
            if layer.activation:
                x = ACTIVATIONS[layer.activation](x)
        return flat_images(x).flatten(1)

    @staticmethod
    def dense(p, name, layer, x):
        if "each" not in layer.options:
            x = x.flatten(1)
        y = x @ p[name + ".weight"]
        if name + ".bias" in p:
            y = y + p[name + ".bias"]
        if "lora" in layer.options:
            rank = layer.options["lora"]
            scale = layer.options.get("alpha", rank) / rank
            y = y + scale * (x @ p[name + ".adapter_a"] @ p[name + ".adapter_b"])
        return y

    def conv(self, p, name, layer, x):
        w = p[name + ".weight"].permute(3, 2, 0, 1)
        if self.channels_last:
            w = w.contiguous(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        stride, size = int(layer.options.get("stride", 1)), w.shape[-1]
        padding = 0
        if "same" in layer.options:
            sides = []
            for extent in (x.shape[3], x.shape[2]):
                needed = (math.ceil(extent / stride) - 1) * stride + size - extent
                needed = max(needed, 0)
                sides += [needed // 2, needed - needed // 2]
            if len(set(sides)) == 1:
                padding = sides[0]
            else:
                x = F.pad(x, sides)
        return F.conv2d(x, w, p.get(name + ".bias"), stride, padding)

    @staticmethod
    def factors(p, name, layer, x):
        users, items = int(layer.numbers[0]), int(layer.numbers[1])
        user, item = x[:, 0].long(), x[:, 1].long()
        bias = p[name + ".bias"]
        y = (p[name + ".users"][user] * p[name + ".items"][item]).sum(1)
        return (y + bias[user] + bias[users + item] + bias[users + items]).unsqueeze(1)

    @staticmethod
    def recurrent(p, name, kind, x):
        w, u, b = p[name + ".weight"], p[name + ".recurrent"], p[name + ".bias"]
        units = u.shape[0]
        if kind == "gru":  # ours: update, reset, new; PyTorch's: reset, update, new
            def turn(t):
                z, r, n = t.split(units, -1)
                return torch.cat([r, z, n], -1)
            w, u, b = turn(w), turn(u), turn(b)
        h = torch.zeros(1, x.shape[0], units, dtype=x.dtype)
        weights = [w.t().contiguous(), u.t().contiguous(), b, torch.zeros_like(b)]
        if kind == "lstm":
            return torch.lstm(x, (h, h), weights, True, 1, 0.0, True, False, True)[0]
        return torch.gru(x, h, weights, True, 1, 0.0, True, False, True)[0]

    @staticmethod
    def attention(p, name, heads, x):
        count, steps, width = x.shape
        qkv = (x @ p[name + ".weight"] + p[name + ".bias"]).view(count, steps, 3, heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).reshape(count, steps, width)
        return y @ p[name + ".output"] + p[name + ".output_bias"]


def loss_of(kind, outputs, inputs, labels, targets):
    """`kind` is the number of our Loss; labels may be several a sample, -1 is padding."""
    if kind == 0:
        if labels.dim() == 1:
            return F.cross_entropy(outputs, labels)
        rows = outputs.reshape(labels.numel(), -1)
        return F.cross_entropy(rows, labels.flatten(), ignore_index=-1)
    if kind == 1:
        return F.mse_loss(outputs, targets)
    if kind == 2:
        return F.binary_cross_entropy_with_logits(outputs, targets)
    return F.mse_loss(outputs, inputs.flatten(1))
