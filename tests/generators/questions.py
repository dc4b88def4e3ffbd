"""Random tiny questions as TOML texts, with their meaning in plain Python, and the check of every one against enumeration."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from graphs import random_graph
from tiny import random_network

from qbitsat.network import Network, reference
from qbitsat.optimize import EMPTY, OPTIMAL, maximize
from qbitsat.properties.question_file import Question, load_question
from qbitsat.verify import HOLDS, VIOLATED, verify

# All tensors at a point by their names in the question.
Point = dict[str, np.ndarray]


class Said(NamedTuple):
    """An expression, and what it is at a point."""

    text: str
    at: Callable[[Point], Any]


SIGNS = {
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


class Talk:
    """Random expressions over tensors of known shapes, and of known values for constants that matter."""

    def __init__(self, rng: random.Random, points: list[Point]):
        self.rng, self.points = rng, points

    def tensor(self) -> Said:
        name = self.rng.choice(list(self.points[0]))
        shape = self.points[0][name].shape
        roll = self.rng.random()
        if roll < 0.2:
            return Said(f"{name}.flat", lambda p: p[name].reshape(-1))
        if roll < 0.5 and shape[0] > 1:
            a = self.rng.randrange(shape[0] - 1)
            b = self.rng.randint(a + 1, shape[0])
            return Said(f"{name}[{a or ''}:{b if b < shape[0] else ''}]", lambda p: p[name][a:b])
        return Said(name, lambda p: p[name])

    def element(self) -> Said:
        name = self.rng.choice(list(self.points[0]))
        index = tuple(self.rng.randrange(n) for n in self.points[0][name].shape)
        return Said(f"{name}[{', '.join(map(str, index))}]", lambda p: int(p[name][index]))

    def number(self, depth: int = 2) -> Said:
        kind = self.rng.choice(
            ["element", "element", "constant", "sum", "difference", "scaled", "minus", "total", "dot"][: None if depth else 3]
        )
        if kind == "element":
            return self.element()
        if kind == "constant":
            value = self.rng.randint(-9, 9)
            return Said(f"{value}", lambda p: value)
        if kind in ("sum", "difference"):
            a, b = self.number(depth - 1), self.number(depth - 1)
            if kind == "sum":
                return Said(f"{a.text} + {b.text}", lambda p: a.at(p) + b.at(p))
            return Said(f"({a.text}) - ({b.text})", lambda p: a.at(p) - b.at(p))
        if kind == "scaled":
            factor, a = self.rng.randint(-3, 3), self.number(depth - 1)
            return Said(f"{factor}*({a.text})", lambda p: factor * a.at(p))
        if kind == "minus":
            a = self.number(depth - 1)
            return Said(f"-({a.text})", lambda p: -a.at(p))
        t = self.tensor()
        if kind == "total":
            return Said(f"sum({t.text})", lambda p: int(t.at(p).sum()))
        weights = [self.rng.randint(-2, 2) for _ in range(t.at(self.points[0]).size)]
        return Said(f"sum({weights} * {t.text})", lambda p: int((np.array(weights) * t.at(p).reshape(-1)).sum()))

    def near(self, a: Said) -> int:
        """A constant near what the expression is somewhere."""
        return int(a.at(self.rng.choice(self.points))) + self.rng.choice([-1, 0, 0, 0, 1])

    def comparison(self) -> Said:
        rng, sign = self.rng, self.rng.choice(list(SIGNS))
        compare = SIGNS[sign]
        kind = rng.choice(["plain", "plain", "chain", "abs", "most", "argmax", "pair", "rank", "kept", "each", "in", "tensors", "hot"])
        t = self.tensor()
        size = t.at(self.points[0]).size
        c = rng.randrange(size)
        if kind == "argmax":
            sign = rng.choice(["==", "!="])
            return Said(f"argmax({t.text}) {sign} {c}", lambda p: SIGNS[sign](reference.first_maximum(t.at(p).reshape(-1).tolist()), c))
        if kind == "pair":
            sign = rng.choice(["==", "!="])
            others = [u for u in (self.tensor() for _ in range(8)) if u.at(self.points[0]).size == size] or [t]

            def first(u: Said, p: Point) -> int:
                return reference.first_maximum(u.at(p).reshape(-1).tolist())

            u = rng.choice(others)
            return Said(f"argmax({t.text}) {sign} argmax({u.text})", lambda p: SIGNS[sign](first(t, p), first(u, p)))
        if kind == "rank":
            k = rng.randint(-1, size)

            def rank(p: Point) -> int:
                y = t.at(p).reshape(-1).tolist()
                return sum(y[j] > y[c] or (y[j] == y[c] and j < c) for j in range(size))

            return Said(f"rank({t.text}, {c}) {sign} {k}", lambda p: compare(rank(p), k))
        if kind == "kept":
            return Said(f"kept({t.text}, {c})", lambda p: bool((t.at(p) <= t.at(p).reshape(-1)[c]).all()))
        if kind == "in":
            a = self.number()
            first, more = self.near(a), rng.randint(-9, 9)
            last = first + rng.randint(0, 3)
            return Said(f"{a.text} in {{{first}..{last}, {more}}}", lambda p: first <= a.at(p) <= last or a.at(p) == more)
        if kind == "hot":
            return Said(f"one_hot({t.text})", lambda p: sorted(t.at(p).reshape(-1).tolist()) == [0] * (size - 1) + [1])
        return self.ordered(kind, sign, t)

    def ordered(self, kind: str, sign: str, t: Said) -> Said:
        rng, compare = self.rng, SIGNS[sign]
        a = self.number()
        close, least = self.near(a), self.near(a) - 2
        b = Said(str(close), lambda p: close) if rng.random() < 0.7 else self.number(1)
        if kind == "abs":
            return Said(f"abs({a.text}) {sign} {b.text}", lambda p: compare(abs(a.at(p)), b.at(p)))
        if kind == "chain":
            return Said(f"{least} < {a.text} <= {b.text}", lambda p: least < a.at(p) <= b.at(p))
        bound = int(rng.choice(t.at(rng.choice(self.points)).reshape(-1).tolist()))
        if kind == "most":
            word, most = rng.choice([("max", np.max), ("min", np.min)])
            if rng.random() < 0.5:
                return Said(f"{bound} {sign} {word}({t.text})", lambda p: compare(bound, int(most(t.at(p)))))
            return Said(f"{word}({t.text}) {sign} {bound}", lambda p: compare(int(most(t.at(p))), bound))
        if kind == "each":
            word, join = rng.choice([("any", np.any), ("all", np.all)])
            return Said(f"{word}({t.text} {sign} {bound})", lambda p: bool(join(compare(t.at(p), bound))))
        if kind == "tensors":
            shift = rng.randint(-2, 2)
            if sign == "!=":
                return Said(f"{t.text} != {t.text} + ({bound} - {t.text})", lambda p: bool((t.at(p) != bound).any()))
            return Said(f"{t.text} + {shift} {sign} {bound}", lambda p: bool(compare(t.at(p) + shift, bound).all()))
        return Said(f"{a.text} {sign} {b.text}", lambda p: compare(a.at(p), b.at(p)))

    def condition(self, depth: int = 2) -> Said:
        kind = self.rng.choice(["plain", "plain", "and", "or", "not", "implies", "word"]) if depth else "plain"
        if kind == "plain":
            return self.comparison()
        if kind == "word":
            value = self.rng.random() < 0.5
            return Said("true" if value else "false", lambda p: value)
        if kind == "not":
            a = self.condition(depth - 1)
            return Said(f"not ({a.text})", lambda p: not a.at(p))
        a, b = self.condition(depth - 1), self.condition(depth - 1)
        if kind == "implies":
            return Said(f"({a.text}) implies ({b.text})", lambda p: not a.at(p) or b.at(p))
        if kind == "and":
            return Said(f"({a.text}) and ({b.text})", lambda p: a.at(p) and b.at(p))
        return Said(f"({a.text}) or ({b.text})", lambda p: a.at(p) or b.at(p))


# --- inputs ---


class Input(NamedTuple):
    """Lines of an input's table, and all inputs that they allow."""

    lines: list[str]
    allowed: list[tuple[int, ...]]


