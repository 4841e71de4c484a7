# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of md's interfaces at random, from several tasks at once, on the arrays md0 and md1.

    fuzz.py SEED CALLS TASKS SPLATS PATHS0 PATHS1 [OTHER]...

SPLATS: a file with what in the kernel log is a failure. PATHS0, PATHS1: the devices of each array, with commas
between, the last one a spare; md1 has a superblock. OTHER: more devices that calls may name.

Each task makes its share of CALLS: ioctls of the array, writes to its files in sysfs and reads of them and of
debugfs, disks that go offline and come back. SEED and the task choose them, whatever comes of them. Each is in
the kernel log before it is made. Meanwhile there is I/O on both arrays. Now and then all is made whole again, as a
stopped array would leave little to do.

The last lines of standard output: for each kind of call, how many were taken and how many refused. Status 1 if the
kernel complains, or a call does not return.
"""
import collections
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import re
import select
import signal
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ioctls import BIG, BLOCK, MD, MD_TOLD

seed, calls, tasks = (int(word) for word in sys.argv[1:4])
splats = re.compile("|".join(f"(?:{line.strip()})" for line in open(sys.argv[4]) if not line.startswith("#")))
ARRAYS = ("md0", "md1")
paths = dict(zip(ARRAYS, (word.split(",") for word in sys.argv[5:7])))
others = sys.argv[7:]
PATIENCE = 300
# A repair comes after so many calls of a task.
ROUND = 120
SLOTS = 3
# Where in what all processes share it is said that I/O has to pause; in front are the numbers of calls by task.
PAUSE = 4095
kmsg = os.open("/dev/kmsg", os.O_WRONLY)


def note(text):
    os.write(kmsg, f"<6>fuzz: {text}".encode(errors="replace")[:900])


def put(path, value):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value if isinstance(value, bytes) else value.encode())
    finally:
        os.close(fd)


def get(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(65536)


def quietly(action, *arguments):
    """Whether it was taken."""
    try:
        action(*arguments)
        return True
    except OSError:
        return False


def kernel_name(device):
    return os.path.basename(os.path.realpath(f"/sys/dev/block/{numbers(device)}"))


def numbers(device):
    rdev = os.stat(device).st_rdev
    return f"{os.major(rdev)}:{os.minor(rdev)}"


disks = sorted({os.path.basename(name) for name in os.listdir("/sys/block") if name.startswith("sd")})

# --- what there is to call --------------------------------------------------------------------------


# What is left out, as md core of Linux 7.3 does not bear it, whatever the personality is; what shows each is in
# Documentation/evidence.md, "Defects of others":
#
# - writing to md/bitmap/location, and to those of queue/ that are limits
# - `clear` and `inactive` for md/array_state
# - adding a device that does not exist, by ADD_NEW_DISK, HOT_ADD_DISK or md/new_dev
# - STOP_ARRAY while another makes the array, see `making`
LEFT_OUT = re.compile(
    "/md/bitmap/location$|/queue/(add_random|discard_max_bytes|iostats|iostats_passthrough|max_sectors_kb|rotational|"
    "stable_writes|write_cache|write_zeroes_unmap_max_bytes)$")


def files():
    """The files of both arrays as they are now, those of each path also for the other array's and other devices."""
    found = []
    for array in ARRAYS:
        for top in (f"/sys/block/{array}/md", f"/sys/block/{array}/queue", f"/sys/kernel/debug/md_multipath/{array}",
                    f"/sys/kernel/debug/block/{array}"):
            for place, _, names in os.walk(top):
                found.extend(os.path.join(place, name) for name in names)
    devices = [kernel_name(name) for name in paths["md0"] + paths["md1"] + others]
    per_path = {}
    for path in found:
        match = re.match(r"(/sys/block/md./md/)dev-[^/]+(/.*)$", path)
        if match:
            per_path[match[2]] = match[1]
    plain = sorted(path for path in found if "/md/dev-" not in path)
    members = [f"/sys/block/{array}/md/dev-{device}{name}"
               for array in ARRAYS for device in devices for name in sorted(per_path)]
    return plain, members


