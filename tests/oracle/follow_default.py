#!/usr/bin/env python3
"""Follows only `default` attributes from the root to an NXdata that can be plotted.  usage: follow_default.py FILE.h5"""
import sys

import h5py


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


with h5py.File(sys.argv[1]) as h5:
    node = h5
    while text(node.attrs.get("NX_class", "")) != "NXdata":
        node = node[text(node.attrs["default"])]
    signal = node[text(node.attrs["signal"])]
    axes = [text(a) for a in node.attrs["axes"]]
    assert len(axes) == signal.ndim, (axes, signal.shape)
    for size, axis in zip(signal.shape, axes):
        assert axis == "." or node[axis].shape == (size,), (axis, size)
    print(node.name, signal.name, signal.shape, axes)