def random_input(rng: random.Random, network: Network, budget: int) -> Input:
    """Boxes, distances, and what elements may be; at most `budget` inputs are left, and at least one."""
    n, (lo, hi) = network.num_inputs, network.value_ranges
    los, his = lo[:n].tolist(), hi[:n].tolist()
    lines: list[str] = []
    centre = [rng.randint(a, b) for a, b in zip(los, his, strict=True)]
    tests: list[Callable[[tuple[int, ...]], bool]] = []
    # Few points: some elements are fixed, others have narrow ranges.
    ends = []
    for a, b, c in zip(los, his, centre, strict=True):
        width = rng.choice([0, 1, 1, 2, 3])
        first, last = max(a, c - width), min(b, c + rng.choice([0, width]))
        while last - first + 1 > budget:
            last -= 1
            first = max(first, min(c, last))
        budget //= last - first + 1
        ends.append((first, last))
    centre = [min(max(c, a), b) for (a, b), c in zip(ends, centre, strict=True)]
    if rng.random() < 0.2:
        norm, most = rng.choice([("l1", 5), ("l0", n)])
        radius, counted = rng.randint(0, most), sorted(rng.sample(range(n), rng.randint(1, n)))
        lines += [f"centre = {centre}", f"eps = {radius}", f'norm = "{norm}"', f'region = "{" ".join(map(str, counted))}"']

        def within(x: tuple[int, ...]) -> bool:
            apart = [abs(v - c) for v, c in zip(x, centre, strict=True)]
            far = sum(apart[i] if norm == "l1" else apart[i] > 0 for i in counted)
            return far <= radius and all(i in counted or not d for i, d in enumerate(apart))

        tests.append(within)
    elif rng.random() < 0.3:
        eps = [min(max(c - a, b - c), 3) for (a, b), c in zip(ends, centre, strict=True)]
        lines += [f"centre = {centre}", f"eps = {eps}"]
        tests.append(lambda x: all(abs(v - c) <= e for v, c, e in zip(x, centre, eps, strict=True)))
    lines += [f"lo = {[a for a, _ in ends]}", f"hi = {[b for _, b in ends]}"]
    elements: list[str] = []
    if any("norm" in line for line in lines):
        pass  # what does not move may be none of a set
    elif rng.random() < 0.4:
        i = rng.randrange(n)
        among = sorted({*(rng.randint(*ends[i]) for _ in range(3))})
        elements.append(f"{{at = '{i}', among = {among}}}")
        tests.append(lambda x: x[i] in among)
    elif rng.random() < 0.3 and n > 1:
        first = rng.randrange(n - 1)
        last = rng.randint(first + 2, n)
        pairs = [(c, rng.choice(ends[i])) for i, c in enumerate(centre)][first:last]
        if all(off != on for off, on in pairs):
            elements.append(f"{{at = '{first}:{last}', one_hot = [{[off for off, _ in pairs]}, {[on for _, on in pairs]}]}}")

            def hot(x: tuple[int, ...]) -> bool:
                part = x[first:last]
                return any(
                    all(v == (on if k == h else off) for k, (v, (off, on)) in enumerate(zip(part, pairs, strict=True)))
                    for h in range(len(pairs))
                )

            tests.append(hot)
    if elements:
        lines.append(f"elements = [{', '.join(elements)}]")
    points = itertools.product(*(range(a, b + 1) for a, b in ends))
    return Input(lines, [x for x in points if all(test(x) for test in tests)])


