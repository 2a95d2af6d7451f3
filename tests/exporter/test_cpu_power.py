"""The curve: rest, what wakes with the first core, cores by clock; and which row is whose."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from wattgov_exporter.sources.cpu_power import Family, awake, choose

FAMILY = Family("any", 20.0, 10.0, 4.0, gigahertz=2.0, threads=16)
LOAD = some.floats(0.0, 1.0)
CORES = some.lists(some.lists(LOAD, min_size=1, max_size=2), min_size=1, max_size=8)


def test_the_parts_of_a_curve() -> None:
    """At rest only rest is drawn; one busy core adds what it wakes and itself."""
    alone = [[1.0], *[[0.0]] * 3]

    assert FAMILY.package_watts([[0.0]] * 4, None) == pytest.approx(20.0)
    assert FAMILY.package_watts(alone, None) == pytest.approx(20.0 + 10.0 + 4.0)
    assert FAMILY.package_watts([[1.0]] * 4, None) == pytest.approx(20.0 + 10.0 + 4 * 4.0)


def test_the_second_thread() -> None:
    """One busy thread takes five sixths of its core's watts, two all of them."""
    assert FAMILY.cores_watts([[1.0, 0.0]], None) == pytest.approx(0.83 * 4.0)
    assert FAMILY.cores_watts([[1.0, 1.0]], None) == pytest.approx(4.0)


def test_the_clock() -> None:
    """Half the clock takes less than half a core's watts; an absurd clock is not believed."""
    half = FAMILY.cores_watts([[1.0]], 1.0)

    assert half == pytest.approx(4.0 * 0.5**2.1)
    assert FAMILY.cores_watts([[1.0]], 4.0) == FAMILY.cores_watts([[1.0]], 999.0)
    assert 0 < FAMILY.cores_watts([[1.0]], 0.0) < half


def test_awake() -> None:
    """Threads that are busy at random times overlap; one that always is, is enough."""
    assert awake([[0.5], [0.5]]) == pytest.approx(0.75)
    assert awake([[1.0], [0.0]]) == pytest.approx(1.0)


@given(CORES, some.floats(0.1, 6.0), some.data())
def test_more_load_is_more_watts(
    cores: list[list[float]], gigahertz: float, data: some.DataObject
) -> None:
    """No thread's load can rise and the package's watts fall; all are within rest and most."""
    core = data.draw(some.integers(0, len(cores) - 1))
    thread = data.draw(some.integers(0, len(cores[core]) - 1))
    busier = [list(loads) for loads in cores]
    busier[core][thread] = data.draw(some.floats(cores[core][thread], 1.0))

    less, more = (FAMILY.package_watts(one, gigahertz) for one in (cores, busier))

    assert less <= more + 1e-9
    assert 20.0 - 1e-9 <= less <= FAMILY.most_watts(len(cores)) + 1e-9


@given(some.lists(LOAD, min_size=2, max_size=2), some.integers(1, 8))
def test_a_curve_is_bent_downwards(loads: list[float], cores: int) -> None:
    """A load that varies takes no more than its mean: what a long tick counts is the upper end."""
    first, second, mean = (
        FAMILY.package_watts([[load, load]] * cores, None) for load in (*loads, sum(loads) / 2)
    )

    assert (first + second) / 2 <= mean + 1e-9


@pytest.mark.parametrize(
    ("vendor", "family", "model", "stepping", "brand", "name"),
    [
        ("GenuineIntel", "6", 85, 4, "", "Skylake"),
        ("GenuineIntel", "6", 85, 7, "", "Cascade Lake"),
        ("GenuineIntel", "6", 143, 8, "", "Sapphire Rapids"),
        ("GenuineIntel", "6", 142, 10, "Intel(R) Core(TM) i7-8550U CPU", "Intel laptop"),
        ("AuthenticAMD", "25", 17, 1, "AMD EPYC 9654 96-Core Processor", "EPYC 4th Gen"),
        ("AuthenticAMD", "25", 160, 2, "AMD EPYC 8024P 8-Core Processor", "EPYC 8004"),
        ("AuthenticAMD", "25", 160, 2, "AMD EPYC 9754 128-Core Processor", "EPYC 4th Gen"),
        ("AuthenticAMD", "25", 17, 1, "AMD EPYC", "EPYC 4th Gen"),
        ("AuthenticAMD", "25", 80, 0, "AMD Ryzen 7 5800U", "AMD laptop"),
        ("AuthenticAMD", "23", 1, 2, "AMD EPYC 7571", "EPYC 1st Gen"),
        ("AuthenticAMD", "23", 1, 1, "AMD Ryzen 7 1700", "Ryzen 1000 and 2000"),
        ("AuthenticAMD", "26", 2, 1, "", "EPYC 5th Gen"),
        ("0x41", "8", 0xD0C, 1, "", "Neoverse N1"),
        ("0x41", "8", 0xD08, 1, "", "Cortex-A72"),
        ("", "", -1, -1, "", "unknown CPU"),
    ],
)
def test_a_cpu_is_known(
    vendor: str, family: str, model: int, stepping: int, brand: str, name: str
) -> None:
    """CPUs are told apart by vendor, family, model, stepping and name; any other has a median."""
    assert name == choose(vendor, family, model, stepping, brand).name


def test_a_loaded_core_of_the_third_generation_of_epyc_in_a_guest() -> None:
    """A rented thread at full load costs near what SPECpower servers draw per thread (1.9 W)."""
    milan = choose("AuthenticAMD", "25", 1, 1)

    assert 1.2 < milan.rented_idle_watts() + milan.rented_busy_watts() < 1.9
