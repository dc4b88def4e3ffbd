"""How many bits does it take: the same samples verified at many widths.

widths   which networks are asked about: a format with B and F in it, and numbers for them
sharing  a verifier that tries what broke the property at other widths first
fairness how far protected features move the outputs, at each width
result   what is known of each width, and the answer
sweep    all of it
mixed    widths of their own for the weights of each layer
"""

from .fairness import OutputGap, WidthGap
from .mixed import Mixed, Trial, mixed_bits
from .result import Answer, Bits, WidthResult
from .sweep import bits
from .widths import Width, widths_of

__all__ = ["Answer", "Bits", "Mixed", "OutputGap", "Trial", "Width", "WidthGap", "WidthResult", "bits", "mixed_bits", "widths_of"]
