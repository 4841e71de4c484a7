# SPDX-License-Identifier: GPL-2.0-or-later
"""Ioctls of block devices and of md: name, number and argument, for security.py and fuzz.py.

An argument is a number, the bytes that a pointer leads to, or what gives one of these when it is called.
"""
import ctypes
import struct


def number(direction, family, nr, size):
    """include/uapi/asm-generic/ioctl.h; direction: 0 none, 1 the kernel reads, 2 it writes, 3 both."""
    return direction << 30 | size << 16 | family << 8 | nr


def pg(op):
    """include/uapi/linux/blkpg.h: partition 7, of 1 MiB at 1 MiB."""
    partition = ctypes.create_string_buffer(struct.pack("=qqi", 1 << 20, 1 << 20, 7) + bytes(132))
    keep.append(partition)
    return struct.pack("=iiiiQ", op, 0, 152, 0, ctypes.addressof(partition))


keep = []
ONE = struct.pack("=i", 1)
RANGE = struct.pack("=QQ", 1 << 20, 4096)
BIG = bytes(4096)
N, P, S = ord("N"), ord("p"), ord("S")
BLOCK = [
    ("BLKROSET", 0x125D, ONE), ("BLKROGET", 0x125E, BIG), ("BLKRRPART", 0x125F, 0), ("BLKGETSIZE", 0x1260, BIG),
    ("BLKFLSBUF", 0x1261, 0), ("BLKRASET", 0x1262, 64), ("BLKRAGET", 0x1263, BIG), ("BLKFRASET", 0x1264, 64),
    ("BLKSECTGET", 0x1267, BIG), ("BLKSSZGET", 0x1268, BIG),
    ("BLKPG add", 0x1269, lambda: pg(1)), ("BLKPG delete", 0x1269, lambda: pg(2)),
    ("BLKBSZGET", number(2, 0x12, 112, 8), BIG), ("BLKBSZSET", number(1, 0x12, 113, 8), struct.pack("=i", 4096)),
    ("BLKGETSIZE64", number(2, 0x12, 114, 8), BIG), ("BLKTRACESETUP", number(3, 0x12, 115, 72), bytes(32)
                                                      + struct.pack("=HxxII4xQQI4x", 0xFFFF, 4096, 4, 0, 1 << 40, 0)),
    ("BLKTRACESTART", 0x1274, 0), ("BLKTRACESTOP", 0x1275, 0), ("BLKTRACETEARDOWN", 0x1276, 0),
    ("BLKDISCARD", 0x1277, RANGE), ("BLKSECDISCARD", 0x127D, RANGE), ("BLKZEROOUT", 0x127F, RANGE),
    ("BLKREPORTZONE", number(3, 0x12, 130, 16), BIG), ("BLKRESETZONE", number(1, 0x12, 131, 16), RANGE),
    ("BLKOPENZONE", number(1, 0x12, 134, 16), RANGE), ("BLKFINISHZONE", number(1, 0x12, 136, 16), RANGE),
    ("BLKGETDISKSEQ", number(2, 0x12, 128, 8), BIG), ("HDIO_GETGEO", 0x301, BIG), ("HDIO_DRIVE_CMD", 0x31F, BIG),
    ("IOC_PR_REGISTER", number(1, P, 200, 24), struct.pack("=QQII", 0, 0xABC, 0, 0)),
    ("IOC_PR_RESERVE", number(1, P, 201, 16), struct.pack("=QII", 0xABC, 1, 0)),
    ("IOC_PR_RELEASE", number(1, P, 202, 16), struct.pack("=QII", 0xABC, 1, 0)),
    ("IOC_PR_PREEMPT", number(1, P, 203, 24), struct.pack("=QQII", 0xABC, 0xABC, 1, 0)),
    ("IOC_PR_PREEMPT_ABORT", number(1, P, 204, 24), struct.pack("=QQII", 0xABC, 0xABC, 1, 0)),
    ("IOC_PR_CLEAR", number(1, P, 205, 16), struct.pack("=QII", 0xABC, 0, 0)),
]
# What everybody reads in /proc/mdstat and /sys/block/mdX/md.
MD_TOLD = [
    ("RAID_VERSION", number(2, 9, 0x10, 12), BIG), ("GET_ARRAY_INFO", number(2, 9, 0x11, 72), BIG),
    ("GET_DISK_INFO", number(2, 9, 0x12, 20), BIG),
]
MD = [
    ("GET_BITMAP_FILE", number(2, 9, 0x15, 4096), BIG), ("ADD_NEW_DISK", number(1, 9, 0x21, 20), BIG),
    ("HOT_REMOVE_DISK", number(0, 9, 0x22, 0), "device"), ("SET_ARRAY_INFO", number(1, 9, 0x23, 72), BIG),
    ("HOT_ADD_DISK", number(0, 9, 0x28, 0), "device"), ("SET_DISK_FAULTY", number(0, 9, 0x29, 0), "device"),
    ("SET_BITMAP_FILE", number(1, 9, 0x2B, 4), 0), ("RUN_ARRAY", number(1, 9, 0x30, 12), 0),
    ("STOP_ARRAY", number(0, 9, 0x32, 0), 0), ("STOP_ARRAY_RO", number(0, 9, 0x33, 0), 0),
    ("RESTART_ARRAY_RW", number(0, 9, 0x34, 0), 0), ("CLUSTERED_DISK_NACK", number(0, 9, 0x35, 0), 0),
]
