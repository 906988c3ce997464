"""What is known of the devices, by event time: each record holds from its ``valid_from`` on."""

from bisect import bisect_right

from msgspec.structs import replace

from schemas.records import Alert, Device, WindowFeatures


class Fleet:
    """The records of all devices."""

    def __init__(self) -> None:
        """Know none."""
        self._records: dict[str, list[Device]] = {}

    def know(self, device: Device) -> None:
        """Take a record, in place of one of the same device and ``valid_from``."""
        known = self._records.setdefault(device.device_id, [])
        index = bisect_right(known, device.valid_from, key=lambda each: each.valid_from)
        if index and known[index - 1].valid_from == device.valid_from:
            known[index - 1] = device
        else:
            known.insert(index, device)

    def forget(self, device_id: str, valid_from: int) -> None:
        """Drop a record, if there is one."""
        known = self._records.get(device_id, [])
        known[:] = [each for each in known if each.valid_from != valid_from]

    def at(self, device_id: str, at: int) -> Device | None:
        """Return what is known of a device at an event time, ms."""
        known = self._records.get(device_id)
        if not known:
            return None
        index = bisect_right(known, at, key=lambda each: each.valid_from)
        return known[index - 1] if index else None


def record_key(device_id: str, valid_from: int) -> bytes:
    """Return the topic's key of a record: versions of one device do not replace each other."""
    return f"{device_id}|{valid_from}".encode()


def key_parts(key: bytes) -> tuple[str, int] | None:
    """Return device and ``valid_from`` of a key, None if :func:`record_key` did not make it."""
    device_id, bar, valid_from = key.decode(errors="replace").rpartition("|")
    return (device_id, int(valid_from)) if bar and valid_from.lstrip("-").isdigit() else None


def enriched(alert: Alert, device: Device | None) -> Alert:
    """Return an alert with what is known of its device; as it is, if nothing is.

    The rule's own labels win over the device's.
    """
    if device is None:
        return alert
    labels = {**labels_of(device), **alert.labels}
    return replace(alert, asset_id=device.asset_id, labels=labels)


def labels_of(device: Device) -> dict[str, str]:
    """Return a device's labels, its class and ISO group among them."""
    known = device.labels
    if device.device_class:
        known = {"class": device.device_class, **known}
    if device.iso_group is not None:
        known = {"iso_group": device.iso_group, **known}
    return known


def placed(window: WindowFeatures, device: Device | None) -> WindowFeatures:
    """Return a window with what is known of its device, which is its own asset if nothing is."""
    if device is None:
        return replace(window, asset_id=window.device_id)
    return replace(
        window,
        asset_id=device.asset_id,
        device_class=device.device_class,
        iso_group=device.iso_group,
    )
