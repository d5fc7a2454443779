"""A run goes on with the examples that it began with, in any version that keeps them."""

import pytest

from brainseg_jax.runs import resume
from tests.test_records import make_about

DATA = {"name": "a/b", "version": "1.0.0", "folds": {"p": 0}, "training_keys": "f00"}
ABOUT = make_about(data=DATA)


def test_a_version_with_the_same_examples_will_do():
    resume.check_same_data({**DATA, "version": "1.1.0"}, ABOUT)


@pytest.mark.parametrize(
    "key, value", [("version", "2.0.0"), ("folds", {"p": 1}), ("training_keys", "bad")]
)
def test_other_examples_will_not(key, value):
    with pytest.raises(ValueError, match=f"not the one this run began with: {key}"):
        resume.check_same_data({**DATA, key: value}, ABOUT)
