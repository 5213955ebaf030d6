from hypothesis import given
from hypothesis import strategies as st

from motionrt.runtime.formats.known_skeletons import unique_names


@given(st.lists(st.from_regex(r"a(_[23]){0,3}", fullmatch=True)))
def test_names_are_numbered_by_the_first_number_that_is_free(names: list[str]) -> None:
    seen: list[str] = []
    for name in names:
        free = (f"{name}_{number}" for number in range(2, 2 + len(names)))
        seen.append(name if name not in seen else next(n for n in free if n not in seen))
    assert unique_names(names) == tuple(seen)


def test_many_equal_names_take_no_time() -> None:
    """A fortnight, when each of them began to count at 2."""
    names = unique_names(["a"] * 300_000)
    assert names[-1] == "a_300000" and len(set(names)) == 300_000
