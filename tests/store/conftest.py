"""What all tests of the store share."""

import pytest

from store import foreign_hdf5


@pytest.fixture(autouse=True)
def no_trial(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that tries HDF5 files first, half a second each: only where it is meant."""
    if "library" not in request.node.name and not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(foreign_hdf5, "check_readable", lambda path: None)
