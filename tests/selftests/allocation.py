# SPDX-License-Identifier: GPL-2.0-or-later
"""Lets each allocation of an operation fail once, in turn.

    allocation.py OPERATION

OPERATION: load, run, add, remove, grow or settings. One line: how many allocations were failed, how many of these
times the operation succeeded all the same, and what was wrong, or `-`. What is wrong: another error than the one of
failed memory, or that the same does not succeed right after it. With `short`, 30 % of them fail until it is ended:
of the driver's, in any task, and everybody's pages that nobody can wait for. With `pages`, 30 % of the driver's
pages, in any task, also where it can wait for them. Both say at last how many failed.

A task that has N in its `fail-nth` is refused its Nth allocation, of those that the filters of failslab and
fail_page_alloc let through: here of the code in which the operation is the driver's, at any depth of calls. The
paths are /dev/path0 and /dev/path1.
"""
import ctypes
import errno
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import time

MODULE = "md_multipath"
PATHS = ("/dev/path0", "/dev/path1")
MD = "/sys/block/md0/md"
PATIENCE = 600

# include/uapi/linux/raid/md_u.h, md_p.h
SET_ARRAY_INFO, ADD_NEW_DISK, RUN_ARRAY, STOP_ARRAY = 0x40480923, 0x40140921, 0x400c0930, 0x0932
ACTIVE_IN_SYNC = 1 << 1 | 1 << 2
# arch/x86/entry/syscalls/syscall_64.tbl
DELETE_MODULE, FINIT_MODULE = 176, 313

libc = ctypes.CDLL(None, use_errno=True)
nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)


def put(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def get(path):
    with open(path) as file:
        return file.read().strip()


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{sys.argv[1]} waits in vain")
        time.sleep(0.02)


def patiently(text, path):
    """md core is busy while it looks for spares."""
    def written():
        try:
            put(path, text)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True
    until(written)


def syscall(*words):
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), "")


# --- faults ----------------------------------------------------------------------------------------


def faults(**settings):
    for kind in ("failslab", "fail_page_alloc"):
        for name, value in settings.items():
            put(f"/sys/kernel/debug/{kind}/{name.replace('_', '-')}", str(value))


def symbols():
    with open("/proc/kallsyms") as lines:
        for line in lines:
            yield line.split()


def only(start, end):
    """What is allocated by the code from `start` to `end`, and by what it calls."""
    faults(require_start=hex(start), require_end=hex(end), stacktrace_depth=32, ignore_gfp_wait="N")
    put("/sys/kernel/debug/fail_page_alloc/min-order", "0")
    put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N")


def only_module():
    text = [int(words[0], 16) for words in symbols() if words[1] in "tT" and words[3:] == [f"[{MODULE}]"]]
    only(min(text), max(text) + 4096)


def only_initialisation():
    kernel = sorted({int(words[0], 16) for words in symbols() if len(words) == 3})
    start = next(int(words[0], 16) for words in symbols() if words[2] == "do_init_module")
    only(start, kernel[kernel.index(start) + 1])


def everything():
    faults(require_start=0, require_end=2**64 - 1)


def memory(there):
    """None for the module's code, in any task, or plenty again."""
    faults(times=-1, probability=0 if there else 100)


def in_turn(attempt, undo, done, other_errors=(), lost=lambda error: False):
    """Prints the line. `done`: it had its effect. `lost`: the error means that md core was faster, which is no
    attempt."""
    sites = survived = tries = 0
    wrong = "-"
    while True:
        number = None
        os.pwrite(nth, str(sites + 1).encode(), 0)
        try:
            attempt()
        except OSError as error:
            number = error.errno
        left = int(os.pread(nth, 20, 0))
        os.pwrite(nth, b"0", 0)
        if lost(number) and tries < 100:
            tries += 1
            undo()
            continue
        if left > 0:
            if number is not None:
                wrong = f"without a fault: {errno.errorcode[number]}"
            elif not done():
                wrong = "without a fault it did nothing"
            undo()
            break
        sites += 1
        if number is None:
            survived += 1
        elif number not in (errno.ENOMEM, *other_errors):
            wrong = f"allocation {sites}: {errno.errorcode[number]}"
            break
        elif done():
            wrong = f"allocation {sites}: it failed, and is done all the same"
            break
        else:
            try:
                attempt()
            except OSError as error:
                wrong = f"right after allocation {sites}: {errno.errorcode[error.errno]}"
                break
        if not done():
            wrong = f"allocation {sites}: it succeeded, and nothing is done"
            break
        undo()
    print(sites, survived, wrong)


# --- operations ------------------------------------------------------------------------------------