NUMBERS = ["0", "1", "-1", "2", "3", "4", "5", "63", "64", "65", "255", "4096", "65535", "65536", "65537", "600000",
           "600001", "86400000", "86400001", "-1000", "1000", "1001", "-1001", "-4", "2147483647", "2147483648",
           "-2147483648", "4294967295", "4294967296", "9223372036854775807", "18446744073709551615",
           "18446744073709551616", "0x10", "010", "1e3", "0.2", "+7", " 8", "9 ", "1 2", "262144", "261120", "8-1"]
# By a file's name; what others have is `ANY`.
WORDS = {
    "array_state": ["readonly", "read-auto", "clean", "active", "write-pending", "active-idle", "suspended", "broken"],
    "level": ["multipath", "multipath", "-4", "raid1", "0", "linear", "none"],
    "new_level": ["-4", "1"],
    "path_policy": ["first", "round-robin", "queue-depth", "FIRST", "queue", "round-robin\0"],
    "no_path_timeout_ms": ["0", "1", "100", "1000", "86400000"],
    "no_path_max_parked": ["1", "2", "4096"],
    "write_retry_hold_ms": ["0", "1", "20", "1000"],
    "priority": ["0", "1", "-1000", "1000", "7"],
    "raid_disks": ["1", "2", "3", "4", "5", "16", "64", "65"],
    "metadata_version": ["none", "1.2", "0.90", "1.0", "external:x", "1.9"],
    "resync_start": ["none"],
    "consistency_policy": ["resync", "bitmap", "journal", "ppl", "none"],
    "bitmap_type": ["none", "bitmap", "llbitmap"],
    "location": ["none", "+8", "-8", "file", "1000000"],
    "component_size": ["1024", "65536", "131072", "261120"],
    "array_size": ["default", "65536", "261120"],
    "reshape_direction": ["forwards", "backwards"],
    "reshape_position": ["none"],
    "state": ["faulty", "remove", "writemostly", "-writemostly", "blocked", "-blocked", "insync", "-insync", "write_error",
              "-write_error", "want_replacement", "-want_replacement", "replacement", "-replacement", "re-add",
              "external_bbl", "-external_bbl", "failfast", "-failfast"],
    "slot": ["none", "0", "1", "2", "3", "-1"],
    "offset": ["0", "2048", "8"],
    "recovery_start": ["none"],
    "scheduler": ["none", "mq-deadline"],
    "write_cache": ["write back", "write through"],
    "sync_max": ["max"],
}
ANY = ["none", "default", "max", "auto", "on", "off", "yes", "0\n1", "%s%n%p", "../../..", "\n", " ", "\t\n"]


def text(rng, name, devices):
    """What is written to the file."""
    kind = rng.random()
    if name == "new_dev" and kind < 0.9:
        return rng.choice(devices).encode() + b"\n"
    words = WORDS.get(name, [])
    if words and kind < 0.6:
        return rng.choice(words).encode() + rng.choice([b"\n", b"\n", b"", b" \n", b"\n\n"])
    if kind < 0.8:
        number = rng.choice(NUMBERS) if rng.random() < 0.7 else str(rng.getrandbits(rng.randrange(1, 66)))
        return number.encode() + rng.choice([b"\n", b"\n", b""])
    if kind < 0.87:
        return rng.choice(ANY).encode() + b"\n"
    if kind < 0.97:
        return rng.randbytes(rng.randrange(1, 64))
    if kind < 0.985:
        return b"0" * rng.randrange(4090, 4100) + b"1\n"
    return rng.choice([b"a", b"\xff", b" ", b"9"]) * rng.choice([255, 4095, 4096, 100000])


def disk_info(rng, devices):
    major, minor = (int(word) for word in rng.choice(devices).split(":"))
    slot = rng.choice([0, 1, 2, 3, 4, -1, 63, 64, 65, 26, 27, 0xFFFE - 0x10000, rng.getrandbits(31)])
    state = rng.choice([0, 6, 6, 4, 2, 1, 8, 512, 1024, 6 | 512, rng.getrandbits(31)])
    return struct.pack("=5i", rng.choice([slot, slot, rng.getrandbits(31)]), major, minor, slot, state)


