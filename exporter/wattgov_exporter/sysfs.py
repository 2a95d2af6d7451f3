"""A file of sysfs that holds a value in millionths: joules, watts."""

from pathlib import Path

from wattgov_exporter.procfs import read_bytes
from wattgov_exporter.reading import Anomaly, NoMeter, Reason


def read_millionths(path: Path, since: str = "") -> float:
    """Return the value in whole units; NoMeter when it cannot be read, or is no number.

    *since* says since when a file that only root may read is so.
    """
    try:
        return int(read_bytes(path)) / 1e6
    except PermissionError as error:
        raise NoMeter(
            Reason.PERMISSION,
            f"{path} is readable by root only{since}; `sudo wattgov-exporter doctor` shows what it "
            "tells. To stay, run as root, or with CAP_DAC_READ_SEARCH alone, as systemd does by "
            "the unit that `wattgov-exporter assets` writes",
        ) from error
    except OSError as error:
        raise NoMeter(Reason.INVALID, f"{path}: {error}") from error
    except ValueError as error:
        raise NoMeter(Reason.INVALID, f"{path}: {error}", Anomaly.NAN) from error
