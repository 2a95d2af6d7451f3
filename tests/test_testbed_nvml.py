"""The fake driver under the real pynvml, call by call."""

from collections.abc import Iterator

import pynvml
import pytest

from testbed.nvml import NOT_AVAILABLE, Fault, Kind, VirtualGpus

pytest_plugins = ["testbed.fixtures"]

GIB = 1 << 30


@pytest.fixture
def card(gpus: VirtualGpus) -> Iterator[object]:
    """Return pynvml's handle of card 1, on the virtual clock."""
    gpus.reset(clock_ns=10**9)
    pynvml.nvmlInit()
    yield pynvml.nvmlDeviceGetHandleByIndex(1)
    pynvml.nvmlShutdown()


def fields(card: object, *ids: int) -> list[tuple[int, int]]:
    """Return (code, value) of each field."""
    values = pynvml.nvmlDeviceGetFieldValues(card, list(ids))
    kinds = {pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal"}
    return [
        (value.nvmlReturn, getattr(value.value, kinds.get(value.valueType, "ullVal")))
        for value in values
    ]


def test_a_card_is_found_by_index_and_by_uuid(card: object) -> None:
    """Index and UUID lead to the same card, and four cards are counted."""
    uuid = pynvml.nvmlDeviceGetUUID(card)
    again = pynvml.nvmlDeviceGetHandleByUUID(uuid)

    assert 4 == pynvml.nvmlDeviceGetCount()
    assert 1 == pynvml.nvmlDeviceGetIndex(again)
    assert uuid.startswith("GPU-")
    assert "00000000:11:00.0" == pynvml.nvmlDeviceGetPciInfo(card).busId


def test_a_card_that_is_not_there_is_refused(card: object) -> None:
    """An index past the end is an invalid argument, an unknown UUID is not found."""
    del card
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetHandleByIndex(4)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID("GPU-00000000-0000-0000-0000-000000000000")


def test_nobody_takes_it_for_a_real_card(card: object) -> None:
    """Name and versions say that the node is virtual."""
    assert "virtual" in pynvml.nvmlDeviceGetName(card)
    assert "virtual" in pynvml.nvmlSystemGetDriverVersion()
    assert "virtual" in pynvml.nvmlSystemGetNVMLVersion()


def test_a_limit_reads_back(gpus: VirtualGpus, card: object) -> None:
    """A limit that is set is the current, the enforced and the requested one, on that card only."""
    pynvml.nvmlDeviceSetPowerManagementLimit(card, 450_000)

    assert 450_000 == pynvml.nvmlDeviceGetPowerManagementLimit(card)
    assert 450_000 == pynvml.nvmlDeviceGetEnforcedPowerLimit(card)
    assert [(0, 450_000), (0, 450_000)] == fields(
        card, pynvml.NVML_FI_DEV_POWER_CURRENT_LIMIT, pynvml.NVML_FI_DEV_POWER_REQUESTED_LIMIT
    )
    assert 700_000 == pynvml.nvmlDeviceGetPowerManagementDefaultLimit(card)
    assert (700.0, 450.0) == (gpus.card(0).limit_watts, gpus.card(1).limit_watts)
    assert (0, 1) == (gpus.card(0).set_calls, gpus.card(1).set_calls)


@pytest.mark.parametrize("milliwatts", [0, 199_999, 700_001, 4_000_000_000])
def test_a_limit_out_of_range_is_refused(card: object, milliwatts: int) -> None:
    """What is outside the constraints is refused, not clamped, and changes nothing."""
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceSetPowerManagementLimit(card, milliwatts)

    assert 700_000 == pynvml.nvmlDeviceGetPowerManagementLimit(card)


def test_both_ends_of_the_range_are_allowed(card: object) -> None:
    """The constraints are inclusive."""
    for milliwatts in pynvml.nvmlDeviceGetPowerManagementLimitConstraints(card):
        pynvml.nvmlDeviceSetPowerManagementLimit(card, milliwatts)

        assert milliwatts == pynvml.nvmlDeviceGetPowerManagementLimit(card)


def test_a_limiter_outside_the_driver_shows_only_as_enforced(
    gpus: VirtualGpus, card: object
) -> None:
    """A BMC's limit lowers the enforced limit and the draw; the driver's own limit stays."""
    gpus.set_load(1, 600.0)
    gpus.set_outside_limit(1, 300.0)

    assert 700_000 == pynvml.nvmlDeviceGetPowerManagementLimit(card)
    assert 300_000 == pynvml.nvmlDeviceGetEnforcedPowerLimit(card)
    assert gpus.card(1).draw_watts <= 300.0

    gpus.set_outside_limit(1, None)

    assert 700_000 == pynvml.nvmlDeviceGetEnforcedPowerLimit(card)


def test_power_usage_is_the_mean_of_a_second(gpus: VirtualGpus, card: object) -> None:
    """A quarter of a second after a step, the power usage has gone a quarter of the way."""
    gpus.set_load(1, 400.0)
    gpus.advance(5)
    gpus.set_load(1, 600.0)
    gpus.advance(0.25)

    average, instant = pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_FI_DEV_POWER_INSTANT

    assert 450_000 == pynvml.nvmlDeviceGetPowerUsage(card)
    assert [(0, 450_000), (0, 600_000)] == fields(card, average, instant)


def test_each_field_has_its_own_code(gpus: VirtualGpus, card: object) -> None:
    """A field that the card lacks fails alone; the others are read."""
    gpus.set_load(1, 500.0)
    gpus.advance(2)
    energy = pynvml.nvmlDeviceGetTotalEnergyConsumption(card)

    assert [
        (pynvml.NVML_SUCCESS, energy),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, 0),
        (pynvml.NVML_SUCCESS, 500_000),
    ] == fields(
        card,
        pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
        pynvml.NVML_FI_DEV_MEMORY_TEMP,
        pynvml.NVML_FI_DEV_POWER_INSTANT,
    )