def array_info(rng):
    fields = [rng.choice([0, 1, 0x7FFFFFFF]), rng.choice([90, 2, 1, 0, 91]), rng.choice([0, 3]), 0,
              rng.choice([-4, -4, -4, 1, 0]), rng.choice([0, 0, 65536, 131072, -1]), rng.choice([0, 3]),
              rng.choice([0, 1, 3, 3, 3, 64, 65, -1]), rng.choice([0, 1]), rng.choice([0, 1]), 0,
              rng.choice([0, 1, 256, 257]), 3, 3, 0, 0, rng.choice([0, 0, 2]), rng.choice([0, 0, 65536, 3])]
    if rng.random() < 0.5:
        fields[rng.randrange(18)] = rng.getrandbits(32) - (1 << 31)
    return struct.pack("=18i", *fields)


def ioctl_argument(rng, name, argument, devices):
    """Mostly of the kind that it wants, else anything."""
    adds = name in ("ADD_NEW_DISK", "HOT_ADD_DISK")
    if not adds and rng.random() < 0.06:
        return rng.choice([0, 1, -1 & 0xFFFFFFFFFFFFFFFF, 1 << 47, rng.getrandbits(63), BIG])
    if name == "ADD_NEW_DISK":
        return disk_info(rng, devices) if rng.random() < 0.94 else rng.choice([0, 1, 1 << 47])
    if name == "SET_ARRAY_INFO":
        return array_info(rng)
    if name == "GET_DISK_INFO":
        return struct.pack("=5i", rng.choice([0, 1, 2, 3, 64, -1, rng.getrandbits(31)]), 0, 0, 0, 0)
    if argument == "device":
        major, minor = (int(word) for word in rng.choice(devices).split(":"))
        return rng.choice([os.makedev(major, minor)] * 9 + ([] if adds else [rng.getrandbits(32)]))
    if name == "SET_BITMAP_FILE":
        return rng.choice([-1 & 0xFFFFFFFF, 0, 1, 2, 999, -9 & 0xFFFFFFFF])
    if name in ("BLKDISCARD", "BLKSECDISCARD", "BLKZEROOUT"):
        # Not too much at once: zeroes are written one by one.
        start = rng.choice([rng.randrange(0, 60000) * 4096, rng.randrange(0, 1 << 28), 1 << 62, (1 << 64) - 512])
        return struct.pack("=QQ", start, rng.choice([0, 512, 4096, 65536, 1 << 20, 4095, (1 << 64) - 4096]))
    # What BLKTRACESETUP allocates is its caller's affair: it may be all memory. So it always asks for the same.
    if isinstance(argument, bytes) and argument is not BIG and name != "BLKTRACESETUP" and rng.random() < 0.3:
        broken = bytearray(argument)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        return bytes(broken)
    if isinstance(argument, int) and rng.random() < 0.3:
        return rng.choice([1, 128, 1 << 20, 1 << 32])
    return argument


# --- tasks ------------------------------------------------------------------------------------------

