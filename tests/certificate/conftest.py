"""Good certificates of every kind, made once."""

import pytest
from forge import RECIPES, Parts, good


@pytest.fixture(scope="session")
def goods(tmp_path_factory):
    """Paths by kind; not to be changed."""
    folder = tmp_path_factory.mktemp("goods")
    return {kind: good(kind, folder / kind) for kind in RECIPES}


@pytest.fixture
def parts(goods):
    """A function from a kind to a good certificate taken apart."""
    return lambda kind: Parts(goods[kind])


@pytest.fixture
def forged(tmp_path):
    """A function that writes parts and gives the path."""
    return lambda parts: parts.save(tmp_path / "forged.cert")
