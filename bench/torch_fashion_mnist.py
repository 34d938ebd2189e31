#!/usr/bin/python3
"""Trains the network of examples/fashion_mnist with PyTorch and prints the time of each epoch.

784-256-10 with ReLU, softmax cross-entropy, SGD, batches by shuffled indexes, as many threads as cores. The images are
floats in memory before the clock starts.
"""
import argparse
import gzip
import os
import time

import torch


def read_idx(path, header):
    with gzip.open(path) as file:
        return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)


def read_set(folder, part):
    x = read_idx(f"{folder}/{part}-images-idx3-ubyte.gz", 16).reshape(-1, 784).float() / 255
    return x, read_idx(f"{folder}/{part}-labels-idx1-ubyte.gz", 8).long()


def train(net, sgd, x, labels, batch):
    """Seconds of one epoch."""
    loss = torch.nn.CrossEntropyLoss()
    start = time.perf_counter()
    order = torch.randperm(len(x))
    for first in range(0, len(x), batch):
        chosen = order[first : first + batch]
        sgd.zero_grad(set_to_none=True)
        loss(net(x[chosen]), labels[chosen]).backward()
        sgd.step()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    o = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(os.cpu_count())
    x, labels = read_set(o.data, "train")
    test_x, test_labels = read_set(o.data, "t10k")
    net = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    sgd = torch.optim.SGD(net.parameters(), lr=o.lr)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    for epoch in range(o.epochs):
        seconds = train(net, sgd, x, labels, o.batch)
        with torch.no_grad():
            right = (net(test_x).argmax(1) == test_labels).float().mean().item()
        print(f"epoch {epoch + 1}  {seconds:.3f} s  {len(x) / seconds:.0f} images/s  test {100 * right:.2f} %", flush=True)


if __name__ == "__main__":
    main()
