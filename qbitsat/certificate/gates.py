"""Clauses and gates in plain Python, byte for byte as csrc/qbitsat/_kernels/cnf (clauses, gates) writes them: see bitblast.py."""

TRUE = 0x7FFFFFFF
FALSE = -TRUE


class Gates:
    def __init__(self):
        self.data: list[int] = []
        self.num_vars = self.num_clauses = 0
        self.known: dict[tuple, tuple[int, int]] = {}

    # --- clauses ---

    def fresh(self) -> int:
        self.num_vars += 1
        return self.num_vars

    def clause(self, *lits: int) -> None:
        self.data.extend((*lits, 0))
        self.num_clauses += 1

    def clauses(self, *clauses: tuple[int, ...]) -> None:
        for lits in clauses:
            self.clause(*lits)

    # --- gates ---

    def and2(self, a: int, b: int) -> int:
        if FALSE in (a, b) or a == -b:
            return FALSE
        if a in (TRUE, b):
            return b
        if b == TRUE:
            return a
        key = ("and2", min(a, b), max(a, b))
        if key not in self.known:
            _, a, b = key
            y = self.fresh()
            self.known[key] = (y, 0)
            self.clauses((-y, a), (-y, b), (y, -a, -b))
        return self.known[key][0]

    def or2(self, a: int, b: int) -> int:
        return -self.and2(-a, -b)

    def xor2(self, a: int, b: int) -> int:
        if abs(b) < abs(a):
            a, b = b, a
        if abs(a) == abs(b):
            return FALSE if a == b else TRUE
        if abs(b) == TRUE:
            return -a if b == TRUE else a
        sign = 1 if (a < 0) == (b < 0) else -1
        key = ("xor2", abs(a), abs(b))
        if key not in self.known:
            _, a, b = key
            y = self.fresh()
            self.known[key] = (y, 0)
            self.clauses((-y, a, b), (-y, -a, -b), (y, -a, b), (y, a, -b))
        return sign * self.known[key][0]

    def half_adder(self, a: int, b: int) -> tuple[int, int]:
        key = ("half", min(a, b), max(a, b))
        if key not in self.known:
            _, a, b = key
            s, k = self.fresh(), self.fresh()
            self.known[key] = (s, k)
            self.clauses((-k, a), (-k, b), (k, -a, -b), (-s, -k), (-s, a, b), (s, k, -a), (s, k, -b))
        return self.known[key]

    def fold3(self, a: int, b: int, c: int) -> tuple[int, int] | None:
        """(sum, carry) of literals sorted by variable when two of them share one; None otherwise."""
        if abs(b) == abs(c):
            return (a, b) if b == c else (-a, a)
        if abs(a) == abs(b):
            return (c, a) if a == b else (-c, c)
        return None

    def full_adder(self, a: int, b: int, c: int) -> tuple[int, int]:
        a, b, c = sorted((a, b, c), key=abs)
        folded = self.fold3(a, b, c)
        if folded is not None:
            return folded
        if c == FALSE:
            return self.half_adder(a, b)
        if c == TRUE:
            s, k = self.half_adder(-a, -b)
            return -s, -k
        sign = 1 if a > 0 else -1
        a, b, c = sign * a, sign * b, sign * c
        key = ("full", a, b, c)
        if key not in self.known:
            s, k = self.fresh(), self.fresh()
            self.known[key] = (s, k)
            for x, y in ((a, b), (a, c), (b, c)):
                self.clause(-k, x, y)
            for x, y in ((a, b), (a, c), (b, c)):
                self.clause(k, -x, -y)
            for x in (a, b, c):
                self.clause(-s, -k, x)
            for x in (a, b, c):
                self.clause(s, k, -x)
            self.clause(-s, a, b, c)
            self.clause(s, -a, -b, -c)
        s, k = self.known[key]
        return sign * s, sign * k

    def xor3(self, a: int, b: int, c: int) -> int:
        a, b, c = sorted((a, b, c), key=abs)
        folded = self.fold3(a, b, c)
        if folded is not None:
            return folded[0]
        if abs(c) == TRUE:
            return self.xor2(a, b) if c == FALSE else -self.xor2(a, b)
        sign = 1 if ((a < 0) + (b < 0) + (c < 0)) % 2 == 0 else -1
        a, b, c = abs(a), abs(b), abs(c)
        key = ("xor3", a, b, c)
        if key not in self.known:
            y = self.fresh()
            self.known[key] = (y, 0)
            for p, q, r in ((a, b, c), (a, -b, -c), (-a, b, -c), (-a, -b, c)):
                self.clause(-y, p, q, r)
            for p, q, r in ((-a, b, c), (a, -b, c), (a, b, -c), (-a, -b, -c)):
                self.clause(y, p, q, r)
        return sign * self.known[key][0]

    def one_of(self, a: int, b: int, c: int) -> int:
        a, b, c = sorted((a, b, c), key=abs)
        if self.fold3(a, b, c) is not None or c == TRUE:
            return self.xor3(a, b, c)
        key = ("one", a, b, c)
        if key not in self.known:
            y = self.fresh()
            self.known[key] = (y, 0)
            self.clauses((-a, -b), (y, -a), (y, -b))
            if c == FALSE:
                self.clause(-y, a, b)
            else:
                self.clauses((-a, -c), (-b, -c), (y, -c), (-y, a, b, c))
        return self.known[key][0]

    def clamp(self, t: int, low: int, high: int, top: int) -> int:
        """One bit of min(max(t, 0), m): low says t > 0, high says t >= m (so high implies low), top is this bit of m."""
        if abs(low) == TRUE or abs(high) == TRUE:
            return self.or2(high, self.and2(t, low)) if top else self.and2(-high, self.and2(t, low))
        if t in (TRUE, low, -high):
            return low if top else self.and2(low, -high)
        if t in (FALSE, -low, high):
            return high if top else FALSE
        key = ("clamp1" if top else "clamp0", t, low, high)
        if key not in self.known:
            y = self.fresh()
            self.known[key] = (y, 0)
            if top:
                self.clauses((y, -high), (-y, low), (y, -t, -low), (-y, t, high))
            else:
                self.clauses((-y, t), (-y, low), (-y, -high), (y, -t, -low, high))
        return self.known[key][0]

    def forbid(self, a: int, b: int) -> None:
        """not (a and b)."""
        if FALSE not in (a, b) and a != -b:
            self.clause(*(-lit for lit in dict.fromkeys((a, b)) if lit != TRUE))

    def any_of(self, lits: list[int]) -> int:
        kept = sorted(set(lits) - {FALSE}, key=lambda lit: (abs(lit), lit))
        if TRUE in kept or any(-lit in kept for lit in kept):
            return TRUE
        if len(kept) < 2:
            return kept[0] if kept else FALSE
        y = self.fresh()
        for lit in kept:
            self.clause(y, -lit)
        self.clause(-y, *kept)
        return y

    def all_of(self, lits: list[int]) -> int:
        return -self.any_of([-lit for lit in lits])

    def require_any(self, lits: list[int]) -> None:
        kept = sorted(set(lits) - {FALSE}, key=lambda lit: (abs(lit), lit))
        if not (TRUE in kept or any(-lit in kept for lit in kept)):
            self.clause(*kept)
