# SPDX-License-Identifier: GPL-2.0-or-later
"""What who is not root can do with an array.

    security.py write FILE...           opens each file for writing, as nobody
    security.py read FILE...            reads each, as nobody
    security.py store FILE...           as root without CAP_SYS_ADMIN: writes back what each file says
    security.py ioctls ARRAY PATH       as nobody: the ioctls that have a name, on the nodes of both
    security.py numbers ARRAY PATH      all numbers of the families that these belong to, without an argument
    security.py md ARRAY PATH           as nobody: those of md

The first three write one line a file, `allowed` or the error, and the file. The others write one line for each
ioctl and mode of opening, with what it gave on the array and on the path: `worse` where the array lets do
what the path does not, else `fine`.
"""
import ctypes
import errno
import fcntl
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ioctls import BIG, BLOCK, MD, MD_TOLD, N, ONE, P, S, keep, number

NOBODY = 65534
PR_CAPBSET_DROP = 24
CAP_SYS_ADMIN = 21


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def drop_sys_admin():
    """As root a program gets the capabilities of the bounding set when it starts."""
    if "dropped" in os.environ:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0):
        sys.exit(os.strerror(ctypes.get_errno()))
    os.environ["dropped"] = "1"
    os.execv(sys.executable, [sys.executable, "-I", "-S"] + sys.argv)


def outcome(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"


def open_for_writing(path):
    os.close(os.open(path, os.O_WRONLY))


def read(path):
    with open(path, "rb") as file:
        file.read()


def store(path):
    with open(path, "rb") as file:
        value = file.read()
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)


# --- ioctls -----------------------------------------------------------------------------------------