def test_power_has_scopes(gpus: VirtualGpus, card: object) -> None:
    """The module's and the memory's power are not supported unless they are metered."""
    scopes = [
        (pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_MODULE),
        (pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_POWER_SCOPE_MEMORY),
    ]
    without = pynvml.nvmlDeviceGetFieldValues(card, scopes)

    assert [pynvml.NVML_ERROR_NOT_SUPPORTED] * 2 == [value.nvmlReturn for value in without]

    gpus.set_scopes(1, module_watts=800.0, memory_watts=60.0)
    values = pynvml.nvmlDeviceGetFieldValues(card, scopes)

    assert [(0, 800_000), (0, 60_000)] == [(one.nvmlReturn, one.value.uiVal) for one in values]


def test_an_old_driver_refuses_the_whole_list(gpus: VirtualGpus, card: object) -> None:
    """One field that it is too old for makes the call fail; what it knows it answers alone."""
    gpus.set_fault(1, Fault.OLD_FIELDS)
    old = pynvml.NVML_FI_DEV_PERF_POLICY_POWER
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetFieldValues(card, [old, pynvml.NVML_FI_DEV_POWER_INSTANT])

    assert [(0, 0)] == fields(card, old)


def test_a_sensor_can_lie(gpus: VirtualGpus, card: object) -> None:
    """What a sensor is set to is shown by every reading of power; the energy stays the truth."""
    gpus.set_load(1, 500.0)
    gpus.set_sensor(1, 0)
    gpus.advance(2)

    assert 0 == pynvml.nvmlDeviceGetPowerUsage(card)
    assert [(0, 0)] == fields(card, pynvml.NVML_FI_DEV_POWER_INSTANT)
    assert 1_000_000 == pynvml.nvmlDeviceGetTotalEnergyConsumption(card)

    gpus.set_sensor(1, None)

    assert 500_000 == pynvml.nvmlDeviceGetPowerUsage(card)