class Task:
    """Makes calls. All that it chooses depends on its number and the seed alone."""

    def __init__(self, task, progress, asks, answers):
        self.task, self.progress, self.asks, self.answers = task, progress, asks, answers
        self.rng = random.Random(seed * 1000 + task)
        self.plain, self.members = files()
        self.writable = [path for path in self.plain if not LEFT_OUT.search(path)]
        names = paths["md0"] + paths["md1"] + others
        self.devices = [numbers(name) for name in names]
        self.seen = collections.Counter()
        self.held = None
        self.made = 0
        self.weights = [30, 34, 14, 20, 2]
        # To stop an array is what calls after it have least of.
        self.ioctls = [(call, 3 if call in MD + MD_TOLD else 1) for call in BLOCK + MD + MD_TOLD]
        self.ioctls = [(call, 1 if call[0].startswith("STOP") else weight) for call, weight in self.ioctls]

    def note(self, what):
        self.made += 1
        struct.pack_into("=q", self.progress, 8 * self.task, self.made)
        note(f"{self.task}.{self.made}: {what}")

    def count(self, kind, action, *arguments):
        try:
            action(*arguments)
            self.seen[f"{kind}\ttaken"] += 1
        except OSError:
            self.seen[f"{kind}\trefused"] += 1

    def one(self):
        rng = self.rng
        [self.ioctl, self.write_plain, self.write_member, self.read, self.disk][
            rng.choices(range(5), self.weights)[0]]()

    def ioctl(self):
        rng = self.rng
        (name, request, argument), = rng.choices([call for call, _ in self.ioctls],
                                                 [weight for _, weight in self.ioctls])
        array = rng.choice(ARRAYS)
        flags = rng.choice([os.O_RDWR, os.O_RDWR, os.O_RDONLY, os.O_RDWR | os.O_EXCL, os.O_RDWR | os.O_DIRECT])
        keep, fresh = rng.random() < 0.2, rng.random() < 0.7
        argument = ioctl_argument(rng, name, argument, self.devices)
        if callable(argument):
            argument = argument()
        shown = argument[:80].hex() if isinstance(argument, bytes) else hex(argument)
        self.note(f"ioctl {array} {name} {request:#x} {shown}")
        if self.held and (fresh or self.held[0] != array):
            os.close(self.held[1])
            self.held = None
        fd = self.held[1] if self.held else None
        if fd is None:
            try:
                fd = os.open(f"/dev/{array}", flags)
            except OSError:
                self.seen[f"{name}\tno array"] += 1
                return
            self.held = (array, fd)
        if isinstance(argument, bytes):
            argument = bytearray(argument)
        with lock(making) if name == "STOP_ARRAY" else contextlib.nullcontext():
            self.count(name, ioctl, fd, request, argument)
        if not keep:
            os.close(fd)
            self.held = None

    def write(self, path):
        name = os.path.basename(path)
        value = text(self.rng, name, self.devices)
        self.note(f"write {path} {len(value)} {value[:80]!r}")
        self.count(name, put, path, value)

    def write_plain(self):
        self.write(self.rng.choice([path for path in self.writable if os.path.basename(path) in WORDS]
                                   if self.rng.random() < 0.6 else self.writable))

    def write_member(self):
        self.write(self.rng.choice([path for path in self.members if os.path.basename(path) in WORDS]
                                   if self.rng.random() < 0.7 else self.members))

    def read(self):
        path = self.rng.choice(self.plain if self.rng.random() < 0.7 else self.members)
        self.note(f"read {path}")
        self.count(f"read {os.path.basename(path)}", get, path)

    def disk(self):
        """A path of both arrays goes offline, or comes back."""
        name, state = self.rng.choice(disks), self.rng.choice(["offline", "running"])
        self.note(f"disk {name} {state}")
        self.count(f"disk {state}", put, f"/sys/block/{name}/device/state", state)

    def run(self, share):
        for i in range(share):
            if i % ROUND == ROUND - 1:
                if self.held:
                    os.close(self.held[1])
                    self.held = None
                os.write(self.asks, bytes([self.task]))
                os.read(self.answers, 1)
            self.one()
        for kind, number in sorted(self.seen.items()):
            print(kind, number, sep="\t")
        sys.stdout.flush()


libc = ctypes.CDLL(None, use_errno=True)
# Whoever makes or stops an array holds it.
making = tempfile.TemporaryFile()


