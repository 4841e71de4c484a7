# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays the cells of a table like matrix.table on the array md0 over mpdisk0, mpdisk1 and mpdisk2.

    matrix.py TABLE INJECTOR [STATUS]...

INJECTOR: `module`: mpdisk answers with the status; `late`: from an interrupt; `block`: the block layer's
error injection does, before the I/O gets to the disk, and mpdisk for flushes, which that never matches.
One line a cell: `pass` or `fail`, status, operation, column, what was wanted, what was seen.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import re
import struct
import sys
import threading
import time

PATHS = 3
SIZE = 4096
PATIENCE = 120
TRACING = "/sys/kernel/tracing"

# include/linux/blk_types.h
STATUSES = {
    "OK": 0, "NOTSUPP": 1, "TIMEOUT": 2, "NOSPC": 3, "TRANSPORT": 4, "TARGET": 5, "RESV_CONFLICT": 6,
    "MEDIUM": 7, "PROTECTION": 8, "RESOURCE": 9, "IOERR": 10, "DM_REQUEUE": 11, "AGAIN": 12,
    "DEV_RESOURCE": 13, "ZONE_OPEN_RESOURCE": 14, "ZONE_ACTIVE_RESOURCE": 15, "OFFLINE": 16,
    "DURATION_LIMIT": 17, "INVAL": 19,
}
# Each operation: the parameter of mpdisk, the block layer's name, and how a trace shows it.
OPERATIONS = {
    "read": ("read", "READ", r"RS?"),
    "write": ("write", "WRITE", r"WS?"),
    "fua": ("write", "WRITE", r"WFS?"),
    "discard": ("discard", "DISCARD", r"DS?"),
    "zeroes": ("zeroes", "WRITE_ZEROES", r"[WD]ZS?"),
    "flush": ("flush", None, r"FWS?"),
    "nowait": ("read", "READ", r"RS?"),
    "readahead": ("read", "READ", r"RA"),
}
COLUMNS = ("one", "in turn", "all", "mended")

BLKDISCARD = 0x1277
PUNCH_HOLE = 0x02 | 0x01  # and keep the size: zeroes by the device, or an error
HOT_REMOVE_DISK = 0x0922
HOT_ADD_DISK = 0x0928

libc = ctypes.CDLL(None, use_errno=True)
page = mmap.mmap(-1, SIZE)
array = os.open("/dev/md0", os.O_RDWR)
direct = os.open("/dev/md0", os.O_RDWR | os.O_DIRECT)
mdstat = open("/proc/mdstat", "rb", buffering=0)


