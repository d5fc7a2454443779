"""A column of a table of patients is counted as a person would."""

import pytest

from brainseg_jax.reports.parts import count_bars


@pytest.mark.parametrize(
    "values, counts",
    [
        (["2", "10", "", "2"], {"2": 2, "10": 1, "not known": 1}),  # 10 after 2
        (["b", "a", "b"], {"a": 1, "b": 2}),
        (["", ""], {"not known": 2}),
    ],
)
def test_few_values_have_a_bar_each(values, counts):
    assert list(count_bars.column_counts(values).items()) == list(counts.items())


def test_many_whole_numbers_are_put_in_bins_that_hold_both_ends():
    ages = [*map(str, range(20, 76)), ""]
    counts = count_bars.column_counts(ages)
    decades = [f"{low} to {low + 9}" for low in range(20, 80, 10)]
    assert counts == dict(zip([*decades, "not known"], [10] * 5 + [6, 1], strict=True))


def test_many_fractions_are_put_in_bins_up_to_their_upper_end():
    values = [str(k / 100) for k in range(0, 140, 5)]
    counts = count_bars.column_counts(values)
    assert list(counts)[:2] == ["0 to 0.2", "0.2 to 0.4"]
    assert list(counts.values()) == [4] * 7  # 0.6 is in the bin that begins with it


def test_nothing_to_count_is_refused_with_the_files_name(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png: there is nothing to count"):
        count_bars.count_charts({"a": {}}, tmp_path / "a.png", title="A")
