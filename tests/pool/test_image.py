"""Which image of OKE's list a pool takes."""

import pytest

from pulumi_plinth.pool.image import ImageWish, choose_image

SOURCES = [
    ("old", "Oracle-Linux-8.10-Gen2-GPU-2025.01.31-0-OKE-1.32.1-777"),
    ("new", "Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.32.1-905"),
    ("rebuilt", "Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.32.1-1010"),
    ("next", "Oracle-Linux-8.10-Gen2-GPU-2025.09.01-0-OKE-1.33.0-1100"),
    ("nine", "Oracle-Linux-9.5-Gen2-GPU-2025.09.01-0-OKE-1.32.1-1100"),
    ("cpu", "Oracle-Linux-8.10-2025.09.01-0-OKE-1.32.1-1100"),
    ("arm", "Oracle-Linux-8.10-aarch64-2025.09.01-0-OKE-1.32.1-1100"),
    ("arm-gpu", "Oracle-Linux-8.10-aarch64-GPU-2025.09.01-0-OKE-1.32.1-1100"),
    ("amd", "Oracle-Linux-8.10-GPU-AMD-ROCM-632-2025.09.01-0-OKE-1.32.1-1100"),
    ("plain", "Oracle-Linux-8.10-2025.09.01-0"),
    ("odd", "something else"),
]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (ImageWish("Oracle-Linux", "8", "v1.32.1"), "rebuilt"),
        (ImageWish("Oracle-Linux", "8.10", "v1.33.0"), "next"),
        (ImageWish("Oracle-Linux", "9", "v1.32.1"), "nine"),
        (ImageWish("Oracle-Linux", "8", "v1.32.1", "aarch64"), "arm-gpu"),
        (ImageWish("Oracle-Linux", "8", "v1.32.1", vendor="amd"), "amd"),
        (ImageWish("Oracle-Linux", "8", "v1.31.0"), None),
        (ImageWish("Ubuntu", "22.04", "v1.32.1"), None),
        (ImageWish("Oracle-Linux", "8.1", "v1.32.1"), None),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_that_fits_is_taken(wish, expected, order):
    """By system, release, architecture, driver and Kubernetes; order of the list does not matter."""
    assert choose_image(SOURCES[::order], wish) == expected
