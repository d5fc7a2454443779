"""Where decoded splits go is told from their sizes, before any is decoded."""

import pytest

from brainseg_jax.data import memory

VOLUMES = [(4, 6, 5), (2, 3, 5)]  # 120 and 30 voxels


def test_bytes_of_slices_resized_with_shares():
    # 3 slices of 8 x 8: 3 channels of a byte, 2 shares of a byte.
    found = memory.decoded_bytes(
        [(16, 16)] * 3, channels=3, dtype="uint8", classes=2, size=(8, 8)
    )
    assert found == 3 * 64 * (3 + 2)


def test_bytes_of_slices_resized_beside_stored_masks():
    found = memory.decoded_bytes(
        [(16, 16), (4, 4)], channels=1, dtype="uint16", classes=2, size=(8, 8),
        stored_masks=True,
    )  # fmt: skip
    assert found == 2 * 64 * 2 + 256 + 16


def test_bytes_of_volumes_as_they_are():
    options = {"channels": 4, "dtype": "int16"}
    assert memory.decoded_bytes(VOLUMES, classes=0, **options) == 150 * 4 * 2
    with_shares = memory.decoded_bytes(VOLUMES, classes=3, **options)
    assert with_shares == 150 * (4 * 2 + 3)


@pytest.mark.parametrize(
    "asked, free_device, free_host, given",
    [
        ("device", 200, 200, "device"),
        ("device", None, None, "device"),
        ("device", 199, 200, "host"),
        ("device", 199, 199, "none"),
        ("device", 200, 199, "none"),  # it passes through the host
        ("host", 0, 200, "host"),
        ("host", 10**9, 199, "none"),
        ("none", 10**9, 10**9, "none"),
    ],
)
def test_half_of_what_is_free_stays_free(asked, free_device, free_host, given):
    found, reason = memory.choose_cache(asked, 100, free_device, free_host)
    assert found == given
    assert bool(reason) == (asked != given)


def test_the_reason_says_how_much_is_needed_and_free():
    _, reason = memory.choose_cache("device", 3000, 5999, 6000)
    assert reason == (
        "config.data.cache=host is used: 3,000 bytes are more than half of the 5,999 "
        "free on each device."
    )


def test_padding_counts_on_the_device_alone():
    found, reason = memory.choose_cache("device", 10, 99, 20, on_device=50)
    assert found == "host" and reason.endswith("of the 99 free on each device.")
    assert memory.choose_cache("device", 10, 100, 20, on_device=50) == ("device", "")


def test_what_makes_no_one_array_stays_on_the_host():
    found, reason = memory.choose_cache("device", 1, 9, 9, resident=False)
    assert found == "host" and "differ in size" in reason