def load():
    file = subprocess.run(["modinfo", "-n", MODULE], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    fd = os.open(file, os.O_RDONLY)

    def unloaded():
        try:
            syscall(DELETE_MODULE, MODULE.encode(), os.O_NONBLOCK)
        except OSError:
            return False
        return True

    def unload():
        until(unloaded)

    unload()
    only_initialisation()
    in_turn(lambda: syscall(FINIT_MODULE, fd, b"", 0), unload, lambda: os.path.exists(f"/sys/module/{MODULE}"))
    syscall(FINIT_MODULE, fd, b"", 0)


def array():
    """A new one, that is to be started."""
    put("/sys/module/md_mod/parameters/new_array", "md0")
    until(lambda: os.path.exists("/dev/md0"))
    fd = os.open("/dev/md0", os.O_RDWR)
    fcntl.ioctl(fd, SET_ARRAY_INFO, struct.pack("18i", 0, 90, 3, 0, -4, 0, 2, 2, 0, 1, 0, 0, 2, 2, 0, 0, 0, 0))
    for slot, path in enumerate(PATHS):
        add_disk(fd, path, slot, ACTIVE_IN_SYNC)
    return fd


def add_disk(fd, path, slot, state):
    dev = os.stat(path).st_rdev
    fcntl.ioctl(fd, ADD_NEW_DISK, struct.pack("5i", slot, os.major(dev), os.minor(dev), slot, state))


def stop(fd):
    def stopped():
        try:
            fcntl.ioctl(fd, STOP_ARRAY)
        except OSError:
            return False
        return True
    until(stopped)
    os.close(fd)
    until(lambda: not os.path.exists(MD))


def run():
    only_module()
    os.close(array())

    def start():
        fd = os.open("/dev/md0", os.O_RDONLY)
        try:
            fcntl.ioctl(fd, RUN_ARRAY, bytes(12))
        finally:
            os.close(fd)

    def works():
        return "[2/2] [UU]" in get("/proc/mdstat")

    # It keeps its members.
    in_turn(start, lambda: patiently("inactive", f"{MD}/array_state"), works)
    stop(os.open("/dev/md0", os.O_RDWR))


class Member:
    """The second path of a running array."""
    def __init__(self):
        only_module()
        self.fd = array()
        fcntl.ioctl(self.fd, RUN_ARRAY, bytes(12))
        name = os.path.basename(os.path.realpath(PATHS[1]))
        self.place = f"{MD}/dev-{name}"

    def slot(self):
        return get(f"{self.place}/slot")

    def up(self):
        return "[2/2] [UU]" in get("/proc/mdstat")

    def leaves(self):
        put(f"{self.place}/state", "faulty")
        until(lambda: self.slot() == "none")
        until(self.removed)

    def removed(self):
        try:
            put(f"{self.place}/state", "remove")
        except OSError:
            pass
        return not os.path.exists(self.place)

    def joins(self):
        add_disk(self.fd, PATHS[1], -1, 0)
        until(self.up)


def refused():
    """md core has tried, with no memory for the driver, and tries no more: as far as can be seen."""
    before = 0
    for _ in range(10):
        until(lambda: failures("failslab", 1000) > 0)
        seen = failures("failslab", 1000)
        if seen == before:
            return
        before = seen
        time.sleep(0.3)


def failures(kind, of):
    return of - int(get(f"/sys/kernel/debug/{kind}/times"))


def add():
    member = Member()

    def spare():
        member.leaves()
        # md core adds it by itself: it stays a spare if that fails.
        memory(False)
        faults(times=1000)
        add_disk(member.fd, PATHS[1], -1, 0)
        refused()
        memory(True)

    spare()
    slot = [os.open(f"{member.place}/slot", os.O_WRONLY)]

    def undo():
        os.close(slot.pop())
        spare()
        slot.append(os.open(f"{member.place}/slot", os.O_WRONLY))

    in_turn(lambda: os.write(slot[0], b"1"), undo, member.up, lost=lambda error: error == errno.EBUSY)
    os.close(slot.pop())
    stop(member.fd)


def remove():
    member = Member()

    def failed():
        # md core removes it by itself: it stays if that fails.
        memory(False)
        faults(times=1000)
        put(f"{member.place}/state", "faulty")
        refused()
        memory(True)

    def back():
        # md core does it at last.
        put(f"{member.place}/state", "faulty")
        until(member.removed)
        member.joins()

    failed()
    slot = [os.open(f"{member.place}/slot", os.O_WRONLY)]

    def undo():
        os.close(slot.pop())
        back()
        failed()
        slot.append(os.open(f"{member.place}/slot", os.O_WRONLY))

    # Whatever the error, md core says EBUSY if the member is still in its slot.
    in_turn(lambda: os.write(slot[0], b"none"), undo, lambda: member.slot() == "none", (errno.EBUSY,),
            lambda error: error == errno.EEXIST)
    os.close(slot.pop())
    stop(member.fd)


def grow():
    member = Member()
    disks = os.open(f"{MD}/raid_disks", os.O_WRONLY)
    in_turn(lambda: os.write(disks, b"9"), lambda: patiently("2", f"{MD}/raid_disks"),
            lambda: get(f"{MD}/raid_disks") == "9", lost=lambda error: error == errno.EBUSY)
    os.close(disks)
    stop(member.fd)


def settings():
    member = Member()
    everything()
    for place, value, before in (
            ("path_policy", "queue-depth", "first"), ("no_path_timeout_ms", "5", "0"),
            ("no_path_max_parked", "7", "4096"), ("write_retry_hold_ms", "9", "0"),
            (f"{os.path.basename(member.place)}/multipath/priority", "11", "0")):
        path = f"{MD}/{place}"
        fd = os.open(path, os.O_WRONLY)

        def undo():
            put(path, before)

        def done():
            return re.search(rf"\b{value}\b", get(path))

        in_turn(lambda: os.write(fd, value.encode()), undo, done)
        os.close(fd)
    stop(member.fd)


def short():
    many = 10**9
    only_module()
    for name, value in (("require-start", 0), ("require-end", 2**64 - 1), ("ignore-gfp-wait", "Y")):
        put(f"/sys/kernel/debug/fail_page_alloc/{name}", str(value))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    faults(times=many, probability=30)
    signal.sigwait({signal.SIGTERM})
    faults(probability=0)
    print(failures("failslab", many), failures("fail_page_alloc", many))


def pages():
    many = 10**9
    only_module()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    faults(times=many)
    put("/sys/kernel/debug/fail_page_alloc/probability", "30")
    signal.sigwait({signal.SIGTERM})
    faults(probability=0)
    print(failures("fail_page_alloc", many))


faults(verbose=0)
try:
    {"load": load, "run": run, "add": add, "remove": remove, "grow": grow, "settings": settings,
     "short": short, "pages": pages}[sys.argv[1]]()
finally:
    memory(True)
    everything()
