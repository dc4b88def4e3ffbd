"""How many bits does it take: the same samples verified at many widths.

widths   which networks are asked about: a format with B and F in it, and numbers for them
sharing  a verifier that tries what broke the property at other widths first
result   what is known of each width, and the answer
sweep    all of it
"""

from .result import Answer, Bits, WidthResult
from .sweep import bits
from .widths import Width, widths_of

__all__ = ["Answer", "Bits", "Width", "WidthResult", "bits", "widths_of"]
