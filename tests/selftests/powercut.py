# SPDX-License-Identifier: GPL-2.0-or-later
"""The workload of powercut.sh, and the replay of what dm-log-writes recorded of it.

    powercut.py work DIR DEVICE
        Writes and fsyncs files in DIR until SIGTERM. What an fsync that returned has promised, and what is promised
        no more, becomes a mark in the log of the log-writes device DEVICE: what was asked for later comes later in
        the log as well.

    powercut.py replay LOG DISK COW FILESYSTEM POINTS PHASE...
        Replays LOG onto DISK, which is as it was when the log began. A power cut is every flush and every write with
        FUA behind the mark `begin:PHASE`; in each phase POINTS of them are looked at, and the first few behind each
        mark `flush-fails`, or `all`: the file system is mounted on a snapshot, whose changes go to COW, all that was
        promised before has to be there, and its own check must find nothing. One line a phase: its name, how many
        points there are, how many were looked at, how many promises were, what was found wrong. Last, a write is left
        out: `left-out`, and what was found.
"""
import collections
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time

THREADS = 4
BLOCK = 4096
BLOCKS = 16
RECORD = 1000
KEPT = 20
CLOSE = 4
IN_PLACE = ("direct", "cached")
MOUNT = "/mnt/selftest/cut"
CHECKS = {"ext4": ["e2fsck", "-f", "-n"], "xfs": ["xfs_repair", "-n"]}

# drivers/md/dm-log-writes.c
MAGIC = 0x6a736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
# include/uapi/linux/dm-ioctl.h
DM_TARGET_MSG = 0xc138fd0e


