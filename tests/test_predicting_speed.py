"""The benchmark of predicting runs what it says."""

from brainseg_jax.benchmarks import predicting
from brainseg_jax.benchmarks.forms import Form
from brainseg_jax.benchmarks.timing import Spread
from brainseg_jax.models import resunet


def test_every_way_predicts_all_images(monkeypatch):
    net = resunet.Model(1, widths=(4, 6))
    small = Form("resunet", "small", net, (2, 16, 16, 3))
    seen = []
    monkeypatch.setattr(predicting.peers, "find", lambda: None)
    monkeypatch.setattr(
        predicting.jax, "device_get", lambda probs: seen.append(probs.shape)
    )

    def measured(ways, budget):
        for way in ways.values():
            way()
        return {name: Spread(2.0, 1.9, 2.1, 5) for name in ways}

    monkeypatch.setattr(predicting.timing, "measure", measured)
    row = predicting.measure(small, 4)
    assert seen == [(4, 16, 16, 1)] + [(1, 16, 16, 1)] * 4
    assert row["JAX one by one"] == row["JAX in batches"] == "2.0 ±5.0 %"
