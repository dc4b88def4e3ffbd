"""The bit-blaster in plain Python: emits the same clauses as the Cython kernels, byte for byte.

It follows csrc/qbitsat/_kernels/cnf (clauses, gates, words and layers, in that order), for tests and for checking proofs by
SAT. A word is a list of literals, LSB first, together with its span: the largest value it can take. The smallest is 0.
"""

from itertools import pairwise

from .gates import FALSE, TRUE, Gates

__all__ = ["FALSE", "TRUE", "Bitblaster"]


class Bitblaster(Gates):
    def __init__(self):
        super().__init__()
        self.staircases: dict[tuple, list[int]] = {}

    # --- words ---

    def variable_word(self, span: int) -> tuple[list[int], int]:
        n = span.bit_length()
        bits = [self.fresh() for _ in range(n)]
        for i in range(n):
            if not span >> i & 1:
                self.clause(-bits[i], *(-bits[j] for j in range(i + 1, n) if span >> j & 1))
        return bits, span

    def add_words(self, x, y, n: int, negate: bool, carry: int) -> list[int]:
        """n bits of x + y, or of x + ~y; carry enters at bit 0.

        The result is known to fit in n bits. So if both operands do, the carry out of the top is known too: 0, or 1
        where y is negated.
        """
        fits = len(x) <= n and len(y) <= n
        out = []
        for i in range(n):
            a = x[i] if i < len(x) else FALSE
            b = y[i] if i < len(y) else FALSE
            if negate:
                b = -b
            if i < n - 1:
                s, carry = self.full_adder(a, b, carry)
            elif not fits:
                s = self.xor3(a, b, carry)
            else:
                s = -self.one_of(-a, -b, -carry) if negate else self.one_of(a, b, carry)
            out.append(s)
        return out

    def add(self, x, y):
        span = x[1] + y[1]
        return self.add_words(x[0], y[0], span.bit_length(), False, FALSE), span

    def add_capped(self, x, y, cap: int, condition: int):
        """x + y if condition -> x + y <= cap."""
        if x[1] + y[1] <= cap:
            return self.add(x, y)
        out, carry = [], FALSE
        for i in range(cap.bit_length()):
            a = x[0][i] if i < len(x[0]) else FALSE
            b = y[0][i] if i < len(y[0]) else FALSE
            s, carry = self.full_adder(a, b, carry)
            out.append(s)
        self.forbid(condition, carry)
        return out, cap

    def multiply_capped(self, x, factor: int, cap: int, condition: int):
        """factor * x if condition -> factor * x <= cap."""
        bits, span = x
        if factor * span <= cap:
            return self.multiply(x, factor)
        n = (cap // factor).bit_length()
        for bit in bits[n:]:
            self.forbid(condition, bit)
        bits = bits[:n]
        if not bits:
            return [], 0
        product, reach = self.multiply((bits, min(span, (1 << len(bits)) - 1)), factor)
        for bit in product[cap.bit_length() :]:
            self.forbid(condition, bit)
        return product[: cap.bit_length()], min(reach, cap)

    def subtract_modulo(self, x, y, constant: int, n: int) -> list[int]:
        """n bits of x - y + constant, modulo 2**n."""
        out, carry = [], TRUE
        for i in range(n):
            a = x[i] if i < len(x) else FALSE
            b = -y[i] if i < len(y) else TRUE
            s, carry = self.full_adder(a, b, carry) if i < n - 1 else (self.xor3(a, b, carry), FALSE)
            out.append(s)
        return self.add_constant(out, constant, FALSE, 0, n)

    def complement(self, x):
        """span - x."""
        bits, span = x
        if span & (span + 1) == 0:
            return [-bit for bit in bits], span
        constant = [TRUE if span >> i & 1 else FALSE for i in range(len(bits))]
        return self.add_words(constant, bits, len(bits), True, TRUE), span

    def multiply(self, x, factor: int):
        """factor * x, factor >= 1, from the top signed digit down: q <- q * 2**d +- x."""
        zeros = (factor & -factor).bit_length() - 1
        digits = []
        rest, place = factor >> zeros, 0
        while rest:
            if rest & 1:
                digit = 2 - (rest & 3)
                digits.append((place, digit))
                rest -= digit
            rest >>= 1
            place += 1
        bits, span = x
        place, value, product = digits[-1][0], 1, bits
        for next_place, digit in reversed(digits[:-1]):
            distance = place - next_place
            value = (value << distance) + digit
            shifted = [FALSE] * distance + product
            n = (value * span).bit_length()
            product = self.add_words(shifted, bits, n, digit < 0, TRUE if digit < 0 else FALSE)
            place = next_place
        return [FALSE] * zeros + product, span * factor

    def at_least(self, bits, bound: int) -> int:
        """The literal of (word >= bound)."""
        if bound <= 0:
            return TRUE
        if bound >> len(bits):
            return FALSE
        g = TRUE
        for i, bit in enumerate(bits):
            g = self.and2(bit, g) if bound >> i & 1 else self.or2(bit, g)
        return g

    def add_constant(self, bits, constant: int, carry: int, skip: int, n: int) -> list[int]:
        """Bits skip..n-1 of word + constant + carry, modulo 2**n."""
        out = []
        for i in range(n):
            a = bits[i] if i < len(bits) else FALSE
            k = constant >> i & 1
            if i < skip:
                carry = self.or2(a, carry) if k else self.and2(a, carry)
            elif i < n - 1:
                s, carry = self.full_adder(a, TRUE if k else FALSE, carry)
                out.append(s)
            else:
                out.append(self.xor3(a, TRUE if k else FALSE, carry))
        return out

    def rounded(self, bits, base: int, shift: int, rounding: str, delta: int, k: int) -> list[int]:
        """k bits of round((base + word) / 2**shift) + delta, modulo 2**k."""
        if shift <= 0:
            return self.add_constant([FALSE] * -shift + bits, (base << -shift) + delta, FALSE, 0, k)
        half = 1 << (shift - 1)
        constant = base + (delta << shift)
        carry = FALSE
        if rounding == "half_up":
            constant += half
        elif rounding == "half_away":
            constant += half - 1
            carry = self.at_least(bits, -base)
        elif rounding == "half_even":
            constant += half - 1
            carry = self.add_constant(bits, base, FALSE, shift, shift + 1)[0]
        elif rounding == "toward_zero":
            negative = -self.at_least(bits, -base)
            if negative != FALSE:
                low = self.add_constant(bits, base, FALSE, 0, shift)
                inexact = self.at_least(low, 1)
                quotient = self.add_constant(bits, constant, FALSE, shift, shift + k)
                return self.add_constant(quotient, 0, self.and2(negative, inexact), 0, k)
        return self.add_constant(bits, constant, carry, shift, shift + k)

    # --- layers ---

    def dot(self, words, indices, weights, balanced: bool):
        """sum over k of weights[k] * x[indices[k]] less its smallest value, for x = lo + word."""
        terms = []
        for j, weight in zip(indices, weights, strict=True):
            if words[j][1]:
                word = words[j] if weight > 0 else self.complement(words[j])
                terms.append(self.multiply(word, abs(int(weight))))
        if not terms:
            return [], 0
        if balanced:
            while len(terms) > 1:
                pairs = [self.add(terms[i], terms[i + 1]) for i in range(0, len(terms) - 1, 2)]
                terms = pairs + terms[2 * len(pairs) :]
            return terms[0]
        total = terms[0]
        for term in terms[1:]:
            total = self.add(total, term)
        return total

    def difference(self, x, x_factor: int, y, y_factor: int, constant: int, span: int):
        """x_factor * x - y_factor * y + constant, known to be in [0, span]."""
        products = [self.multiply(word, factor)[0] if word[1] and factor else [] for word, factor in ((x, x_factor), (y, y_factor))]
        return self.subtract_modulo(products[0], products[1], constant, span.bit_length()), span

    def at_most(self, words, weights, budget: int, condition: int) -> None:
        """condition -> sum of weight * word, or of |weight| * (span - word), <= budget."""
        terms = []
        for word, weight in zip(words, weights, strict=True):
            if word[1]:
                word = word if weight > 0 else self.complement(word)
                terms.append(self.multiply_capped(word, abs(int(weight)), budget, condition))
        terms = [term for term in terms if term[0]]
        while len(terms) > 1:
            pairs = [self.add_capped(a, b, budget, condition) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + terms[2 * len(pairs) :]
        if terms:
            self.forbid(condition, self.at_least(terms[0][0], budget + 1))

    def requantize(self, acc, base: int, shift: int, rounding: str, delta: int, levels: int, reach_low: int, reach_high: int):
        """y - y_lo for acc = base + word: see `layers.pyx`."""
        bits = acc[0]
        if levels == 0:
            return [], 0
        if levels == 1 and reach_high > 0:
            return [self.at_least(bits, reach_high)], 1
        k = levels.bit_length()
        t = self.rounded(bits, base, shift, rounding, delta, k)
        return self.clamped(acc, t, levels, reach_low, reach_high)

    def clamped(self, acc, t: list[int], levels: int, reach_low: int, reach_high: int):
        """Bits t, which are right where no clamp acts: 0 below the sum reach_low, `levels` from reach_high on; 0: no clamp."""
        low = self.at_least(acc[0], reach_low) if reach_low > 0 else TRUE
        high = self.at_least(acc[0], reach_high) if reach_high > 0 else FALSE
        if abs(low) != TRUE and abs(high) != TRUE:
            self.clause(-high, low)
        return [self.clamp(t[i], low, high, levels >> i & 1) for i in range(len(t))], levels

    def line(self, acc, factor: int, constant: int, shift: int, levels: int, reach_low: int, reach_high: int):
        """(factor * word + constant) >> shift where no clamp acts."""
        t = self.add_constant(self.multiply(acc, factor)[0], constant, FALSE, shift, shift + levels.bit_length())
        return self.clamped(acc, t, levels, reach_low, reach_high)

    def steps(self, acc, starts: list[int], levels: list[int], span: int):
        """levels[j] where starts[j - 1] <= word < starts[j]."""
        key = (tuple(acc[0]), tuple(starts), tuple(levels), span)
        if key not in self.staircases:
            order = [TRUE, *(self.at_least(acc[0], start) for start in starts), FALSE]
            for before, after in pairwise(order[1:-1]):
                if after != FALSE and before not in (TRUE, after):
                    self.clause(-after, before)
            self.staircases[key] = [self.bit_of_level(order, [level >> i & 1 for level in levels]) for i in range(span.bit_length())]
        return self.staircases[key], span

    def bit_of_level(self, order: list[int], bits: list[int]) -> int:
        """bits[j] where order[j] holds and order[j + 1] does not: a constant, a literal, or a variable that runs determine."""
        changes = [j for j in range(1, len(bits)) if bits[j] != bits[j - 1]]
        if len(changes) < 2:
            lit = order[changes[0]] if changes else TRUE
            return lit if bits[-1] else -lit
        y = self.fresh()
        for begin, end in pairwise([0, *changes, len(bits)]):
            a, b = order[begin], order[end]
            if a != FALSE and b != TRUE and a != b:
                self.clause(*(lit for lit in (-a, b) if lit != FALSE), y if bits[begin] else -y)
        return y