def test_a_cap_that_bites_is_a_reason_and_a_counter(gpus: VirtualGpus, card: object) -> None:
    """While a cap holds the card back, its bit is set and its nanoseconds run."""
    gpus.set_load(1, 600.0)
    gpus.advance(3)
    reasons = [pynvml.nvmlDeviceGetCurrentClocksEventReasons(card)]
    pynvml.nvmlDeviceSetPowerManagementLimit(card, 467_000)
    gpus.advance(7)
    reasons.append(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card))

    assert [0, pynvml.nvmlClocksEventReasonSwPowerCap] == reasons
    assert [(0, 7 * 10**9), (0, 0)] == fields(
        card, pynvml.NVML_FI_DEV_PERF_POLICY_POWER, pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL
    )


def test_an_idle_card_says_so(gpus: VirtualGpus, card: object) -> None:
    """With no work the reason is idle, the clock is low and 70 W are drawn."""
    gpus.advance(2)

    assert pynvml.nvmlClocksEventReasonGpuIdle == pynvml.nvmlDeviceGetCurrentClocksEventReasons(
        card
    )
    assert 345 == pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_SM)
    assert 70_000 == pynvml.nvmlDeviceGetPowerUsage(card)


def test_clocks_fall_under_a_cap(gpus: VirtualGpus, card: object) -> None:
    """The SM clock follows the throughput, the memory clock stays, the maximum too."""
    gpus.set_load(1, 600.0)
    pynvml.nvmlDeviceSetPowerManagementLimit(card, 350_000)

    assert round(1980 * 0.68) == pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_SM)
    assert 2619 == pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_MEM)
    assert 1980 == pynvml.nvmlDeviceGetMaxClockInfo(card, pynvml.NVML_CLOCK_SM)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetClockInfo(card, 4)


def test_memory_is_what_the_processes_hold(gpus: VirtualGpus, card: object) -> None:
    """Version 2 shows the driver's part apart, version 1 counts it as used."""
    gpus.hold(1, 100, 60 * GIB)
    first = pynvml.nvmlDeviceGetMemoryInfo(card)
    second = pynvml.nvmlDeviceGetMemoryInfo(card, pynvml.nvmlMemory_v2)

    assert 60 * GIB == second.used
    assert second.used + second.reserved == first.used
    assert first.total == first.used + first.free == second.used + second.reserved + second.free
    with pytest.raises(pynvml.NVMLError_ArgumentVersionMismatch):
        pynvml.nvmlDeviceGetMemoryInfo(card, pynvml.nvmlMemory_v2 + 1)


def test_utilisation_is_in_percent(gpus: VirtualGpus, card: object) -> None:
    """The busy fractions come out as whole percents."""
    gpus.set_load(1, 500.0, busy=0.876, memory_busy=0.4)
    rates = pynvml.nvmlDeviceGetUtilizationRates(card)

    assert (88, 40) == (rates.gpu, rates.memory)