class Asked(NamedTuple):
    """A question's text, its networks by name, and what holds at each of its points."""

    text: str
    networks: dict[str, Network]
    points: list[Point]
    assumed: list[Said]
    wrong: list[Said]
    objectives: list[tuple[int, Said]]


def tensors(name: str, network: Network, x: tuple[int, ...]) -> Point:
    """All tensors of a network at an input, as the slow reference has them."""
    values = reference.run_values(network, x)
    found = {
        f"{name}.input": np.array(x).reshape(network.input.shape),
        f"{name}.output": np.array([values[v] for v in network.outputs.tolist()]),
    }
    found[f"{name}.output"] = found[f"{name}.output"].reshape(network.output.shape)
    for k, layer in enumerate(network.layers):
        found[f"{name}.layer{k}"] = np.array(values[network.target(k)]).reshape(layer.output.shape)
        acc = reference.accumulators(layer, [values[v] for v in network.reads[k].tolist()])
        found[f"{name}.layer{k}.acc"] = np.array(list(acc)).reshape(layer.output.shape)
    return found


def random_question(rng: random.Random) -> Asked:
    names = ["a"] if rng.random() < 0.5 else ["a", "b"]
    shared = len(names) == 2 and rng.random() < 0.5
    networks = {}
    for name in names:
        form = networks["a"].input if shared and name == "b" else None
        networks[name] = random_graph(rng, most=3) if rng.random() < 0.4 and not shared else random_network(rng, form)
    budget = 100 if shared or len(names) == 1 else 10
    inputs, points = [], list[Point]()
    if shared:
        inputs = [random_input(rng, networks["a"], budget)]
        points = [{**tensors("a", networks["a"], x), **tensors("b", networks["b"], x)} for x in inputs[0].allowed]
    else:
        inputs = [random_input(rng, network, budget) for network in networks.values()]
        rows = [[tensors(name, networks[name], x) for x in one.allowed] for name, one in zip(names, inputs, strict=True)]
        points = [{name: array for part in combination for name, array in part.items()} for combination in itertools.product(*rows)]
    tables = [f"[inputs.{name}]" for name in names] if not shared and rng.random() < 0.8 else ["[inputs]"]
    if shared:
        tables = rng.choice([["[inputs]"], ['[inputs.both]\nnetworks = ["a", "b"]']])
    elif len(names) == 2:
        tables = [f"[inputs.{name}]" for name in names]
    head, assumed, wrong, objectives = ["[networks]", *(f'{name} = "{name}.npz"' for name in names)], [], [], []
    lines: list[str] = []
    if points:
        talk = Talk(rng, points)
        if rng.random() < 0.4:
            assumed = [talk.condition() for _ in range(rng.randint(1, 2))]
            lines.append(f"assume = {[said.text for said in assumed]}")
        if rng.random() < 0.6:
            hold, never = talk.condition(), talk.condition(1)
            wrong = [Said("", lambda p: not hold.at(p))]
            lines.append(f"hold = '''\n {hold.text}'''" if "'" not in hold.text else "")
            if rng.random() < 0.3:
                wrong.append(never)
                lines.append(f'never = "{never.text}"')
        else:
            for _ in range(rng.randint(1, 2)):
                said = talk.number()
                while "[" not in said.text and "sum" not in said.text:
                    said = talk.number()
                objectives.append((rng.choice([1, -1]), said))
            for sign, key in ((1, "maximize"), (-1, "minimize")):
                chosen = [said.text for s, said in objectives if s == sign]
                lines += [f"{key} = {chosen}"] if chosen else []
    else:
        lines.append('hold = "true"')
        wrong = [Said("", lambda p: False)]
    body = [line for table, one in zip(tables, inputs, strict=True) for line in (table, *one.lines)]
    return Asked("\n".join([*lines, *head, *body, ""]), networks, points, assumed, wrong, objectives)