def put(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def fallocate():
    if libc.fallocate(array, PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(SIZE)):
        raise OSError(ctypes.get_errno(), "fallocate")


def readahead():
    os.posix_fadvise(array, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(array, 0, SIZE, os.POSIX_FADV_WILLNEED)
    idle()
    # What is there is read, and nothing is read again.
    os.preadv(array, [page], 0, os.RWF_NOWAIT)


def idle():
    end = time.monotonic() + PATIENCE
    while open("/sys/block/md0/inflight").read().split() != ["0", "0"]:
        if time.monotonic() > end:
            raise TimeoutError("I/O does not end")


ACTIONS = {
    "read": lambda: os.preadv(direct, [page], 0),
    "write": lambda: os.pwritev(direct, [page], 0),
    "fua": lambda: os.pwritev(direct, [page], 0, os.RWF_DSYNC),
    "discard": lambda: fcntl.ioctl(array, BLKDISCARD, struct.pack("QQ", 0, SIZE)),
    "zeroes": fallocate,
    "flush": lambda: os.fsync(array),
    "nowait": lambda: os.preadv(direct, [page], 0, os.RWF_NOWAIT),
    "readahead": readahead,
}


def run(operation):
    try:
        ACTIONS[operation]()
    except OSError as error:
        return "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno]
    return "ok"


def persist(operation, status):
    """While md puts a path in or out, what may not wait is told to come again, and does."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = run(operation)
        if (operation, answer) != ("nowait", "EAGAIN") or status == "AGAIN" or time.monotonic() > end:
            return answer


def states():
    mdstat.seek(0)
    return re.search(rb"\[\d+/\d+\] \[([U_]+)\]", mdstat.read()).group(1).decode()


def device(path):
    number = os.stat(f"/dev/mpdisk{path}").st_rdev
    return os.major(number) << 8 | os.minor(number)


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.001)


def removed(path):
    try:
        fcntl.ioctl(array, HOT_REMOVE_DISK, device(path))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def mend():
    """Takes the failed paths out and puts them back, each into its slot."""
    for path, state in enumerate(states()):
        if state == "U":
            continue
        until(lambda: removed(path), f"path {path} is not removed")
        fcntl.ioctl(array, HOT_ADD_DISK, device(path))
        until(lambda: states()[path] == "U", f"path {path} does not come back")
        with open(f"/sys/block/md0/md/dev-mpdisk{path}/slot") as slot:
            assert slot.read().strip() == str(path)
    # Until then md may not have let go of the array.
    until(lambda: run("nowait") == "ok", "the array stays suspended")


class Injector:
    """Makes the first `count` paths answer an operation with a status, until `clear`."""

    def __init__(self, kind):
        self.block = kind == "block"
        self.cleared = []
        put("/sys/module/mpdisk/parameters/late", "Y" if kind == "late" else "N")

    def inject(self, status, operation, count):
        parameter, op, _ = OPERATIONS[operation]
        if status == "OK":
            return
        if op and self.block:
            for path in range(len(self.cleared), count):
                place = f"/sys/kernel/debug/block/mpdisk{path}/error_injection"
                put(place, f"add,op={op},status={status}")
                self.cleared.append((place, "removeall"))
            return
        place = f"/sys/module/mpdisk/parameters/{parameter}"
        number = STATUSES[status]
        put(place, ",".join(str(number if path < count else 0) for path in range(PATHS)))
        self.cleared = [(place, ",".join("0" * PATHS))]

    def clear(self):
        for place, text in self.cleared:
            put(place, text)
        self.cleared = []


def traced(operation):
    """That the operation is what its name says: the block layer's name for it on the array."""
    put(f"{TRACING}/trace", "\n")
    put(f"{TRACING}/events/block/block_bio_queue/enable", "1")
    answer = run(operation)
    put(f"{TRACING}/events/block/block_bio_queue/enable", "0")
    with open(f"{TRACING}/trace") as trace:
        kinds = re.findall(r"block_bio_queue: 9,0 (\S+)", trace.read())
    if not any(re.fullmatch(OPERATIONS[operation][2], kind) for kind in kinds):
        return f"{answer} by {' '.join(kinds)}"
    return answer


def parks():
    """Whether the trace shows that an I/O waits for a path."""
    with open(f"{TRACING}/trace") as trace:
        return "md_multipath_park:" in trace.read()


def wait_mended(injector, status, operation):
    """The I/O ends, or waits for a path, and then they work again."""
    answers = []
    event = f"{TRACING}/events/md_multipath/md_multipath_park/enable"
    put("/sys/block/md0/md/no_path_timeout_ms", str(1000 * PATIENCE))
    put(f"{TRACING}/trace", "\n")
    put(event, "1")
    injector.inject(status, operation, PATHS)
    io = threading.Thread(target=lambda: answers.append(run(operation)))
    io.start()
    until(lambda: answers or parks(), "it neither ends nor waits for a path")
    injector.clear()
    put(event, "0")
    io.join(PATIENCE)
    put("/sys/block/md0/md/no_path_timeout_ms", "0")
    io.join()
    return answers[0]


def play(injector, status, operation, column):
    if column == "mended":
        answer = wait_mended(injector, status, operation)
        seen = [f"{answer}:{states()}"]
        mend()
        return seen
    steps = {"one": (1,), "in turn": range(1, PATHS + 1), "all": (PATHS,)}[column]
    seen = []
    try:
        for count in steps:
            injector.inject(status, operation, count)
            answer = traced(operation) if status == "OK" and column == "one" else persist(operation, status)
            seen.append(f"{answer}:{states()}")
    finally:
        injector.clear()
    mend()
    return seen


def table(name):
    """(status, operation, column, outcomes) of each cell."""
    for line in open(name):
        words = line.split("#")[0].split()
        if not words:
            continue
        status, code, operations, *outcomes = words
        for operation in operations.split(","):
            error = "EAGAIN" if operation == "readahead" else code
            for column, outcome in zip(COLUMNS, outcomes, strict=True):
                yield status, operation, column, outcome.replace("error", error).split(",")


def main():
    name, kind, *only = sys.argv[1:]
    injector = Injector(kind)
    mend()
    for status, operation, column, wanted in table(name):
        if only and status not in only:
            continue
        seen = play(injector, status, operation, column)
        print("pass" if seen == wanted else "fail", status, operation, column.replace(" ", "-"),
              ",".join(wanted), ",".join(seen), flush=True)


main()
