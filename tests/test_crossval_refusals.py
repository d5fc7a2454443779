"""What a cross-validation refuses before anything is prepared or trained."""

import pytest

from brainseg_jax.modes import crossval
from configs import base
from tests.test_crossval import INFO


def test_splits_of_slices_are_refused_before_data_are_prepared(tmp_path):
    config, prepared = base.get_config(), []
    config.data.train = "leaky_30_train"
    with pytest.raises(ValueError, match="config.data.train=leaky_30_train holds"):
        crossval.cross_validate(
            config, tmp_path / "cv", info=INFO, prepare=lambda: prepared.append(1)
        )
    assert not prepared and not (tmp_path / "cv").exists()
