"""Numbers that no run could use are refused when a config is made, from the command line and from Python."""

import pytest

from probe.config import ProbeConfig
from probe.limits import BOUNDS, flag_of
from probe.search.config import SearchConfig
from store.errors import BadValue

FIELDS = [
    (config, name) for config in (ProbeConfig, SearchConfig) for name in BOUNDS if name in config.__dataclass_fields__
]


@pytest.mark.parametrize(("config", "name"), FIELDS, ids=[f"{c.__name__}-{name}" for c, name in FIELDS])
@pytest.mark.parametrize("value", [-1, float("nan"), 10**5000], ids=["-1", "nan", "5000 digits"])
def test_every_number_has_bounds(config, name, value) -> None:
    grid = isinstance(config.__dataclass_fields__[name].default, tuple) or name == "weight_decay"
    with pytest.raises(BadValue, match=f"^{flag_of(name)} .*: at least .*, at most ") as refused:
        config(features=("a",), **{name: (value,) if grid else value})
    assert len(str(refused.value)) < 100


def test_every_bound_is_of_a_field() -> None:
    assert {name for _, name in FIELDS} == set(BOUNDS)