def test_a_temperature_can_be_fixed(gpus: VirtualGpus, card: object) -> None:
    """A fixed temperature is what is read, and past the thresholds it slows the card down."""
    gpus.set_load(1, 500.0)
    limits = [
        pynvml.nvmlDeviceGetTemperatureThreshold(card, threshold)
        for threshold in (
            pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX,
            pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,
            pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,
        )
    ]
    gpus.set_temperature(1, limits[0])
    gpus.advance(4)
    warm = pynvml.nvmlDeviceGetCurrentClocksEventReasons(card)
    gpus.set_temperature(1, limits[1])

    assert limits == sorted(limits)
    assert limits[1] == pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU)
    assert limits[1] == pynvml.nvmlDeviceGetTemperatureV(card, pynvml.NVML_TEMPERATURE_GPU)
    assert pynvml.nvmlClocksEventReasonSwThermalSlowdown == warm
    assert pynvml.nvmlClocksEventReasonHwThermalSlowdown & (
        pynvml.nvmlDeviceGetCurrentClocksEventReasons(card)
    )
    assert [(0, 4 * 10**9)] == fields(card, pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetTemperatureThreshold(
            card, pynvml.NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_MAX
        )


def test_what_the_card_has_none_of(card: object) -> None:
    """It is not in MIG mode; it is persistent and in P0; a newer call is a missing function."""
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetFanSpeed(card)

    assert [pynvml.NVML_DEVICE_MIG_DISABLE] * 2 == pynvml.nvmlDeviceGetMigMode(card)
    assert pynvml.NVML_FEATURE_ENABLED == pynvml.nvmlDeviceGetPersistenceMode(card)
    assert pynvml.NVML_PSTATE_0 == pynvml.nvmlDeviceGetPerformanceState(card)


def test_processes_are_listed_with_their_memory(gpus: VirtualGpus, card: object) -> None:
    """Two calls, one for the size, list who holds how much; whoever leaves is gone."""
    assert [] == pynvml.nvmlDeviceGetComputeRunningProcesses(card)

    for pid in range(100, 110):
        gpus.hold(1, pid, pid * GIB)
    gpus.hold(1, 100, 3 * GIB)
    gpus.release(1, 105)
    listed = {
        process.pid: process.usedGpuMemory
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    }

    assert {100: 3 * GIB} | {pid: pid * GIB for pid in range(101, 110) if pid != 105} == listed


def test_only_new_samples_of_a_process_are_given(gpus: VirtualGpus, card: object) -> None:
    """A sample is seen once by whoever passes on its time stamp; with none, it is not found."""
    gpus.hold(1, 100, GIB)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(card, 0)

    gpus.sample(1, 100, 73, 12)
    (sample,) = pynvml.nvmlDeviceGetProcessUtilization(card, 0)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(card, sample.timeStamp)
    gpus.advance(0.2)
    gpus.sample(1, 100, 0)

    assert (100, 73, 12) == (sample.pid, sample.smUtil, sample.memUtil)
    assert 10**9 // 1000 == sample.timeStamp
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(card, sample.timeStamp)


def test_processes_are_of_three_kinds(gpus: VirtualGpus, card: object) -> None:
    """Each kind has its list; memory that is not told is None."""
    for pid, kind in enumerate(Kind, 100):
        gpus.hold(1, pid, NOT_AVAILABLE)
        gpus.place(1, pid, kind)

    assert [[(100, None)], [(101, None)], [(102, None)]] == [
        [(process.pid, process.usedGpuMemory) for process in call(card)]
        for call in (
            pynvml.nvmlDeviceGetComputeRunningProcesses,
            pynvml.nvmlDeviceGetGraphicsRunningProcesses,
            pynvml.nvmlDeviceGetMPSComputeRunningProcesses,
        )
    ]


def test_a_card_is_plugged_in(gpus: VirtualGpus, card: object) -> None:
    """There is one card more, and the others keep what they counted."""
    gpus.advance(1)
    before = pynvml.nvmlDeviceGetTotalEnergyConsumption(card)

    assert 4 == gpus.plug()
    assert 5 == pynvml.nvmlDeviceGetCount()
    assert before == pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
    assert 4 == pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByIndex(4))


def mig(card: object, index: int) -> object:
    """Return a MIG device of a card."""
    handle: object = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index)
    return handle


def test_a_mig_device(gpus: VirtualGpus, card: object) -> None:
    """It has ids, attributes, processes and a uuid of its own, and most calls are not for it."""
    gpus.set_mig(1)
    gpus.create(1, (1, 0), 4, 40 * 1024, compute_slices=2)
    gpus.create(1, (7, 1), 1, 10 * 1024)
    for pid, instance in ((100, (1, 0)), (101, (7, 1))):
        gpus.hold(1, pid, GIB)
        gpus.place(1, pid, instance=instance)
    device = mig(card, 0)
    about = pynvml.nvmlDeviceGetAttributes_v2(device)
    whole = pynvml.nvmlDeviceGetComputeRunningProcesses(card)

    assert (4, 2, 40 * 1024) == (
        about.gpuInstanceSliceCount,
        about.computeInstanceSliceCount,
        about.memorySizeMB,
    )
    assert [1, 0] == [
        pynvml.nvmlDeviceGetGpuInstanceId(device),
        pynvml.nvmlDeviceGetComputeInstanceId(device),
    ]
    assert pynvml.nvmlDeviceGetUUID(device).startswith("MIG-")
    assert pynvml.nvmlDeviceGetUUID(device) != pynvml.nvmlDeviceGetUUID(mig(card, 1))
    assert [100] == [one.pid for one in pynvml.nvmlDeviceGetComputeRunningProcesses(device)]
    assert {(100, 1, 0), (101, 7, 1)} == {
        (one.pid, one.gpuInstanceId, one.computeInstanceId) for one in whole
    }
    for call in (pynvml.nvmlDeviceGetPowerUsage, pynvml.nvmlDeviceGetTotalEnergyConsumption):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            call(device)


