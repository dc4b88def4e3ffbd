from .floats import Floats

class Units:
    floats: Floats
    def __init__(self, floats: Floats) -> None: ...
