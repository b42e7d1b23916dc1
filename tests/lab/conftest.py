"""The lab for every test in this folder: started once, and the tests themselves run inside its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.lab import Lab
from tests.lab.scan import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = __file__.rpartition("/")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this session; its hosts start when first asked for."""
    running = Lab()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session")
def scanner(lab: Lab) -> Scanner:
    """The scanner as a library."""
    return Scanner(lab)


@pytest.fixture(autouse=True)
def _inside(lab: Lab) -> Iterator[None]:
    """Every test here, and every thread and process it starts, has the lab's network only."""
    with lab.box.entered():
        yield
