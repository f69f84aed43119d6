"""What dcgm-exporter's metrics say about each GPU and MIG instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infdiag_tui.model import GpuDevice
from infdiag_tui.streams.gpus.account import XidMemory
from infdiag_tui.streams.nvml_clock_reasons import clock_reasons
from infdiag_tui.text import one_line

PREFIX = "DCGM_FI_"
FIELDS = (
    "DEV_CLOCKS_EVENT_REASONS",
    "DEV_CLOCK_THROTTLE_REASONS",
    "DEV_CORRECTABLE_REMAPPED_ROWS",
    "DEV_ECC_DBE_VOL_TOTAL",
    "DEV_ECC_SBE_VOL_TOTAL",
    "DEV_ENFORCED_POWER_LIMIT",
    "DEV_FB_FREE",
    "DEV_FB_RESERVED",
    "DEV_FB_TOTAL",
    "DEV_FB_USED",
    "DEV_GPU_TEMP",
    "DEV_GPU_UTIL",
    "DEV_MAX_MEM_CLOCK",
    "DEV_MAX_SM_CLOCK",
    "DEV_MEM_CLOCK",
    "DEV_MEM_COPY_UTIL",
    "DEV_MIG_MODE",
    "DEV_PCIE_LINK_GEN",
    "DEV_PCIE_LINK_WIDTH",
    "DEV_PCIE_MAX_LINK_GEN",
    "DEV_PCIE_MAX_LINK_WIDTH",
    "DEV_PCIE_REPLAY_COUNTER",
    "DEV_POWER_MGMT_LIMIT",
    "DEV_POWER_USAGE",
    "DEV_RETIRED_DBE",
    "DEV_RETIRED_SBE",
    "DEV_ROW_REMAP_FAILURE",
    "DEV_ROW_REMAP_PENDING",
    "DEV_SM_CLOCK",
    "DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "DEV_XID_ERRORS",
    "PROF_GR_ENGINE_ACTIVE",
    "PROF_PCIE_RX_BYTES",
    "PROF_PCIE_TX_BYTES",
)
"""All that is read here, for who can ask for it by name."""
_BLANK = 2.0**47
"""From here on a value means "not available": DCGM's blank double is 2^47, its blank integers lie just below 2^63
(dcgm_structs.h). No figure read here comes near."""
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entity:
    """A GPU, or a MIG instance of one, with its values by DCGM field name (without the `DCGM_FI_` prefix)."""

    uuid: str
    index: int
    name: str
    host: str
    driver: str
    mig_profile: str
    is_instance: bool
    values: dict[str, float] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)

    def get(self, *fields: str) -> float | None:
        """The first of `fields` that has a value."""
        return next((self.values[name] for name in fields if name in self.values), None)

    def whole(self, *fields: str) -> int | None:
        """As `get`, as a whole number."""
        value = self.get(*fields)
        return None if value is None else int(value)

    def mib(self, name: str) -> int | None:
        """A field in MiB as bytes."""
        value = self.get(name)
        return None if value is None else int(value * _MIB)

    def total_of(self, *fields: str) -> int | None:
        """The sum of those of `fields` that have a value, None without any."""
        known = [self.values[name] for name in fields if name in self.values]
        return int(sum(known)) if known else None


def parse(text: str) -> list[Entity]:
    """The GPUs and MIG instances in `text` (Prometheus text format), by host and index.

    Raises:
        ValueError: it is not in that format.
    """
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(text)
    return entities_of((family.name, one.labels, one.value) for family in families for one in family.samples)


def entities_of(samples: Iterable[tuple[str, Mapping[str, str], float]]) -> list[Entity]:
    """The GPUs and MIG instances in samples (name, labels, value), by host and index.

    Of several values of one field the first counts.
    """
    entities: dict[str, Entity] = {}
    for name, labels, value in samples:
        # Switches, links and CPUs have fields as well, but no GPU.
        if name.startswith(PREFIX) and "gpu" in labels:
            _add(entities, name.removeprefix(PREFIX), labels, value)
    return sorted(entities.values(), key=lambda entity: (entity.host, entity.index, entity.mig_profile, entity.uuid))


def card_of(labels: Mapping[str, str]) -> str:
    """What tells one GPU or MIG instance from others; empty for what is neither."""
    if "gpu" not in labels:
        return ""
    host, gpu = one_line(labels.get("Hostname", ""), 100), one_line(labels["gpu"], 20)
    uuid = one_line(labels.get("UUID", ""), 100) or f"GPU {gpu} of {host}"
    instance = one_line(labels.get("GPU_I_ID", ""), 20)
    return f"{uuid}/{instance}" if instance else uuid


def is_blank(value: float) -> bool:
    """True for DCGM's "not available", and for what is no number."""
    # NaN fails every comparison.
    return not -_BLANK < value < _BLANK


def _add(entities: dict[str, Entity], name: str, labels: Mapping[str, str], value: float) -> None:
    host, gpu = one_line(labels.get("Hostname", ""), 100), one_line(labels["gpu"], 20)
    instance = one_line(labels.get("GPU_I_ID", ""), 20)
    key = card_of(labels)
    entity = entities.get(key)
    if entity is None:
        entity = entities[key] = Entity(
            uuid=key,
            index=int(gpu) if gpu.isascii() and gpu.isdigit() else 0,
            name=one_line(labels.get("modelName", ""), 100),
            host=host,
            driver=one_line(labels.get("DCGM_FI_DRIVER_VERSION", ""), 40),
            mig_profile=one_line(labels.get("GPU_I_PROFILE", ""), 40) or (f"instance {instance}" if instance else ""),
            is_instance=bool(instance),
        )
    if pod := holder(labels):
        entity.pods.add(pod)
    if not is_blank(value):
        entity.values.setdefault(name, value)