def question_of(rng: random.Random, folder: Path) -> tuple[Asked, Question]:
    """A random question, and as it is read."""
    asked = random_question(rng)
    path = folder / "question.toml"
    path.write_text(asked.text)
    return asked, load_question(path, asked.networks)


def check_question(number: int, folder: Path, **options: Any) -> str:
    """Hold a random question against enumeration; what came of it."""
    rng = random.Random(number)
    asked, question = question_of(rng, folder)
    left = [p for p in asked.points if all(said.at(p) for said in asked.assumed)]
    if question.assumption is not None:
        assert verify(question.assumption, **options).verdict == (VIOLATED if left else HOLDS), asked.text
    else:
        assert left
    if not asked.objectives:
        violated = any(said.at(p) for p in left for said in asked.wrong)
        verdict = verify(question.query, **options).verdict
        assert verdict == (VIOLATED if violated else HOLDS), asked.text
        return verdict
    wanted = sorted(asked.objectives, key=lambda pair: -pair[0])
    assert len(wanted) == len(question.objectives)
    for (sign, said), objective in zip(wanted, question.objectives, strict=True):
        found = maximize(question.query, objective.goal, **options)
        assert found.verdict == (OPTIMAL if left else EMPTY), asked.text
        if left:
            assert objective.value(found.value) == sign * max(sign * said.at(p) for p in left), asked.text
    return found.verdict