def sg_io(cdb, length=0, direction=-1):
    """include/scsi/sg.h: what runs any SCSI command; direction: -1 none, -2 to the disk, -3 from it."""
    command = ctypes.create_string_buffer(bytes(cdb), len(cdb))
    data = ctypes.create_string_buffer(4096)
    sense = ctypes.create_string_buffer(64)
    keep.extend((command, data, sense))
    return struct.pack("=iiBBHIQQQIIi4xQBBBBHHiII4x", ord("S"), direction, len(cdb), 64, 0, length,
                       ctypes.addressof(data), ctypes.addressof(command), ctypes.addressof(sense),
                       10000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def nvme(opcode, nsid=1, length=0, words=()):
    """include/uapi/linux/nvme_ioctl.h, struct nvme_passthru_cmd."""
    data = ctypes.create_string_buffer(4096)
    keep.append(data)
    words = (tuple(words) + (0,) * 6)[:6]
    return struct.pack("=BBHIIIQQII6III", opcode, 0, 0, nsid, 0, 0, 0, ctypes.addressof(data) if length else 0,
                       0, length, *words, 10000, 0)


THROUGH = [
    ("SG_IO inquiry", 0x2285, lambda: sg_io([0x12, 0, 0, 0, 96, 0], 96, -3)),
    ("SG_IO read", 0x2285, lambda: sg_io([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], 512, -3)),
    ("SG_IO write", 0x2285, lambda: sg_io([0x2A, 0, 0, 0, 0x10, 0, 0, 0, 1, 0], 512, -2)),
    ("SG_IO unmap", 0x2285, lambda: sg_io([0x42] + [0] * 6 + [0, 24, 0], 24, -2)),
    ("SG_IO mode select", 0x2285, lambda: sg_io([0x55, 0x10] + [0] * 6 + [0, 0], 0, -1)),
    ("SG_IO reserve", 0x2285, lambda: sg_io([0x5F, 0, 0, 0, 0, 0, 0, 0, 24, 0], 24, -2)),
    # Not FORMAT UNIT, 0x04: scsi_debug of Linux 7.3 takes it for a tape's FORMAT MEDIUM, for whoever may write to
    # its disk, and follows a null pointer (resp_format_medium).
    ("SG_IO synchronize cache", 0x2285, lambda: sg_io([0x35] + [0] * 9, 0, -1)),
    ("SG_IO start stop", 0x2285, lambda: sg_io([0x1B, 0, 0, 0, 1, 0], 0, -1)),
    ("SG_GET_VERSION_NUM", 0x2282, BIG), ("SG_SET_TIMEOUT", 0x2201, ONE), ("SG_SCSI_RESET", 0x2284, struct.pack("=i", 0)),
    ("SCSI_IOCTL_SEND_COMMAND", 1, struct.pack("=II", 0, 96) + bytes([0x12, 0, 0, 0, 96, 0]) + bytes(200)),
    ("SCSI_IOCTL_GET_IDLUN", 0x5382, BIG), ("SCSI_IOCTL_DOORLOCK", 0x5380, 0), ("SCSI_IOCTL_STOP_UNIT", 6, 0),
    ("CDROMEJECT", 0x5309, 0), ("CDROM_SEND_PACKET", 0x5393, BIG),
    ("NVME_IOCTL_ID", number(0, N, 0x40, 0), 0),
    ("NVME_IOCTL_ADMIN_CMD identify", number(3, N, 0x41, 72), lambda: nvme(6, 1, 4096)),
    ("NVME_IOCTL_ADMIN_CMD format", number(3, N, 0x41, 72), lambda: nvme(0x80)),
    ("NVME_IOCTL_IO_CMD read", number(3, N, 0x43, 72), lambda: nvme(2, 1, 4096, (0, 0, 7))),
    ("NVME_IOCTL_IO_CMD write", number(3, N, 0x43, 72), lambda: nvme(1, 1, 4096, (0, 0, 7))),
    ("NVME_IOCTL_IO_CMD reserve", number(3, N, 0x43, 72), lambda: nvme(0x0D, 1, 16)),
    ("NVME_IOCTL_SUBMIT_IO", number(1, N, 0x42, 48), bytes(48)),
    ("NVME_IOCTL_RESET", number(0, N, 0x44, 0), 0), ("NVME_IOCTL_SUBSYS_RESET", number(0, N, 0x45, 0), 0),
    ("NVME_IOCTL_RESCAN", number(0, N, 0x46, 0), 0),
    ("NVME_IOCTL_ADMIN64_CMD", number(3, N, 0x47, 80), lambda: nvme(6, 1, 4096) + bytes(8)),
    ("NVME_IOCTL_IO64_CMD", number(3, N, 0x48, 80), lambda: nvme(2, 1, 4096, (0, 0, 7)) + bytes(8)),
    ("IOC_OPAL_GET_STATUS", number(2, P, 236, 8), BIG), ("IOC_OPAL_DISCOVERY", number(1, P, 239, 16), BIG),
]
NUMBERS = [(f"{family:#04x} {nr:#04x}", number(0, family, nr, 0), 0)
           for family in (0x00, 0x01, 0x03, 0x09, 0x12, 0x22, S, N, P) for nr in range(256)]


def call(fd, request, argument):
    if callable(argument):
        argument = argument()
    if isinstance(argument, bytes):
        argument = bytearray(argument)
    fcntl.ioctl(fd, request, argument)


def compare(calls, array, path):
    device = os.stat(path).st_rdev
    for mode, flags in (("rw", os.O_RDWR), ("ro", os.O_RDONLY)):
        fds = [os.open(name, flags) for name in (array, path)]
        for name, request, argument in calls:
            if argument == "device":
                argument = device
            seen = [outcome(lambda: call(fd, request, argument)) for fd in fds]
            verdict = "worse" if seen[0] == "allowed" and seen[1] != "allowed" else "fine"
            print(verdict, mode, name, *seen, sep="\t")


what, arguments = sys.argv[1], sys.argv[2:]
if what == "store":
    drop_sys_admin()
else:
    become_nobody()
one_by_one = {"write": open_for_writing, "read": read, "store": store}
if what in one_by_one:
    for name in arguments:
        print(outcome(lambda: one_by_one[what](name)), name, sep="\t")
else:
    compare({"ioctls": BLOCK + THROUGH, "numbers": NUMBERS, "md": MD + MD_TOLD}[what], *arguments)