@contextlib.contextmanager
def lock(file):
    """A lock of this process, though `file` was opened by its parent."""
    fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def ioctl(fd, request, argument):
    if isinstance(argument, bytearray):
        fcntl.ioctl(fd, request, argument)
    # fcntl takes a number for a C int.
    elif libc.ioctl(fd, ctypes.c_ulong(request), ctypes.c_ulong(argument)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def small_io(array, progress):
    """Reads and writes, direct and buffered, until it is killed; what comes of them does not matter."""
    rng = random.Random(seed)
    block = mmap.mmap(-1, 65536)
    while True:
        # An array that somebody has open cannot be stopped.
        while progress[PAUSE]:
            time.sleep(0.01)
        try:
            fd = os.open(f"/dev/{array}", os.O_RDWR | (os.O_DIRECT if rng.random() < 0.7 else 0))
        except OSError:
            time.sleep(0.05)
            continue
        for _ in range(rng.randrange(1, 20)):
            part = memoryview(block)[:rng.choice([512, 4096, 16384, 65536])]
            place = rng.randrange(0, 65536) * 4096 % (1 << 27)
            action = rng.choice([os.preadv, os.preadv, os.pwritev])
            flags = rng.choice([0, 0, 0, os.RWF_NOWAIT, os.RWF_DSYNC if action == os.pwritev else 0])
            quietly(action, fd, [part], place, flags)
            if progress[PAUSE]:
                break
        quietly(os.fsync, fd)
        os.close(fd)
        time.sleep(0.002)


# --- repairs ----------------------------------------------------------------------------------------

def release():
    """What waits for a path, or for the end of a suspended region, goes on."""
    for name in disks:
        quietly(put, f"/sys/block/{name}/device/state", "running")
    for array in ARRAYS:
        for name in ("no_path_timeout_ms", "write_retry_hold_ms", "suspend_lo", "suspend_hi"):
            quietly(put, f"/sys/block/{array}/md/{name}", "0")


def can_be_opened(array):
    try:
        os.close(os.open(f"/dev/{array}", os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.ENODEV, errno.ENXIO)
    return True


def is_whole(array):
    base = f"/sys/block/{array}"
    try:
        if get(f"{base}/md/level").strip() != b"multipath" or get(f"{base}/ro").strip() != b"0":
            return False
        if get(f"{base}/md/array_state").strip() not in (b"clean", b"active", b"active-idle", b"write-pending"):
            return False
        if int(get(f"{base}/md/raid_disks").split()[0]) < SLOTS or int(get(f"{base}/size")) < 65536:
            return False
        up = sum(b"in_sync" in get(f"{base}/md/{name}/state") for name in os.listdir(f"{base}/md")
                 if name.startswith("dev-"))
        return up >= 2 and can_be_opened(array)
    except (OSError, ValueError, IndexError):
        return False


REQUEST = {name: request for name, request, _ in MD}
superblock = {}


def remember():
    """What md1's devices have in front, to make it anew."""
    with open(paths["md1"][0], "rb", buffering=0) as device:
        superblock["md1"] = device.read(65536)


def stop(array):
    fd = os.open(f"/dev/{array}", os.O_RDONLY)
    try:
        fcntl.ioctl(fd, REQUEST["STOP_ARRAY"], 0)
    finally:
        os.close(fd)


def clear(array):
    """What was told `raid_disks` while it was being stopped does not go, though nobody can open it any more. One that
    is just going has none: see `LEFT_OUT`."""
    base = f"/sys/block/{array}/md"
    try:
        if get(f"{base}/array_state").strip() in (b"clear", b"inactive") and int(get(f"{base}/raid_disks").split()[0]):
            put(f"{base}/array_state", "clear")
    except (OSError, ValueError, IndexError):
        pass


def open_new(array):
    """One that was stopped may just be going."""
    for attempt in range(100):
        if not os.path.exists(f"/sys/block/{array}"):
            quietly(put, "/sys/module/md_mod/parameters/new_array", array)
        try:
            return os.open(f"/dev/{array}", os.O_RDWR)
        except OSError:
            if attempt == 99:
                raise
        time.sleep(0.02)


def make(array):
    members = paths[array][:SLOTS]
    fd = open_new(array)
    try:
        if array in superblock:
            block = mmap.mmap(-1, 65536)
            block.write(superblock[array])
            disk = os.open(members[0], os.O_RDWR | os.O_DIRECT)
            try:
                os.pwritev(disk, [block], 0)
            finally:
                os.close(disk)
            info = struct.pack("=18i", 1, 2, *[0] * 16)
        else:
            info = struct.pack("=18i", 0, 90, 3, 0, -4, 0, SLOTS, SLOTS, 0, 1, 0, 1, SLOTS, SLOTS, 0, 0, 0, 0)
        fcntl.ioctl(fd, REQUEST["SET_ARRAY_INFO"], info)
        for slot, member in enumerate(members):
            major, minor = (int(word) for word in numbers(member).split(":"))
            fcntl.ioctl(fd, REQUEST["ADD_NEW_DISK"], struct.pack("=5i", slot, major, minor, slot, 6))
        fcntl.ioctl(fd, REQUEST["RUN_ARRAY"], 0)
    finally:
        os.close(fd)


def repair():
    """Both arrays are as at the beginning, as far as others let that be."""
    release()
    for array in ARRAYS:
        if is_whole(array):
            continue
        for _ in range(40):
            if not quietly(stop, array):
                clear(array)
            if not os.path.exists(f"/sys/block/{array}"):
                break
            time.sleep(0.02)
        try:
            with lock(making):
                make(array)
            note(f"{array} is made anew")
        except OSError as error:
            note(f"{array} cannot be made anew now: {error}")


def keeper(asked, answers, progress):
    while True:
        who = os.read(asked, 1)
        if not who:
            return
        progress[PAUSE] = 1
        repair()
        progress[PAUSE] = 0
        os.write(answers[who[0]], b"x")


# --- all of it --------------------------------------------------------------------------------------

def child(action, *arguments):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        action(*arguments)
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def complain(why, running):
    print(f"complaint: {why}")
    for pid, name in running.items():
        for file in ("wchan", "stack"):
            try:
                print(f"{name} {file}:", get(f"/proc/{pid}/{file}").decode())
            except OSError:
                pass
    sys.stdout.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    os._exit(1)


def main():
    remember()
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)
    progress = mmap.mmap(-1, 4096)
    asked, asks = os.pipe()
    answers = [os.pipe() for _ in range(tasks)]
    work = {}
    for task in range(tasks):
        share = calls // tasks + (task < calls % tasks)
        work[child(Task(task, progress, asks, answers[task][0]).run, share)] = f"task {task}"
    helpers = {child(keeper, asked, [pair[1] for pair in answers], progress): "keeper"}
    for array in ARRAYS:
        helpers[child(small_io, array, progress)] = f"I/O of {array}"
    last, moved, failed = b"", time.monotonic(), 0
    while work:
        select.select([log], [], [], 0.5)
        while True:
            try:
                line = os.read(log, 8192).split(b"\n")[0].decode(errors="replace")
            except BlockingIOError:
                break
            except OSError as error:
                # Overrun: what is gone is on the console.
                if error.errno != errno.EPIPE:
                    raise
                continue
            said = line.partition(";")[2]
            # Whose race it is shows when all of it is there.
            if not said.startswith(("fuzz:", "BUG: KCSAN: ")) and splats.search(said):
                # The rest of it is to be in the log as well.
                time.sleep(2)
                complain(said, work | helpers)
        while work:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            if pid in helpers:
                complain(f"{helpers.pop(pid)} ended", work | helpers)
            failed |= status
            work.pop(pid, None)
        if progress[:8 * tasks] != last:
            last, moved = progress[:8 * tasks], time.monotonic()
        elif time.monotonic() - moved > PATIENCE:
            complain("no call has returned for too long", work | helpers)
        elif time.monotonic() - moved > 1:
            # Perhaps all wait for what a call has brought about.
            helper = child(release)
            while not os.waitpid(helper, os.WNOHANG)[0] and time.monotonic() - moved < PATIENCE:
                time.sleep(0.05)
    for pid, name in helpers.items():
        if name != "keeper":
            os.kill(pid, signal.SIGKILL)
    release()
    for pid, name in helpers.items():
        if name != "keeper":
            os.waitpid(pid, 0)
        else:
            keeping = pid
    for _ in range(20):
        repair()
        if all(is_whole(array) for array in ARRAYS):
            break
    else:
        print("an array could not be made whole again")
        failed = 1
    os.kill(keeping, signal.SIGKILL)
    os.waitpid(keeping, 0)
    sys.exit(1 if failed else 0)


main()