def test_mig_takes_the_rates_away(gpus: VirtualGpus, card: object) -> None:
    """In MIG mode nobody tells the card's utilisation, nor that of its processes."""
    gpus.set_mig(1)

    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetUtilizationRates(card)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetProcessUtilization(card, 0)


def test_a_mig_device_that_is_gone(gpus: VirtualGpus, card: object) -> None:
    """Its place is not found, and its handle is good for nothing."""
    gpus.set_mig(1)
    gpus.create(1, (1, 0), 4, 40 * 1024)
    device = mig(card, 0)
    gpus.destroy(1, (1, 0))

    with pytest.raises(pynvml.NVMLError_NotFound):
        mig(card, 0)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetGpuInstanceId(device)


def test_a_privileged_list(gpus: VirtualGpus, card: object) -> None:
    """A card's own list of processes may be refused in MIG mode; an instance's is not."""
    gpus.set_mig(1)
    gpus.set_fault(1, Fault.PRIVATE_LISTS)
    gpus.create(1, (1, 0), 4, 40 * 1024)

    with pytest.raises(pynvml.NVMLError_NoPermission):
        pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    assert [] == pynvml.nvmlDeviceGetComputeRunningProcesses(mig(card, 0))


def metrics(first: object, second: object, version: int = 1) -> pynvml.c_nvmlGpmMetricsGet_t:
    """Ask GPM for the SM utilisation between two samples, and for one it does not have."""
    asked = pynvml.c_nvmlGpmMetricsGet_t()
    asked.version, asked.numMetrics = version, 2
    asked.sample1, asked.sample2 = first, second
    asked.metrics[0].metricId = pynvml.NVML_GPM_METRIC_SM_UTIL
    asked.metrics[1].metricId = pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC
    return pynvml.nvmlGpmMetricsGet(asked)


def test_gpm_is_a_mean_between_two_samples(gpus: VirtualGpus, card: object) -> None:
    """A quarter of the time wholly busy is 25 %; each metric has its own code."""
    gpus.set_mig(1)
    gpus.create(1, (1, 0), 4, 40 * 1024)
    first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    pynvml.nvmlGpmMigSampleGet(card, 1, first)
    gpus.advance(3)
    gpus.set_activity(1, (1, 0), 1.0)
    gpus.advance(1)
    pynvml.nvmlGpmMigSampleGet(card, 1, second)
    answer = metrics(first, second)

    assert 1 == pynvml.nvmlGpmQueryDeviceSupport(card).isSupportedDevice
    assert pytest.approx(25.0) == answer.metrics[0].value
    assert pynvml.NVML_ERROR_NOT_SUPPORTED == answer.metrics[1].nvmlReturn
    with pytest.raises(pynvml.NVMLError_ArgumentVersionMismatch):
        metrics(first, second, version=2)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        metrics(second, first)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlGpmMigSampleGet(card, 5, second)
    for sample in (first, second):
        pynvml.nvmlGpmSampleFree(sample)


def test_no_gpm_before_hopper(gpus: VirtualGpus, card: object) -> None:
    """An older card says that it has none."""
    gpus.set_fault(1, Fault.NO_GPM)

    assert 0 == pynvml.nvmlGpmQueryDeviceSupport(card).isSupportedDevice
