"""Whether what is stored on disk is encrypted when the server is off or a disk is taken out.

Seen is encryption below the file system (dm-crypt). What a hypervisor, disk array or self-encrypting disk does cannot
be seen from within; ZFS and others that encrypt inside themselves end as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from checks.linux._answers import named
from checks.linux.mounts import Mounts
from scanner import (
    DATA_FIRST,
    Absent,
    Command,
    File,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

LSBLK: Final = Command("lsblk --json --output NAME,KNAME,TYPE,FSTYPE,MOUNTPOINT", root=True)
# What must be readable before anything can be decrypted.
_BOOT: Final = ("/boot", "/efi")
# What a container engine or systemd-nspawn binds into a container; its disk is the host's.
_BOUND: Final = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/host")
# What lies below a layer that lsblk calls crypt and that guards against change only: integritysetup, veritysetup(8).
_GUARDED: Final = frozenset({"DM_integrity", "DM_verity_hash"})
# Formats that hold data without being mounted as such, and may encrypt by themselves.
_POOLS: Final = frozenset({"zfs_member", "ceph_bluestore", "oracleasm", "bcachefs"})


@fact
class Volume:
    """One way from a disk to a file system, swap or pool; a volume over two disks comes twice."""

    name: str
    device: str
    kind: str
    format: str
    mounted: str
    encrypted: bool


@fact
class Volumes:
    """Every volume on every block device."""

    volumes: tuple[Volume, ...]


@fact
class Swaps:
    """The devices and files that memory is swapped to."""

    places: tuple[str, ...]


@probe("linux", listed=LSBLK)
def volumes(listed: Raw) -> Volumes:
    """The tree of lsblk(8), walked from each disk; encrypted is what has a crypt layer above its disk."""
    return Volumes(volumes=tuple(_walk(json.loads(listed.text)["blockdevices"], below="", encrypted=False)))


def _walk(devices: list[dict[str, Any]], *, below: str, encrypted: bool) -> Iterator[Volume]:
    for device in devices:
        form = device["fstype"] or ""
        # Verity shows the very file system that is below it. (Of swap the old mark may still be there.)
        same = below == form and form not in {"", "swap"}
        sealed = encrypted or (device["type"] == "crypt" and below not in _GUARDED and not same)
        yield Volume(
            name=device["name"],
            device=device["kname"],
            kind=device["type"],
            format=form,
            mounted=device["mountpoint"] or "",
            encrypted=sealed,
        )
        yield from _walk(device.get("children", []), below=form, encrypted=sealed)


@probe("linux", table=File(path="/proc/swaps"))
def swaps(table: Raw) -> Swaps:
    """A header, and a line for each place; a space in a name is written as an octal escape, proc_swaps(5)."""
    lines = table.lines
    if not lines or lines[0].split()[:2] != ["Filename", "Type"]:
        raise NotUnderstood("/proc/swaps has no header")
    return Swaps(places=tuple(line.split()[0] for line in lines[1:]))


@check(
    "disk-encryption.data",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Schijven met gegevens zijn versleuteld",
    why_nl="Wie een schijf, server of kopie van een schijf meeneemt, leest anders alles wat erop staat.",
    fix=(
        "# make a copy first; then, for a new volume:\ncryptsetup luksFormat --type luks2 /dev/vg0/data\n"
        "cryptsetup open /dev/vg0/data data\nmkfs.ext4 /dev/mapper/data\n"
        "echo 'data /dev/vg0/data none luks,discard' >> /etc/crypttab"
    ),
    verify="lsblk -o NAME,TYPE,FSTYPE,MOUNTPOINT",
    references=("cryptsetup(8)", "ISO/IEC 27002:2022 8.24", "ANSSI-BP-028 R28"),
    advice="Where the hypervisor or disk array encrypts, record that with its proof in a waiver.",
    advice_nl="Versleutelt de hypervisor of het opslagsysteem, leg dat dan met bewijs vast in een waiver.",
)
def data_is_encrypted(volumes: Volumes, mounts: Mounts) -> Verdict:
    """Volumes with data are encrypted.

    Whoever takes a disk, a server or a copy of a disk could otherwise read everything on it.
    """
    mounted = [volume for volume in volumes.volumes if _holds_data(volume, mounts)]
    pools = {volume.name for volume in volumes.volumes if volume.format in _POOLS and not volume.encrypted}
    clear = {f"{volume.mounted or '?'} ({volume.name})" for volume in mounted if not volume.encrypted}
    if clear:
        return holds(
            False, f"not encrypted: {named(sorted(clear))}", "dm-crypt below every file system but /boot"
        )
    if pools:
        raise NotUnderstood(f"whether {named(sorted(pools))} encrypts by itself is not seen")
    if not mounted:
        raise Absent("no volume of its own is mounted here")
    seen = sorted({volume.mounted or volume.name for volume in mounted})
    return holds(True, f"encrypted: {named(seen)}", "dm-crypt below every file system but /boot")


def _holds_data(volume: Volume, mounts: Mounts) -> bool:
    if volume.kind in {"rom", "loop"}:
        return False
    # lsblk names one place of a volume; subvolumes and bind mounts give it more.
    names = {f"/dev/{volume.device}", f"/dev/{volume.name}", f"/dev/mapper/{volume.name}"}
    places = {mount.target for mount in mounts.mounted if mount.source.partition("[")[0] in names}
    return any(
        place.startswith("/")
        and not any(place == other or place.startswith(f"{other}/") for other in (*_BOOT, *_BOUND))
        for place in {volume.mounted, *places}
    )


@check(
    "disk-encryption.swap",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Het wisselgeheugen op schijf is versleuteld of staat uit",
    why_nl="Alles wat in het geheugen staat, ook wachtwoorden en sleutels, kan anders leesbaar op schijf komen.",
    fix=(
        "swapoff -a\n"
        "echo 'swap /dev/vg0/swap /dev/urandom swap,cipher=aes-xts-plain64,size=512' >> /etc/crypttab\n"
        "sed -i 's#^[^\\#].*\\sswap\\s.*#/dev/mapper/swap none swap sw 0 0#' /etc/fstab\n"
        "systemctl daemon-reload\nsystemctl start systemd-cryptsetup@swap.service\nswapon -a"
    ),
    verify="swapon --show; lsblk -o NAME,TYPE,MOUNTPOINT",
    references=("crypttab(5) swap", "ISO/IEC 27002:2022 8.24"),
    advice="A server that hibernates needs a fixed key for its swap instead of a random one.",
    advice_nl="Een server die in slaapstand gaat, heeft voor zijn wisselgeheugen een vaste sleutel nodig.",
)
def swap_is_encrypted(swaps: Swaps, volumes: Volumes, mounts: Mounts) -> Verdict:
    """Memory that is swapped to disk is encrypted, or swap is off.

    Whatever is in memory, passwords and keys too, could otherwise end up on disk readable.
    """
    on_disk = [place for place in swaps.places if not place.startswith("/dev/zram")]
    clear = [place for place in on_disk if not _swap_encrypted(place, volumes, mounts)]
    observed = f"swap: {named(list(swaps.places))}" if swaps.places else "no swap"
    return holds(
        not clear, f"not encrypted: {named(clear)}" if clear else observed, "on crypt, in zram, or off"
    )


def _swap_encrypted(place: str, volumes: Volumes, mounts: Mounts) -> bool:
    if place.startswith("/dev/"):
        device = place.removeprefix("/dev/")
    else:
        source = mounts.holding(place).source.partition("[")[0]
        if not source.startswith("/dev/"):
            raise NotUnderstood(f"swap file {place} is on {source}, which is no block device")
        device = source.removeprefix("/dev/").removeprefix("mapper/")
    ways = [volume for volume in volumes.volumes if device in {volume.device, volume.name}]
    if not ways:
        raise NotUnderstood(f"lsblk does not show {device}, where {place} is")
    return all(way.encrypted for way in ways)


# --- examples: Debian 12 ------------------------------------------------------------------------------------------


def _device(
    name: str, kind: str, form: str | None, mounted: str | None, *children: object
) -> dict[str, object]:
    found = {"name": name, "kname": name, "type": kind, "fstype": form, "mountpoint": mounted}
    return found | ({"children": list(children)} if children else {})


def _lsblk(*devices: object) -> str:
    return json.dumps({"blockdevices": list(devices)}, indent=3)


def _host(*volumes: object) -> str:
    return _lsblk(_device("sda", "disk", None, None, _device("sda1", "part", "ext4", "/boot"), *volumes))


_SWAP: Final = _device("swap", "lvm", "swap", "[SWAP]")
_ROOT: Final = _device("root", "lvm", "ext4", "/")
_SEALED: Final = _host(
    _device(
        "sda2", "part", "crypto_LUKS", None, _device("sda2_crypt", "crypt", "LVM2_member", None, _ROOT, _SWAP)
    )
)
_CLEAR: Final = _host(_device("sda2", "part", "LVM2_member", None, _ROOT, _SWAP))
_HEADER: Final = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
_FINDMNT: Final = json.dumps(
    {
        "filesystems": [
            {"target": "/", "source": "/dev/mapper/root", "fstype": "ext4", "options": "rw,relatime"},
            {"target": "/net", "source": "files01:/export", "fstype": "nfs4", "options": "rw,relatime"},
        ]
    }
)
_BTRFS: Final = json.dumps(
    {
        "filesystems": [
            {"target": "/", "source": "/dev/sda2[/@]", "fstype": "btrfs", "options": "rw,subvol=/@"},
            {
                "target": "/boot",
                "source": "/dev/sda2[/@boot]",
                "fstype": "btrfs",
                "options": "rw,subvol=/@boot",
            },
        ]
    }
)


def _disks(*volumes: object, listed: str = "", found: str = _FINDMNT) -> dict[str, str]:
    return {"listed": listed or _host(*volumes), "found": found}


def _over(form: str, kind: str = "crypt", inside: str = "ext4") -> dict[str, object]:
    """A partition in a format, and a layer over it that holds /srv."""
    return _device("sda3", "part", form, None, _device("data", kind, inside, "/srv"))


examples(
    data_is_encrypted,
    passes=[_disks(listed=_SEALED), _disks(_over("crypto_LUKS"))],
    fails=[
        _disks(listed=_CLEAR),
        _disks(_device("sda2", "part", "ext4", "/"), _device("sda3", "part", "zfs_member", None)),
        # lsblk calls these crypt too, but they only guard against change.
        _disks(_over("DM_integrity")),
        _disks(_over("ext4"), _over("DM_verity_hash")),
        # One of the two places of this volume is all that lsblk names.
        _disks(_device("sda2", "part", "btrfs", "/boot"), found=_BTRFS),
    ],
    unknown=[
        _disks(_device("sda2", "part", "zfs_member", None)),
        _disks(listed="{}"),
        {**_disks(listed=_SEALED), "found": '{"filesystems": []}'},
    ],
    notapplicable=[
        _disks(
            listed=_lsblk(_device("vda", "disk", None, "/etc/hosts"), _device("zram0", "disk", None, None))
        ),
        _disks(listed=_lsblk(_device("vda", "disk", None, "/run/host/os-release"))),
    ],
)


def _swapping(listed: str, *places: str) -> dict[str, str]:
    lines = "".join(f"{place}\t\t\tpartition\t2097148\t\t0\t\t-2\n" for place in places)
    return {"table": _HEADER + lines, "listed": listed, "found": _FINDMNT}


examples(
    swap_is_encrypted,
    passes=[
        _swapping(_CLEAR),
        _swapping(_CLEAR, "/dev/zram0"),
        _swapping(_SEALED, "/dev/swap"),
        _swapping(_SEALED, "/swapfile"),
    ],
    fails=[
        _swapping(_CLEAR, "/dev/swap"),
        _swapping(_CLEAR, "/swapfile"),
        _swapping(_SEALED, "/dev/swap", "/dev/sda1"),
    ],
    unknown=[
        _swapping(_SEALED, "/dev/dm-7"),
        _swapping(_SEALED, "/net/swap"),
        {**_swapping(_SEALED), "table": ""},
    ],
)