_EXPORTERS = ("dcgm-exporter", "device-metrics-exporter", "metrics-exporter")


def holder(labels: Mapping[str, str]) -> str:
    """`namespace/name` of the pod that holds the GPU, empty where none does.

    Prometheus, unless it honours the exporter's labels, calls the exporter's own pod `pod` and the holder
    `exported_pod`.
    """
    name, namespace = labels.get("exported_pod", ""), labels.get("exported_namespace", "")
    if not name:
        name, namespace = labels.get("pod", ""), labels.get("namespace", "")
        own = (name, labels.get("container", ""))
        if any(exporter in text for exporter in _EXPORTERS for text in own):
            return ""
    return one_line(f"{namespace}/{name}", 300) if name else ""


def dcgm_devices(entities: Iterable[Entity], xids: XidMemory, now: float) -> list[GpuDevice]:
    """The state of `entities`, read just now; changes of their Xid gauges are dated by `xids`."""
    found = []
    for entity in entities:
        xid, xid_at = xids.note(entity.uuid, entity.whole("DEV_XID_ERRORS"), now)
        found.append(device(entity, now, xid, xid_at))
    return found


def device(entity: Entity, at: float, xid: int | None, xid_at: float | None, provider: str = "dcgm") -> GpuDevice:
    """The state of `entity`; fields that the exporter isn't configured to tell are None.

    With MIG there is no GPU_UTIL; the share of time in which the compute engine was active (GR_ENGINE_ACTIVE, 0 to 1)
    stands for it where profiling fields are told. Memory is in MiB; without a field for the total it is the sum of
    its parts. ECC counts are the volatile ones, as NVML's.
    """
    engine = entity.get("PROF_GR_ENGINE_ACTIVE")
    utilization = entity.get("DEV_GPU_UTIL")
    used, free = entity.mib("DEV_FB_USED"), entity.mib("DEV_FB_FREE")
    reserved, total = entity.mib("DEV_FB_RESERVED"), entity.mib("DEV_FB_TOTAL")
    if total is None and used is not None and free is not None:
        total = used + free + (reserved or 0)
    reasons = entity.whole("DEV_CLOCKS_EVENT_REASONS", "DEV_CLOCK_THROTTLE_REASONS")
    mig, failed = entity.get("DEV_MIG_MODE"), entity.get("DEV_ROW_REMAP_FAILURE")
    pending = entity.get("DEV_ROW_REMAP_PENDING")
    return GpuDevice(
        uuid=entity.uuid,
        index=entity.index,
        name=entity.name,
        at=at,
        provider=provider,
        host=entity.host,
        driver=entity.driver,
        mig_profile=entity.mig_profile,
        mig_enabled=True if entity.is_instance else None if mig is None else bool(mig),
        utilization_percent=engine * 100.0 if utilization is None and engine is not None else utilization,
        memory_utilization_percent=entity.get("DEV_MEM_COPY_UTIL"),
        memory_used_bytes=used,
        memory_total_bytes=total,
        memory_reserved_bytes=reserved,
        temperature_c=entity.get("DEV_GPU_TEMP"),
        power_w=entity.get("DEV_POWER_USAGE"),
        power_limit_w=entity.get("DEV_ENFORCED_POWER_LIMIT", "DEV_POWER_MGMT_LIMIT"),
        sm_clock_mhz=entity.whole("DEV_SM_CLOCK"),
        sm_clock_max_mhz=entity.whole("DEV_MAX_SM_CLOCK"),
        memory_clock_mhz=entity.whole("DEV_MEM_CLOCK"),
        memory_clock_max_mhz=entity.whole("DEV_MAX_MEM_CLOCK"),
        clock_reasons=None if reasons is None else clock_reasons(reasons),
        ecc_corrected=entity.whole("DEV_ECC_SBE_VOL_TOTAL"),
        ecc_uncorrected=entity.whole("DEV_ECC_DBE_VOL_TOTAL"),
        retired_pages=entity.total_of("DEV_RETIRED_SBE", "DEV_RETIRED_DBE"),
        remapped_rows=entity.total_of("DEV_CORRECTABLE_REMAPPED_ROWS", "DEV_UNCORRECTABLE_REMAPPED_ROWS"),
        remap_pending=None if pending is None else bool(pending),
        remap_failed=None if failed is None else bool(failed),
        pcie_generation=entity.whole("DEV_PCIE_LINK_GEN"),
        pcie_generation_max=entity.whole("DEV_PCIE_MAX_LINK_GEN"),
        pcie_width=entity.whole("DEV_PCIE_LINK_WIDTH"),
        pcie_width_max=entity.whole("DEV_PCIE_MAX_LINK_WIDTH"),
        pcie_tx_bytes_per_s=entity.get("PROF_PCIE_TX_BYTES"),
        pcie_rx_bytes_per_s=entity.get("PROF_PCIE_RX_BYTES"),
        pcie_replays=entity.whole("DEV_PCIE_REPLAY_COUNTER"),
        xid_watched=entity.whole("DEV_XID_ERRORS") is not None,
        xid=xid,
        xid_at=xid_at,
        pod=", ".join(sorted(entity.pods)),
    )
