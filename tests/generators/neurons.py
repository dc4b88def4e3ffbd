"""Random neurons, and how a requantizer is said to the encoder."""

from qbitsat.arithmetic import OVERFLOWS, ROUNDINGS, ShiftRequantizer


def random_neuron(rng):
    """Weights, a requantizer and the facts that `requantize` wants, over words of the given spans."""
    spans = [rng.choice([0, 1, 2, 3, 4, 5, 7, 16, 255]) for _ in range(rng.randint(1, 9))]
    weights = [rng.choice([-1, 1]) * rng.randint(1, 1 << rng.randint(1, 12)) for _ in spans]
    base = rng.randint(-5000, 5000)
    shift, lo = rng.randint(-2, 8), rng.randint(-9, 3)
    if rng.random() < 0.25:
        requantizer = ShiftRequantizer(shift, rng.choice(ROUNDINGS), -8, 7, "wrap", rng.randint(-9, 9))
    else:
        requantizer = ShiftRequantizer(shift, rng.choice(ROUNDINGS), lo, lo + rng.randint(1, 70), "saturate", rng.randint(-9, 9))
    return spans, weights, base, requantizer


def requantize_arguments(requantizer, acc_lo, acc_hi, image=None, enforced=None):
    """image: the outputs' range, and enforced: that of accumulators, where they are narrower than [acc_lo, acc_hi] gives."""
    y_lo, y_hi = image or requantizer.image(acc_lo, acc_hi)
    least, most = enforced or (acc_lo, acc_hi)
    reach_low = reach_high = 0
    if requantizer.overflow == OVERFLOWS[0] and y_lo < y_hi:
        if requantizer.before_overflow(least) < y_lo:
            reach_low = requantizer.first_reaching(y_lo + 1) - acc_lo
        if requantizer.before_overflow(most) > y_hi or y_hi - y_lo == 1:
            reach_high = requantizer.first_reaching(y_hi) - acc_lo
    return acc_lo, requantizer.shift, requantizer.rounding, requantizer.offset - y_lo, y_hi - y_lo, reach_low, reach_high