def content(promise, size):
    """Of a file, or of a block: no two have a line in common."""
    lines = (b"%-31s\n" % b"%s %d" % (promise.encode(), i) for i in range((size + 31) // 32))
    return b"".join(lines)[:size]


def size_of(kind, number):
    return {"new": BLOCK * (1 + number % 4), "append": RECORD, "replace": 3 * BLOCK - 7, "direct": BLOCK,
            "cached": BLOCK}[kind]


def bytes_of(kind, thread, number):
    return content(f"{kind}:{thread}:{number}", size_of(kind, number))


# --- the workload ----------------------------------------------------------------------------------


class Log:
    def __init__(self, device):
        self.control = os.open("/dev/mapper/control", os.O_RDWR)
        self.name = device.encode()

    def mark(self, text):
        message = struct.pack("Q", 0) + b"mark " + text.encode() + b"\0"
        head = struct.pack("3I7IQ128s129s7x", 4, 0, 0, 312 + len(message), 312, 0, 0, 0, 0, 0, 0, self.name, b"")
        fcntl.ioctl(self.control, DM_TARGET_MSG, bytearray(head + message))


def put(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)


def work(top, log, thread, stop):
    place = f"{top}/{thread}"
    directory = os.open(place, os.O_RDONLY)
    append = os.open(f"{place}/append", os.O_WRONLY | os.O_APPEND)
    direct = os.open(f"{place}/direct", os.O_WRONLY | os.O_DIRECT | os.O_DSYNC)
    cached = os.open(f"{place}/cached", os.O_WRONLY)
    page = mmap.mmap(-1, BLOCK)
    number = 0
    while not stop.is_set():
        put(f"{place}/new-{number}", bytes_of("new", thread, number))
        os.fsync(directory)
        log.mark(f"new:{thread}:{number}")
        if number >= KEPT:
            log.mark(f"drop:{thread}:{number - KEPT}")
            os.unlink(f"{place}/new-{number - KEPT}")
        os.write(append, bytes_of("append", thread, number))
        os.fdatasync(append)
        log.mark(f"append:{thread}:{number}")
        put(f"{place}/temporary", bytes_of("replace", thread, number))
        os.rename(f"{place}/temporary", f"{place}/replace")
        os.fsync(directory)
        log.mark(f"replace:{thread}:{number}")
        # With FUA, and with a flush that has nothing to write with it.
        page[:] = bytes_of("direct", thread, number)
        os.pwrite(direct, page, number % BLOCKS * BLOCK)
        log.mark(f"direct:{thread}:{number}")
        os.pwrite(cached, bytes_of("cached", thread, number), number % BLOCKS * BLOCK)
        os.fdatasync(cached)
        log.mark(f"cached:{thread}:{number}")
        number += 1
        # The log is to hold a lot of what happens to paths, and little else.
        stop.wait(0.1)


def workload(top, device):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    log = Log(device)
    errors = []

    def guarded(thread):
        try:
            work(top, log, thread, stop)
        except OSError as error:
            errors.append(error)
            stop.set()

    for thread in range(THREADS):
        os.mkdir(f"{top}/{thread}")
        put(f"{top}/{thread}/append", b"")
        put(f"{top}/{thread}/direct", bytes(BLOCK * BLOCKS))
        put(f"{top}/{thread}/cached", bytes(BLOCK * BLOCKS))
    os.sync()
    threads = [threading.Thread(target=guarded, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        stop.wait(3600)
    for thread in threads:
        thread.join()
    for error in errors:
        print(error)
    sys.exit(1 if errors else 0)


# --- what was promised -----------------------------------------------------------------------------


class Promises:
    def __init__(self):
        self.new = set()
        self.last = {}

    def add(self, mark):
        kind, thread, number = mark.split(":")
        thread, number = int(thread), int(number)
        if kind == "new":
            self.new.add((thread, number))
        elif kind == "drop":
            self.new.discard((thread, number))
        else:
            self.last[kind, thread, number % BLOCKS if kind in IN_PLACE else 0] = number

    def __len__(self):
        return len(self.new) + len(self.last)

    def broken(self, top):
        """What is not kept below `top`."""
        def read(thread, name, offset=0, size=-1):
            with open(f"{top}/{thread}/{name}", "rb") as file:
                file.seek(offset)
                return file.read(size)

        def kept(kind, thread, place, number):
            if kind == "new":
                return read(thread, f"new-{number}") == bytes_of(kind, thread, number)
            if kind == "append":
                wanted = b"".join(bytes_of(kind, thread, i) for i in range(number + 1))
                return read(thread, "append", 0, len(wanted)) == wanted
            # A newer one may be there, but it has to be whole.
            seen = read(thread, kind, place * BLOCK, BLOCK) if kind in IN_PLACE else read(thread, kind)
            try:
                found = int(seen.split(b" ", 1)[0].rsplit(b":", 1)[1])
            except (IndexError, ValueError):
                return False
            newer = found - number
            return newer >= 0 and (kind not in IN_PLACE or newer % BLOCKS == 0) and seen == bytes_of(kind, thread, found)

        wanted = [("new", thread, 0, number) for thread, number in sorted(self.new)]
        wanted += [(*key, number) for key, number in sorted(self.last.items())]
        problems = []
        for kind, thread, place, number in wanted:
            try:
                right = kept(kind, thread, place, number)
            except OSError as error:
                right = False
                problems.append(str(error))
            if not right:
                problems.append(f"{kind}:{thread}:{number}")
        return problems


# --- the replay ------------------------------------------------------------------------------------

Entry = collections.namedtuple("Entry", "sector sectors flags at mark")


def entries(log):
    magic, version, count, sector_size = struct.unpack("<QQQI", os.pread(log, 28, 0))
    assert (magic, version, sector_size) == (MAGIC, 1, 512), "no log"
    at = 512
    for _ in range(count):
        head = os.pread(log, 512, at)
        sector, sectors, flags, length = struct.unpack("<QQQQ", head[:32])
        assert not flags & DISCARD, "nobody discards"
        yield Entry(sector, sectors, flags, at + 512, head[32:32 + length].decode() if flags & MARK else None)
        at += 512 * (1 + sectors)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return [] if done.returncode == 0 else [f"{command[0]}: status {done.returncode}: {done.stdout}"]


class Replay:
    def __init__(self, log, disk, cow, filesystem):
        self.log = os.open(log, os.O_RDONLY)
        self.disk = os.open(disk, os.O_RDWR)
        self.filesystem = filesystem
        sectors = os.lseek(self.disk, 0, os.SEEK_END) // 512
        self.table = f"0 {sectors} snapshot {disk} {cow} N 8"
        self.promises = Promises()
        self.entries = list(entries(self.log))
        assert self.entries and self.entries[-1].mark == "dm-log-writes-end", "the log is not whole"

    def data(self, entry):
        return os.pread(self.log, entry.sectors * 512, entry.at)

    def apply(self, entry):
        if entry.mark is None:
            os.pwrite(self.disk, self.data(entry), entry.sector * 512)
        elif entry.mark.count(":") == 2:
            self.promises.add(entry.mark)

    def look(self):
        """What a machine that comes up finds wrong."""
        os.fsync(self.disk)
        problems = run("dmsetup", "--noudevsync", "create", "cut", "--table", self.table)
        if problems:
            return problems
        # It has its kernel's name only, without udev.
        device = next("/dev/" + name for name in os.listdir("/sys/block")
                      if name.startswith("dm-") and open(f"/sys/block/{name}/dm/name").read() == "cut\n")
        # The journal is replayed.
        problems = run("mount", "-t", self.filesystem, device, MOUNT)
        if not problems:
            problems = self.promises.broken(MOUNT)
            problems += run("umount", MOUNT)
        problems += run(*CHECKS[self.filesystem], device)
        while run("dmsetup", "--noudevsync", "remove", "cut"):
            time.sleep(0.05)
        return problems

    def points(self, phase):
        """Each with the marks that directly follow: what these promise is on the disk by then, or never was."""
        inside, point = False, None
        for index, entry in enumerate(self.entries):
            begins = entry.mark is not None and entry.mark.startswith("begin:")
            if point is not None and (entry.mark is None or begins):
                yield point
                point = None
            if begins:
                inside = entry.mark == f"begin:{phase}"
            elif inside and (point is not None or entry.flags & (FLUSH | FUA)):
                point = index

    def close(self, points):
        """The points that come first behind each flush that fails, with what was promised by it."""
        for index, entry in enumerate(self.entries):
            if entry.mark == "flush-fails":
                yield from [point for point in points if point >= index][:CLOSE]

    def victim(self, end):
        """Before the point `end` the last file was promised whose block was then written once: promise and entry."""
        promised = [entry.mark for entry in self.entries[:end] if entry.mark and entry.mark.startswith("new:")]
        for mark in reversed(promised):
            block = bytes_of("new", *map(int, mark.split(":")[1:]))[:BLOCK]
            holds = [i for i, entry in enumerate(self.entries[:end]) if entry.sectors and block in self.data(entry)]
            if len(holds) != 1:
                continue
            place = self.entries[holds[0]]
            if not any(entry.sectors and entry.sector < place.sector + place.sectors and
                       place.sector < entry.sector + entry.sectors for entry in self.entries[holds[0] + 1:end]):
                return mark, holds[0]
        sys.exit("no write to leave out")


def replay(log, disk, cow, filesystem, wanted, *phases):
    this = Replay(log, disk, cow, filesystem)
    chosen, seen = {}, {}
    for phase in phases:
        points = list(this.points(phase))
        count = len(points) if wanted == "all" else min(int(wanted), len(points))
        for i in range(1, count + 1):
            chosen[points[len(points) * i // count - 1]] = phase
        chosen.update(dict.fromkeys(this.close(points), phase))
        seen[phase] = [len(points), 0, 0, []]
    last = max(chosen)
    looks = collections.Counter(chosen.values())
    kmsg = os.open("/dev/kmsg", os.O_WRONLY)
    mark, left_out = this.victim(last)
    for index, entry in enumerate(this.entries[:last + 1]):
        if index == left_out:
            before = os.pread(this.disk, entry.sectors * 512, entry.sector * 512)
        this.apply(entry)
        if index in chosen:
            phase = chosen[index]
            result = seen[phase]
            result[1] += 1
            os.write(kmsg, f"<6>powercut: {filesystem}, {phase}: {result[1]} of {looks[phase]}".encode())
            result[2] += len(this.promises)
            result[3] += [f"entry {index}: {problem}" for problem in this.look()]
    for phase, (points, looked, promises, problems) in seen.items():
        print(phase, points, looked, promises, "; ".join(problems).replace("\n", " ") or "-")
    os.pwrite(this.disk, before, this.entries[left_out].sector * 512)
    print("left-out", mark, " ".join(this.look()).replace("\n", " ") or "-")


{"work": workload, "replay": replay}[sys.argv[1]](*sys.argv[2:])
