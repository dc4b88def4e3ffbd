"""Plain numpy twin of csrc/qbitsat/_kernels/suggest/descent_loops.c, and descent_wide_loops.c, for one node, in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MEAN_STEPS, FIRST_MOMENT, SECOND_MOMENT, LEAST_STEP = 16, 0.3, 0.1, 1e-3
POLISH_RATE, POLISH_DECAY, NOISE = 0.02, 0.93, 1e-6
ACTIVE, LOOK_AGAIN, FEW = 0.2, 10, 32


class Layer(NamedTuple):
    """matrix float[n_out, n_in] over the values that it reads, each once; bias float[n_out] with what padding gives; the first neuron.

    by_columns: one dense layer over neighbouring inputs, which inputs follow a step at a time. places: of each of its positions the
    outputs, counted from 0, and the values that it reads.
    """

    matrix: np.ndarray
    bias: np.ndarray
    reads: np.ndarray
    neuron: int
    by_columns: bool
    places: list[tuple[np.ndarray, np.ndarray]]

    @property
    def neurons(self) -> slice:
        return slice(self.neuron, self.neuron + len(self.bias))


class Node(NamedTuple):
    """x_lo, x_hi float[inputs]; vertex_acc, vertex_y float[6, neurons]; slopes float[neurons], below 0 for those of no use."""

    x_lo: np.ndarray
    x_hi: np.ndarray
    vertex_acc: np.ndarray
    vertex_y: np.ndarray
    slopes: np.ndarray


class Result(NamedTuple):
    value: float
    multipliers: np.ndarray
    shares: np.ndarray
    coefficients: np.ndarray
    x_best: np.ndarray
    x_mean: np.ndarray
    acc_mean: np.ndarray
    y_mean: np.ndarray
    steps: int


class Twin:
    """inequalities: (values, coefficients, bound) of those that the node names, in its order; the multiplier of `anchor` stays."""

    def __init__(self, layers: list[Layer], inequalities: list, node: Node, anchor: int = -1):
        self.layers, self.inequalities, self.node = layers, inequalities, node
        self.anchor = np.arange(len(node.slopes)) == anchor
        self.m, self.n = len(node.x_lo), len(node.slopes)
        self.x, self.active = np.zeros(self.m), np.ones(self.m, bool)
        self.any_columns = any(layer.by_columns for layer in layers)

    def combine(self, shares: np.ndarray) -> tuple[float, np.ndarray]:
        c, total = np.zeros(self.m + self.n), 0.0
        for share, (values, coefficients, bound) in zip(shares, self.inequalities, strict=True):
            np.add.at(c, values, -share * np.asarray(coefficients, float))
            total += share * bound
        return total, c

    def marked(self, multipliers: np.ndarray) -> np.ndarray:
        """Which neurons inequalities rest on, by way of positions with an output that may differ; all if there are no inequalities."""
        marks = np.full(self.m + self.n, not self.inequalities)
        marks[self.m :] |= multipliers != 0
        for values, _, _ in self.inequalities:
            marks[values] = True
        for layer in reversed(self.layers):
            for outputs, reads in layer.places:
                neurons = layer.neuron + outputs
                if (marks[self.m + neurons] & (self.node.slopes[neurons] >= 0)).any():
                    marks[reads] = True
        return marks[self.m :]

    def substitute(self, multipliers: np.ndarray, shares: np.ndarray, cold: bool) -> tuple[np.ndarray, np.ndarray]:
        """The multipliers to start from and the natural sizes of their steps."""
        _, c = self.combine(shares)
        useful, line = self.node.slopes >= 0, np.zeros(self.n)
        moves = useful & self.marked(multipliers)
        for layer in reversed(self.layers):
            part = layer.neurons
            line[part] = np.where(self.anchor[part], multipliers[part], self.node.slopes[part] * c[self.m :][part]) * useful[part]
            c[layer.reads] += line[part] @ layer.matrix
        start = np.where(useful, line if cold else multipliers, 0)
        step_size = np.maximum(abs(line), abs(start))
        least = LEAST_STEP * step_size.sum() / max(1, moves.sum()) + 1e-12
        return start, np.where(moves & ~self.anchor, np.maximum(step_size, least), 0)

    def evaluate(self, multipliers: np.ndarray, shares: np.ndarray, full: bool):
        """Dual value, coefficients, gradients of multipliers and shares, and the point that attains the value.

        Unless it is full only active inputs may change sides: those that had small coefficients at the last full look.
        """
        node = self.node
        total, c = self.combine(shares)
        acc, y = np.empty(self.n), np.empty(self.n)
        for layer in reversed(self.layers):
            part = layer.neurons
            terms = c[self.m :][part] * node.vertex_y[:, part] - multipliers[part] * node.vertex_acc[:, part]
            pick = terms.argmax(axis=0), np.arange(terms.shape[1])
            acc[part], y[part] = node.vertex_acc[:, part][pick], node.vertex_y[:, part][pick]
            total += terms[pick].sum() + multipliers[part] @ layer.bias
            c[layer.reads] += multipliers[part] @ layer.matrix
        x = np.where(full | self.active, np.where(c[: self.m] > 0, node.x_hi, node.x_lo), self.x)
        if full:
            self.active = (abs(c[: self.m]) <= ACTIVE * abs(c[: self.m]).mean()) | (self.m < FEW)
        self.x = x
        total += c[: self.m] @ x
        values = np.concatenate([x, y])
        slope = np.concatenate([layer.matrix @ values[layer.reads] + layer.bias for layer in self.layers]) - acc
        slack = np.array([bound - np.asarray(k, float) @ values[v] for v, k, bound in self.inequalities])
        return total, c, slope, slack, (x, acc, y)

    def descend(
        self, multipliers: np.ndarray, shares: np.ndarray, cold: bool, steps: int, rate: float, decay: float, polish: int = 0
    ) -> Result:
        if not cold and not len(shares):
            multipliers = multipliers / (abs(multipliers).max() or 1)
        lam, step_size = self.substitute(multipliers, shares, cold)
        start = np.concatenate([lam, shares])
        best, means, taken = self.take_steps(start, step_size, (np.inf,), steps, rate, decay)
        if polish and not self.below(best):
            if not len(shares) and not self.anchor.any():
                read = np.zeros(self.m + self.n, bool)
                for layer in self.layers:
                    read[layer.reads] = True
                step_size[np.where(read[self.m :], -1, abs(best[1])).argmax()] = 0
            best, _, more = self.take_steps(np.concatenate(best[1:3]), step_size, best, polish, POLISH_RATE, POLISH_DECAY)
            taken += more
        total, c, _, _, point = self.evaluate(best[1], best[2], True)
        return Result(total, best[1], best[2], c, point[0], *means, taken)

    def below(self, best: tuple) -> bool:
        return best[0] < -NOISE * best[3]

    def take_steps(self, lam: np.ndarray, step_size: np.ndarray, best: tuple, steps: int, rate: float, decay: float) -> tuple:
        """The best (value, multipliers, shares, magnitude of the terms), the means, and the number of steps."""
        shares = len(lam) - self.n
        sizes = np.concatenate([step_size, np.full(shares, float(shares > 1))])
        mean, square = np.zeros(len(lam)), np.zeros(len(lam))
        means = [np.zeros(self.m), np.zeros(self.n), np.zeros(self.n)]
        for step in range(1, steps + 1):
            full = step % LOOK_AGAIN == 1 or not self.any_columns
            total, c, slope, slack, point = self.evaluate(lam[: self.n], lam[self.n :], full)
            if total < 0 and not full:
                total, c, slope, slack, point = self.evaluate(lam[: self.n], lam[self.n :], True)
            means = [a + (b - a) / min(step, MEAN_STEPS) for a, b in zip(means, point, strict=True)]
            now = (total, lam[: self.n].copy(), lam[self.n :].copy(), self.magnitude(lam, c, point))
            if total < best[0] or self.below(now):
                best = now
            if self.below(now):
                break
            g = np.concatenate([slope, slack]) * sizes
            mean += FIRST_MOMENT * (g - mean)
            square += SECOND_MOMENT * (g * g - square)
            first, second = 1 - (1 - FIRST_MOMENT) ** step, 1 - (1 - SECOND_MOMENT) ** step
            lam = lam - rate * sizes * (mean / first) / (np.sqrt(square / second) + 1e-9)
            if shares > 1:
                lam[self.n :] = np.maximum(lam[self.n :], 0)
            rate *= decay
        return best, means, step

    def magnitude(self, lam: np.ndarray, c: np.ndarray, point: tuple) -> float:
        """Of the terms that the dual value is the sum of."""
        x, acc, y = point
        bias = sum(abs(lam[layer.neurons] @ layer.bias) for layer in self.layers)
        terms = c[self.m :] * y, lam[: self.n] * acc, c[: self.m] * x
        return abs(self.combine(lam[self.n :])[0]) + bias + sum(abs(part).sum() for part in terms)
